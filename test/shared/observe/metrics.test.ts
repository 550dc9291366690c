import * as promClient from 'prom-client'
import AggregatorRegistry from 'prom-client/lib/cluster.js'
import Counter from 'prom-client/lib/counter.js'
import collectDefaultMetrics from 'prom-client/lib/defaultMetrics.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'
import { describe, expect, it } from 'vitest'
import { type EventName, eventTable } from '../../../shared/observe/events.ts'
import { type MetricRow, metricTable, processMetricTable } from '../../../shared/observe/metric-table.ts'
import { createMetrics, type CertificateInUse } from '../../../shared/observe/metrics.ts'
import { sumMetrics } from '../../../shared/observe/metrics-sum.ts'
import { createObserve } from '../../../shared/observe/observe.ts'

it('the files of the library are what it exports', () => {
  const files = { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics }
  for (const [name, file] of Object.entries(files)) expect(file, name).toBe(Reflect.get(promClient, name))
})

function setup() {
  const metrics = createMetrics({ processMetrics: false })
  const observe = createObserve({ clock: { nowMs: () => 0 }, sinks: [metrics.sink] })
  const samples = async () => {
    const { text } = await metrics.render()
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  }
  return { metrics, observe, samples }
}

const ring = (ids: readonly string[]) => ({ primaryKeyId: ids[0] ?? '', keyIds: () => ids })

describe('the metric table', () => {
  it.each(Object.entries<MetricRow>(metricTable))('%s takes its labels from fields of its event', (name, row) => {
    const fields: readonly string[] = Object.keys(eventTable[row.event].fields)
    for (const field of [...row.labels, row.milliseconds, row.only]) {
      if (field !== undefined) expect(fields).toContain(field)
    }
    expect(name).toMatch(row.milliseconds === undefined ? /^token_handler_[a-z_]+_total$/ : /_seconds$/)
  })
  it('makes no label of what a client could invent or what has as many values as there are people', () => {
    const endless = ['request_id', 'subject', 'session', 'provider_error', 'acr', 'prompt', 'generation']
    const labels = Object.values<MetricRow>(metricTable).flatMap((row) => row.labels)
    expect(labels.filter((label) => endless.includes(label))).toEqual([])
    // A key id in a cookie is the client's word until the cookie has been opened.
    expect(metricTable.token_handler_cookies_unreadable_total.labels).not.toContain('key_id')
  })
})

describe('events become metrics', () => {
  it('counts by label', async () => {
    const { observe, samples } = setup()
    for (const key_id of ['aaaaaaaa', 'aaaaaaaa', 'bbbbbbbb'])
      observe.emit('cookie.opened', { cookie: 'access', key_id, cached: false })
    expect(await samples()).toEqual([
      'token_handler_cookies_opened_total{cookie="access",key_id="aaaaaaaa",cached="false"} 2',
      'token_handler_cookies_opened_total{cookie="access",key_id="bbbbbbbb",cached="false"} 1',
    ])
  })
  it('measures in seconds, and counts an error only where there was one', async () => {
    const { observe, samples } = setup()
    observe.emit('request.answered', { side: 'proxy', route: '/api/**', method: 'GET', status: 200, duration_ms: 40 })
    const lines = await samples()
    expect(lines).toContain('token_handler_request_duration_seconds_sum{side="proxy",route="/api/**"} 0.04')
    expect(lines).toContain('token_handler_request_duration_seconds_bucket{le="0.05",side="proxy",route="/api/**"} 1')
    expect(lines).toContain('token_handler_request_duration_seconds_bucket{le="0.025",side="proxy",route="/api/**"} 0')
    expect(lines.join('\n')).not.toContain('token_handler_errors_total')
  })
  it('counts the code of an error', async () => {
    const { observe, samples } = setup()
    observe.emit('request.answered', { side: 'proxy', route: '/api/**', error_code: 'session_missing' })
    expect(await samples()).toContain(
      'token_handler_errors_total{side="proxy",route="/api/**",error_code="session_missing"} 1',
    )
  })
  it('counts a duration in its bucket and in all above it, at the edge in the lower one', async () => {
    const { observe, samples } = setup()
    for (const duration_ms of [0, 1, 1.5, 30_000, 30_001, -5])
      observe.emit('upstream.called', { route: '/api/**', duration_ms, outcome: 'complete', status: 200 })
    const lines = (await samples()).filter((line) => line.includes('call_duration'))
    expect(lines).toHaveLength(17)
    expect(lines).toEqual(
      expect.arrayContaining([
        'token_handler_upstream_call_duration_seconds_bucket{le="0.001",route="/api/**"} 3',
        'token_handler_upstream_call_duration_seconds_bucket{le="0.0025",route="/api/**"} 4',
        'token_handler_upstream_call_duration_seconds_bucket{le="10",route="/api/**"} 4',
        'token_handler_upstream_call_duration_seconds_bucket{le="30",route="/api/**"} 5',
        'token_handler_upstream_call_duration_seconds_bucket{le="+Inf",route="/api/**"} 6',
        'token_handler_upstream_call_duration_seconds_sum{route="/api/**"} 59.9985',
        'token_handler_upstream_call_duration_seconds_count{route="/api/**"} 6',
      ]),
    )
  })
  it('makes one series of everything that fails its check, and none of a field that is not of the event', async () => {
    const { observe, samples } = setup()
    const odd: object[] = [{ check: 'a"b' }, { check: 'c\nd' }, { check: 7 }, { check: {} }, { check: '[invalid]' }]
    for (const fields of odd) observe.emit('login.failed', fields)
    observe.emit('login.failed', { access_token: 'abc' } as object)
    expect(await samples()).toEqual([
      'token_handler_logins_failed_total{error_code="",check="[invalid]"} 5',
      'token_handler_logins_failed_total{error_code="",check=""} 1',
    ])
  })
  it('measures nothing that is no number', async () => {
    const { observe, samples } = setup()
    observe.emit('request.answered', { side: 'proxy', duration_ms: Number.NaN })
    expect(await samples()).toEqual(['token_handler_requests_total{side="proxy",route="",method="",status=""} 1'])
  })
  it('tells when the certificates of the moment expire, and the first of one route', async () => {
    const { metrics, samples } = setup()
    let certificates: readonly CertificateInUse[] = [
      { file: 'certificate', shownTo: 'gateway', expiresAtSeconds: 1_900_000_000 },
      { file: 'client_ca', shownTo: 'gateway', expiresAtSeconds: 1_900_000_005 },
      { file: 'certificate', shownTo: 'authorization_server', expiresAtSeconds: 1_900_000_001 },
      { file: 'certificate', shownTo: 'api', route: '/api/**', expiresAtSeconds: 1_900_000_002 },
      { file: 'certificate', shownTo: 'api', route: '/api/**', expiresAtSeconds: 1_900_000_004 },
      { file: 'certificate', shownTo: 'api', route: '/other', expiresAtSeconds: 1_900_000_003 },
    ]
    metrics.watch({ storeAvailable: () => true, keys: () => ring([]), certificates: () => certificates })
    const name = 'token_handler_certificate_expiry_timestamp_seconds'
    const expiries = async () => (await samples()).filter((line) => line.startsWith(name)).toSorted()
    expect(await expiries()).toEqual([
      `${name}{file="certificate",shown_to="api",route="/api/**"} 1900000002`,
      `${name}{file="certificate",shown_to="api",route="/other"} 1900000003`,
      `${name}{file="certificate",shown_to="authorization_server",route=""} 1900000001`,
      `${name}{file="certificate",shown_to="gateway",route=""} 1900000000`,
      `${name}{file="client_ca",shown_to="gateway",route=""} 1900000005`,
    ])
    certificates = [{ file: 'certificate', shownTo: 'gateway', expiresAtSeconds: 1_950_000_000 }]
    expect(await expiries()).toEqual([`${name}{file="certificate",shown_to="gateway",route=""} 1950000000`])
  })
  it('takes every event that there is', async () => {
    const { observe, samples } = setup()
    for (const name of Object.keys(eventTable)) observe.emit(name as EventName, {})
    const { size } = new Set(Object.values<MetricRow>(metricTable).map(({ event }) => event))
    expect((await samples()).length).toBeGreaterThanOrEqual(size - 1)
  })
  it('reports the process itself', async () => {
    const { metrics, samples } = setup()
    let ids = ['aaaaaaaa']
    let storeAvailable = false
    metrics.watch({ storeAvailable: () => storeAvailable, keys: () => ring(ids), certificates: () => [] })
    metrics.lineDropped('audit')
    expect(await samples()).toEqual([
      'token_handler_lines_dropped_total{stream="audit"} 1',
      'token_handler_store_available 0',
      'token_handler_key_info{key_id="aaaaaaaa",seals="true"} 1',
    ])
    storeAvailable = true
    expect(await samples()).toContain('token_handler_store_available 1')
    const keyInfo = async () => (await samples()).filter((line) => line.includes('key_info'))
    ids = ['aaaaaaaa', 'bbbbbbbb']
    expect(await keyInfo()).toEqual([
      'token_handler_key_info{key_id="aaaaaaaa",seals="true"} 1',
      'token_handler_key_info{key_id="bbbbbbbb",seals="false"} 1',
    ])
    ids = ['bbbbbbbb']
    expect(await keyInfo()).toEqual(['token_handler_key_info{key_id="bbbbbbbb",seals="true"} 1'])
    const { text } = await sumMetrics([await metrics.snapshot()], { asked: 2, ready: 1 })
    for (const name of Object.keys(processMetricTable)) expect(text).toContain(`# TYPE ${name} `)
  })
})

it('several processes add up: counters by sum, store and certificates by the worst, each key once', async () => {
  const snapshots = await Promise.all(
    [true, false].map(async (available) => {
      const { metrics, observe } = setup()
      metrics.watch({
        storeAvailable: () => available,
        keys: () => ring(['aaaaaaaa', 'bbbbbbbb']),
        certificates: () => [
          { file: 'certificate', shownTo: 'gateway', expiresAtSeconds: available ? 1_900_000_000 : 1_800_000_000 },
        ],
      })
      observe.emit('logout.completed', { revoked: true })
      observe.emit('upstream.called', { route: '/api/**', duration_ms: 40, outcome: 'complete' })
      return metrics.snapshot()
    }),
  )
  const { text } = await sumMetrics(snapshots, { asked: 3, ready: 2 })
  expect(text).toContain('token_handler_logouts_total{revoked="true"} 2')
  expect(text).toContain('token_handler_store_available 0')
  expect(text).toContain('token_handler_key_info{key_id="aaaaaaaa",seals="true"} 1')
  expect(text).toContain('token_handler_key_info{key_id="bbbbbbbb",seals="false"} 1')
  expect(text).toContain(
    'token_handler_certificate_expiry_timestamp_seconds{file="certificate",shown_to="gateway",route=""} 1800000000',
  )
  expect(text).toContain('token_handler_workers 3')
  expect(text).toContain('token_handler_workers_ready 2')
  expect(text).toContain('# TYPE token_handler_upstream_call_duration_seconds histogram')
  expect(text).toContain('token_handler_upstream_call_duration_seconds_bucket{le="0.05",route="/api/**"} 2')
  expect(text).toContain('token_handler_upstream_call_duration_seconds_sum{route="/api/**"} 0.08')
})

it('workers are counted even if none has anything to tell', async () => {
  const { text } = await sumMetrics([], { asked: 3, ready: 0 })
  expect(text).toContain('token_handler_workers_ready 0')
})
