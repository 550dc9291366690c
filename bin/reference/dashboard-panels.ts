/** One panel of the dashboard. */
export interface Panel {
  readonly title: string
  readonly description: string
  readonly unit: 'reqps' | 's' | 'ops' | 'percentunit' | 'bytes' | 'short' | 'none'
  /** Query and what its lines are called, in the words of Grafana. */
  readonly targets: readonly (readonly [query: string, legend: string])[]
  /** Columns of 24 that the panel takes. */
  readonly width: number
  readonly kind?: 'timeseries' | 'stat'
}

const select = 'job=~"$job"'
const perSecond = (metric: string, labels = ''): string => `rate(${metric}{${select}${labels}}[$__rate_interval])`

function quantile(share: number, metric: string, by: string): string {
  return `histogram_quantile(${share}, sum by (le, ${by}) (${perSecond(`${metric}_bucket`)}))`
}

/** The panels of the dashboard, by the rows in which they stand. */
export const panelRows: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    'Users',
    [
      {
        title: 'Logins',
        description: 'Logins started, completed and failed.',
        unit: 'ops',
        width: 8,
        targets: [
          [`sum(${perSecond('token_handler_logins_started_total')})`, 'started'],
          [`sum(${perSecond('token_handler_logins_completed_total')})`, 'completed'],
          [`sum by (error_code) (${perSecond('token_handler_logins_failed_total')})`, 'failed: {{error_code}}'],
        ],
      },
      {
        title: 'Refreshes',
        description: 'joined shared the token call of another request; only "signs out" makes users sign in again.',
        unit: 'ops',
        width: 8,
        targets: [
          [`sum by (joined) (${perSecond('token_handler_refreshes_total')})`, 'joined {{joined}}'],
          [
            `sum by (error_code) (${perSecond('token_handler_refresh_failures_total', ',ends_session="false"')})`,
            'failed: {{error_code}}',
          ],
          [
            `sum by (check) (${perSecond('token_handler_refresh_failures_total', ',ends_session="true"')})`,
            'signs out: {{check}}',
          ],
        ],
      },
      {
        title: 'Sessions ended',
        description: 'By cause, and sign-outs.',
        unit: 'ops',
        width: 8,
        targets: [
          [`sum by (cause) (${perSecond('token_handler_sessions_ended_total')})`, '{{cause}}'],
          [`sum(${perSecond('token_handler_logouts_total')})`, 'signed out'],
          [
            `sum by (accepted) (${perSecond('token_handler_backchannel_logouts_total')})`,
            'back-channel, accepted {{accepted}}',
          ],
        ],
      },
    ],
  ],
  [
    'Requests',
    [
      {
        title: 'Requests by status',
        description: 'Answers of agent and proxy.',
        unit: 'reqps',
        width: 8,
        targets: [[`sum by (side, status) (${perSecond('token_handler_requests_total')})`, '{{side}} {{status}}']],
      },
      {
        title: 'Time to answer, 95 %',
        description: 'By side and route.',
        unit: 's',
        width: 8,
        targets: [[quantile(0.95, 'token_handler_request_duration_seconds', 'side, route'), '{{side}} {{route}}']],
      },
      {
        title: 'Errors and refusals',
        description: 'Error codes of answers, and the checks that refused requests.',
        unit: 'ops',
        width: 8,
        targets: [
          [`sum by (error_code) (${perSecond('token_handler_errors_total')})`, '{{error_code}}'],
          [`sum by (check) (${perSecond('token_handler_requests_refused_total', ',check!=""')})`, 'refused: {{check}}'],
        ],
      },
    ],
  ],
  [
    'What we depend on',
    [
      {
        title: 'Authorization server, calls',
        description: 'By endpoint and outcome.',
        unit: 'ops',
        width: 6,
        targets: [
          [
            `sum by (endpoint, outcome) (${perSecond('token_handler_provider_calls_total')})`,
            '{{endpoint}} {{outcome}}',
          ],
          [`sum by (reason) (${perSecond('token_handler_provider_unavailable_total')})`, 'unavailable: {{reason}}'],
        ],
      },
      {
        title: 'Authorization server, 95 %',
        description: 'Time of its answers.',
        unit: 's',
        width: 6,
        targets: [[quantile(0.95, 'token_handler_provider_call_duration_seconds', 'endpoint'), '{{endpoint}}']],
      },
      {
        title: 'APIs, calls',
        description: 'By route and outcome.',
        unit: 'ops',
        width: 6,
        targets: [
          [`sum by (route, outcome) (${perSecond('token_handler_upstream_calls_total')})`, '{{route}} {{outcome}}'],
        ],
      },
      {
        title: 'APIs, 95 %',
        description: 'Time of calls to APIs.',
        unit: 's',
        width: 6,
        targets: [[quantile(0.95, 'token_handler_upstream_call_duration_seconds', 'route'), '{{route}}']],
      },
    ],
  ],
  [
    'Keys, certificates, cookies and store',
    [
      {
        title: 'Cookies opened per key',
        description: 'A key whose line is flat may be removed from the ring.',
        unit: 'ops',
        width: 6,
        targets: [
          [`sum by (key_id) (${perSecond('token_handler_cookies_opened_total')})`, '{{key_id}}'],
          [`sum by (reason) (${perSecond('token_handler_cookies_unreadable_total')})`, 'unreadable: {{reason}}'],
        ],
      },
      {
        title: 'Keys',
        description: 'Replicas that have each key, and that seal with it; all of them should have the same.',
        unit: 'none',
        width: 5,
        kind: 'stat',
        targets: [
          [`count by (key_id) (token_handler_key_info{${select}})`, '{{key_id}} known'],
          [`count by (key_id) (token_handler_key_info{${select},seals="true"})`, '{{key_id}} seals'],
        ],
      },
      {
        title: 'Certificates',
        description:
          'Time until those in use expire, by whom they are shown to; of replicas, the one that expires first.',
        unit: 's',
        width: 5,
        kind: 'stat',
        targets: [
          [
            `min by (file, shown_to, route) (token_handler_certificate_expiry_timestamp_seconds{${select}}) - time()`,
            '{{file}} {{shown_to}} {{route}}',
          ],
        ],
      },
      {
        title: 'Store',
        description: 'Replicas that reach the shared store, and uses that failed.',
        unit: 'short',
        width: 4,
        targets: [
          [`sum(token_handler_store_available{${select}})`, 'replicas with store'],
          [`sum by (operation) (${perSecond('token_handler_store_unavailable_total')})`, 'failed {{operation}}'],
        ],
      },
      {
        title: 'Internal',
        description: 'Unexpected failures, refused files, dropped lines.',
        unit: 'ops',
        width: 4,
        targets: [
          [`sum by (where) (${perSecond('token_handler_internal_failures_total')})`, 'failed in {{where}}'],
          [`sum by (part) (${perSecond('token_handler_config_rejections_total')})`, 'refused {{part}}'],
          [`sum by (stream) (${perSecond('token_handler_lines_dropped_total')})`, 'dropped {{stream}} lines'],
        ],
      },
    ],
  ],
  [
    'Processes',
    [
      {
        title: 'CPU',
        description: 'Cores in use per process.',
        unit: 'short',
        width: 6,
        targets: [[perSecond('process_cpu_seconds_total'), '{{instance}}']],
      },
      {
        title: 'Memory',
        description: 'Resident memory per process.',
        unit: 'bytes',
        width: 6,
        targets: [[`process_resident_memory_bytes{${select}}`, '{{instance}}']],
      },
      {
        title: 'Event loop delay, 99 %',
        description: 'Above 0.1 s a process is too busy.',
        unit: 's',
        width: 6,
        targets: [[`nodejs_eventloop_lag_p99_seconds{${select}}`, '{{instance}}']],
      },
      {
        title: 'Workers',
        description: 'Where a process has several: how many it should have, and how many are ready.',
        unit: 'short',
        width: 6,
        targets: [
          [`token_handler_workers{${select}}`, '{{instance}} asked for'],
          [`token_handler_workers_ready{${select}}`, '{{instance}} ready'],
        ],
      },
    ],
  ],
]
