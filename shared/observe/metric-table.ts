import type { EventName, eventTable } from './events.ts'

type FieldOf<N extends EventName> = Extract<keyof (typeof eventTable)[N]['fields'], string>

/** One metric that is made of an event. */
export interface MetricRow {
  readonly event: EventName
  /** One sentence for the reference page and the HELP line. */
  readonly help: string
  /** Fields of the event that become labels; only those with few possible values, none that a client can invent. */
  readonly labels: readonly string[]
  /** Field without which the event is not counted. */
  readonly only?: string
  /** Field in milliseconds that a histogram observes, in seconds; a counter has none. */
  readonly milliseconds?: string
}

function count<N extends EventName>(event: N, labels: readonly FieldOf<N>[], help: string): MetricRow {
  return { event, labels, help }
}

function time<N extends EventName>(
  event: N,
  milliseconds: FieldOf<N>,
  labels: readonly FieldOf<N>[],
  help: string,
): MetricRow {
  return { event, labels, help, milliseconds }
}

/** The metrics made of events, by the name under which Prometheus knows them. */
export const metricTable = {
  token_handler_requests_total: count(
    'request.answered',
    ['side', 'route', 'method', 'status'],
    'Requests answered, by side (agent, proxy, forward_auth, or none where the request could not be parsed), route, method and status.',
  ),
  token_handler_request_duration_seconds: time(
    'request.answered',
    'duration_ms',
    ['side', 'route'],
    'Time from the head of a request to the end of its answer.',
  ),
  token_handler_errors_total: {
    ...count('request.answered', ['side', 'route', 'error_code'], 'Answers that carried a code of the error table.'),
    only: 'error_code',
  },
  token_handler_requests_refused_total: count(
    'request.refused',
    ['side', 'error_code', 'check'],
    'Requests refused, and failures of which no other event tells, by error code; the check says more where one code stands for several rules.',
  ),
  token_handler_logins_started_total: count('login.started', ['step_up'], 'Sign-ins started.'),
  token_handler_logins_completed_total: count('login.completed', ['step_up'], 'Sign-ins that ended in a session.'),
  token_handler_logins_failed_total: count(
    'login.failed',
    ['error_code', 'check'],
    'Sign-ins that ended without a session.',
  ),
  token_handler_refreshes_total: count(
    'session.refreshed',
    ['rotated', 'joined'],
    'Successful refreshes; joined counts those that shared the token call of another request.',
  ),
  token_handler_refresh_failures_total: count(
    'session.refresh_failed',
    ['error_code', 'check', 'ends_session'],
    'Refreshes that failed; ends_session marks those after which the user has to sign in again.',
  ),
  token_handler_sessions_ended_total: count('session.ended', ['cause'], 'Sessions that ended, by cause.'),
  token_handler_logouts_total: count('logout.completed', ['revoked'], 'Sign-outs.'),
  token_handler_backchannel_logouts_total: count(
    'logout.backchannel',
    ['accepted', 'check'],
    'Back-channel logout tokens received.',
  ),
  token_handler_cookies_opened_total: count(
    'cookie.opened',
    ['cookie', 'key_id', 'cached'],
    'Cookies opened per key; a key whose count no longer grows may be removed from the ring.',
  ),
  token_handler_cookies_unreadable_total: count(
    'cookie.unreadable',
    ['cookie', 'reason'],
    'Cookies that could not be opened, by reason.',
  ),
  token_handler_provider_calls_total: count(
    'provider.called',
    ['endpoint', 'outcome', 'status'],
    'Calls to the authorization server.',
  ),
  token_handler_provider_call_duration_seconds: time(
    'provider.called',
    'duration_ms',
    ['endpoint'],
    'Time of calls to the authorization server.',
  ),
  token_handler_provider_unavailable_total: count(
    'provider.unavailable',
    ['endpoint', 'reason'],
    'How often the authorization server could not be used.',
  ),
  token_handler_upstream_calls_total: count(
    'upstream.called',
    ['route', 'outcome', 'status', 'retried'],
    'Calls to APIs.',
  ),
  token_handler_upstream_call_duration_seconds: time(
    'upstream.called',
    'duration_ms',
    ['route'],
    'Time of calls to APIs.',
  ),
  token_handler_credentials_obtained_total: count(
    'credential.obtained',
    ['route', 'credential', 'cached', 'outcome'],
    'Credentials obtained for APIs.',
  ),
  token_handler_streams_closed_total: count(
    'stream.closed',
    ['route', 'cause'],
    'Streams and answers without a length that we ended, by cause.',
  ),
  token_handler_store_unavailable_total: count(
    'store.unavailable',
    ['operation'],
    'How often the shared store was lost; each of its uses has a documented fallback.',
  ),
  token_handler_config_reloads_total: count(
    'config.reloaded',
    ['part'],
    'Keys, routes, the client secret or a certificate read again.',
  ),
  token_handler_config_rejections_total: count(
    'config.rejected',
    ['part'],
    'Changed files that were refused, and audit files that could not be opened again; the old ones stayed in force.',
  ),
  token_handler_internal_failures_total: count(
    'internal.failed',
    ['where', 'error_name'],
    'Unexpected failures; each has a line in the log.',
  ),
} as const satisfies Record<string, MetricRow>

/** One metric that is made of the state of a process. */
export interface ProcessMetricRow {
  readonly kind: 'counter' | 'gauge'
  readonly labels: readonly string[]
  readonly help: string
}

/** Metrics of the process itself. */
export const processMetricTable = {
  token_handler_lines_dropped_total: {
    kind: 'counter',
    labels: ['stream'],
    help: 'Log or audit lines dropped because they could not be written in time.',
  },
  token_handler_store_available: {
    kind: 'gauge',
    labels: [],
    help: '1 while the shared store can be reached, else 0.',
  },
  token_handler_key_info: {
    kind: 'gauge',
    labels: ['key_id', 'seals'],
    help: 'Always 1, for each key of the ring; seals is true for the one that seals.',
  },
  token_handler_certificate_expiry_timestamp_seconds: {
    kind: 'gauge',
    labels: ['file', 'shown_to', 'route'],
    help: 'When the first certificate of a file in use expires, in seconds since 1970; shown_to is gateway, authorization_server or api, the last with the route; file is certificate, or client_ca for the authorities of gateways.',
  },
  token_handler_workers: {
    kind: 'gauge',
    labels: [],
    help: 'Workers asked for; only where there are several.',
  },
  token_handler_workers_ready: {
    kind: 'gauge',
    labels: [],
    help: 'Workers that are ready; one that died or hung is missing until its replacement is.',
  },
} as const satisfies Record<string, ProcessMetricRow>
