import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { read } from '../house/source-files.ts'
import { type Prometheus, startPrometheus, testAlertRules } from '../support/prometheus.ts'
import { startTopology, type Topology } from '../support/topology/topology.ts'

/** Values of a series, one a minute: `0+6x40` starts at 0 and grows by 6 for 40 minutes. */
type Series = Readonly<Record<string, string>>

/** What makes an alert fire by the 40th minute, and what is close to it but ordinary. */
const alerts: Readonly<Record<string, { fires: Series; quiet: Series }>> = {
  TokenHandlerUsersSignedOut: {
    fires: {
      'token_handler_refreshes_total{joined="false"}': '0+100x40',
      'token_handler_refresh_failures_total{ends_session="true",check="reuse"}': '0+10x40',
    },
    quiet: {
      'token_handler_refreshes_total{joined="false"}': '0+100x40',
      'token_handler_refresh_failures_total{ends_session="true",check="reuse"}': '0+2x40',
      'token_handler_refresh_failures_total{ends_session="false",check="timeout"}': '0+90x40',
    },
  },
  TokenHandlerServerErrors: {
    fires: {
      'token_handler_requests_total{side="proxy",status="200"}': '0+100x40',
      'token_handler_requests_total{side="proxy",status="502"}': '0+5x40',
    },
    quiet: {
      'token_handler_requests_total{side="proxy",status="200"}': '0+100x40',
      'token_handler_requests_total{side="proxy",status="502"}': '0+1x40',
      'token_handler_requests_total{side="proxy",status="401"}': '0+90x40',
    },
  },
  TokenHandlerProviderUnavailable: {
    fires: { 'token_handler_provider_unavailable_total{reason="timeout"}': '0+1x40' },
    quiet: { 'token_handler_provider_unavailable_total{reason="timeout"}': '0+0x10 1+0x30' },
  },
  TokenHandlerClientAuthenticationFails: {
    fires: { 'token_handler_errors_total{error_code="client_authentication_failed"}': '0+1x40' },
    quiet: { 'token_handler_errors_total{error_code="session_expired"}': '0+9x40' },
  },
  TokenHandlerLoginsFail: {
    fires: {
      'token_handler_logins_started_total{}': '0+10x40',
      'token_handler_logins_failed_total{error_code="authorization_failed"}': '0+4x40',
    },
    quiet: {
      'token_handler_logins_started_total{}': '0+10x40',
      'token_handler_logins_failed_total{error_code="access_denied"}': '0+2x40',
    },
  },
  TokenHandlerStoreUnavailable: {
    fires: {
      'token_handler_store_available{instance="one"}': '1+0x40',
      'token_handler_store_available{instance="two"}': '0+0x40',
    },
    quiet: { 'token_handler_store_available{instance="one"}': '1+0x40' },
  },
  TokenHandlerUnknownKeys: {
    fires: { 'token_handler_cookies_unreadable_total{reason="unknown_key"}': '0+10x40' },
    quiet: { 'token_handler_cookies_unreadable_total{reason="unknown_key"}': '0+2x40' },
  },
  TokenHandlerCookiesTampered: {
    fires: { 'token_handler_cookies_unreadable_total{reason="tampered"}': '0+30x40' },
    quiet: { 'token_handler_cookies_unreadable_total{reason="tampered"}': '0+3x40' },
  },
  TokenHandlerRingsDiffer: {
    fires: {
      'token_handler_key_info{instance="one",key_id="a",seals="true"}': '1+0x40',
      'token_handler_key_info{instance="two",key_id="b",seals="true"}': '1+0x40',
    },
    quiet: {
      'token_handler_key_info{instance="one",key_id="a",seals="true"}': '1+0x40',
      'token_handler_key_info{instance="one",key_id="b",seals="false"}': '1+0x40',
      'token_handler_key_info{instance="two",key_id="a",seals="true"}': '1+0x40',
    },
  },
  TokenHandlerConfigRejected: {
    fires: { 'token_handler_config_rejections_total{part="settings"}': '_x34 1+0x5' },
    quiet: { 'token_handler_config_rejections_total{part="settings"}': '3+0x40' },
  },
  // Time is counted from 0 here, so the 40th minute is 2400 s, and 14 days after it are 1212000 s.
  TokenHandlerCertificateExpires: {
    fires: {
      'token_handler_certificate_expiry_timestamp_seconds{instance="one",file="certificate",shown_to="gateway"}':
        '1900000+0x40',
      'token_handler_certificate_expiry_timestamp_seconds{instance="two",file="certificate",shown_to="gateway"}':
        '1211999+0x40',
    },
    quiet: {
      'token_handler_certificate_expiry_timestamp_seconds{file="certificate",shown_to="gateway"}': '1212000+0x40',
      'token_handler_certificate_expiry_timestamp_seconds{file="certificate",shown_to="api",route="/api/**"}':
        '1211999+0x30 1900000+0x10',
    },
  },
  TokenHandlerLinesDropped: {
    fires: { 'token_handler_lines_dropped_total{stream="audit"}': '0+5x40' },
    quiet: { 'token_handler_lines_dropped_total{stream="audit"}': '7+0x40' },
  },
  TokenHandlerInternalFailures: {
    fires: { 'token_handler_internal_failures_total{where="serve"}': '_x34 1+0x5' },
    quiet: { 'token_handler_internal_failures_total{where="serve"}': '1+0x40' },
  },
  TokenHandlerWorkersMissing: {
    fires: {
      'token_handler_workers{instance="one"}': '4+0x40',
      'token_handler_workers_ready{instance="one"}': '4+0x30 3+0x10',
    },
    quiet: {
      'token_handler_workers{instance="one"}': '4+0x40',
      'token_handler_workers_ready{instance="one"}': '4+0x20 3+0x3 4+0x20',
      'token_handler_workers{instance="two"}': '2+0x40',
      'token_handler_workers_ready{instance="two"}': '2+0x40',
    },
  },
  TokenHandlerEventLoopBusy: {
    fires: { 'nodejs_eventloop_lag_p99_seconds{instance="one"}': '0.3+0x40' },
    quiet: { 'nodejs_eventloop_lag_p99_seconds{instance="one"}': '0.02+0x40' },
  },
}

const rules = parse(read('deploy/prometheus/alerts.yaml')) as {
  groups: { rules: { alert: string; expr: string }[] }[]
}
const written = rules.groups.flatMap((group) => group.rules.map(({ alert }) => alert))

/** A test of promtool: whether anything fires after 40 minutes of these series. */
function after(series: Series, alert: string, fires: boolean): object {
  return {
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) > 0`,
        eval_time: '40m',
        exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
      },
    ],
  }
}

/** What makes an alert fire although nothing has ever succeeded, so that the counter of successes does not exist. */
const withoutSuccess: Readonly<Record<string, Series>> = {
  TokenHandlerUsersSignedOut: {
    'token_handler_refresh_failures_total{ends_session="true",check="invalid_grant"}': '0+10x40',
  },
  TokenHandlerServerErrors: { 'token_handler_requests_total{side="proxy",status="502"}': '0+5x40' },
  TokenHandlerLoginsFail: {
    'token_handler_logins_failed_total{error_code="authorization_server_unavailable"}': '0+4x40',
  },
}

describe('the alert rules in Prometheus', () => {
  it('each has its example', () => {
    expect(Object.keys(alerts).sort()).toEqual([...written].sort())
  })

  it.each(Object.entries(alerts))('%s fires when it should, and not before', async (alert, { fires, quiet }) => {
    await testAlertRules([after(fires, alert, true), after(quiet, alert, false)])
  })

  it.each(Object.entries(withoutSuccess))('%s fires where nothing has ever succeeded', async (alert, series) => {
    await testAlertRules([after(series, alert, true)])
  })
  it('every rule that compares with a rate has such an example', () => {
    const compares = rules.groups
      .flatMap((group) => group.rules)
      .filter(({ expr }) => /> .*rate\(/s.test(expr))
      .map(({ alert }) => alert)
    expect(Object.keys(withoutSuccess).sort()).toEqual(compares.sort())
  })

  it('a rule that does not fire is noticed', async () => {
    await expect(testAlertRules([after({}, 'TokenHandlerLoginsFail', true)])).rejects.toThrow(/FAILED/)
  })
})

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

describe('the real metrics in Prometheus', () => {
  let topology: Topology
  let prometheus: Prometheus
  beforeAll(async () => {
    topology = await startTopology({ replicas: 1, store: 'valkey', accessTokenSeconds: 60 })
    const ports = (replicas: Topology['agents']) => replicas.map(({ operationsPort }) => operationsPort)
    prometheus = await startPrometheus({ agent: ports(topology.agents), proxy: ports(topology.proxies) })
    const [browser] = await topology.signedIn(1)
    await browser?.fetch('GET', '/api/orders')
  }, 120_000)
  afterAll(async () => {
    await prometheus?.stop()
    await topology?.stop()
  })

  it('are scraped from every replica', async () => {
    const metrics = ['token_handler_logins_completed_total', 'token_handler_upstream_calls_total']
    for (const query of metrics) {
      const found = async () => ((await prometheus.ask('query', { query })) as { result: unknown[] }).result.length
      await expect.poll(found, { timeout: 20_000 }).toBe(1)
    }
    // A rate needs two readings.
    const rates = async () =>
      ((await prometheus.ask('query', { query: 'rate(token_handler_requests_total[1m])' })) as { result: unknown[] })
        .result.length
    await expect.poll(rates, { timeout: 20_000 }).toBeGreaterThan(1)
  })

  it('every rule can be evaluated, and none fires', async () => {
    const { groups } = (await prometheus.ask('rules')) as {
      groups: { rules: { name: string; state: string; lastError?: string }[] }[]
    }
    const read = groups.flatMap((group) => group.rules)
    expect(read.map(({ name }) => name)).toEqual(written)
    expect(read.filter(({ lastError, state }) => lastError !== undefined || state === 'firing')).toEqual([])
  })

  it('every query of the dashboard is understood, and the busy ones have something to show', async () => {
    const { panels } = JSON.parse(read('deploy/grafana/dashboard.json')) as Dashboard
    const shown = async (): Promise<string[]> => {
      const titles = new Set<string>()
      for (const { title, targets = [] } of panels) {
        for (const { expr } of targets) {
          const query = expr.replaceAll('$job', '.*').replaceAll('$__rate_interval', '1m')
          const { result } = (await prometheus.ask('query', { query })) as { result: unknown[] }
          if (result.length > 0) titles.add(title)
        }
      }
      return [...titles]
    }
    const busy = ['Logins', 'Requests by status', 'APIs, 95 %', 'Cookies opened per key', 'Memory']
    await expect.poll(shown, { timeout: 20_000 }).toEqual(expect.arrayContaining(busy))
  })
})
