import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Observe } from '../../../shared/observe/events.ts'
import { createObserve } from '../../../shared/observe/observe.ts'
import { createTrace, type Trace } from '../../../shared/observe/trace.ts'
import { isSampled, parseTraceParent } from '../../../shared/observe/trace-context.ts'

interface SentSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes: readonly { readonly key: string; readonly value: unknown }[]
  readonly events: readonly { readonly name: string }[]
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status: object
}

const requestId = '0123456789abcdef0123456789abcdef'
const theirTrace = 'fedcba9876543210fedcba9876543210'
const theirSpan = 'aaaaaaaaaaaaaaaa'

let bodies: string[]
let paths: string[]
let close: () => Promise<void>
let endpoint: string
let spanIds: number
beforeEach(async () => {
  bodies = []
  paths = []
  spanIds = 0
  const collector = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => void (body += chunk.toString()))
    request.on('end', () => {
      bodies.push(body)
      paths.push(`${request.method} ${request.url} ${request.headers['content-type']}`)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`
  close = () =>
    new Promise((resolve) => {
      collector.close(() => resolve())
      collector.closeAllConnections()
    })
})
afterEach(() => close())

function start(ratio = 1): { trace: Trace; observe: Observe } {
  const trace = createTrace({
    endpoint,
    ratio,
    version: '1.2.3',
    newSpanId: () => String(++spanIds).padStart(16, '0'),
  })
  return { trace, observe: createObserve({ clock: { nowMs: () => 1_800_000_000_500 }, sinks: [trace.sink] }) }
}

/** What the collector received, once everything has been sent. */
async function received(trace: Trace): Promise<SentSpan[]> {
  await trace.close()
  return bodies.flatMap((body) => {
    const sent = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: SentSpan[] }[] }[] }
    return sent.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
  })
}

const answered = {
  request_id: requestId,
  side: 'proxy',
  route: '/api/**',
  method: 'GET',
  status: 200,
  duration_ms: 250,
}

describe('a request becomes a trace at a real OTLP collector', () => {
  it('with a span of its own, one for each call, and events as span events', async () => {
    const { trace, observe } = start()
    trace.around(requestId, [], () => {
      observe.emit('provider.called', { endpoint: 'token', status: 200, duration_ms: 40, outcome: 'ok' })
      observe.emit('upstream.called', { request_id: requestId, route: '/api/**', status: 502, duration_ms: 100 })
      const told = { request_id: requestId, client_address: '192.0.2.1', generation: 2 }
      observe.emit('session.refreshed', told)
      observe.emit('request.answered', answered)
    })
    const spans = await received(trace)
    expect(paths).toEqual(['POST /v1/traces application/json'])
    expect(spans.map(({ name, kind, parentSpanId }) => [name, kind, parentSpanId])).toEqual([
      ['authorization server token', 3, '0000000000000001'],
      ['API /api/**', 3, '0000000000000001'],
      ['GET /api/**', 2, undefined],
    ])
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([requestId]))
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(3)
    const [, api, request] = spans
    expect(api?.status).toEqual({ code: 2 })
    expect(request?.events.map(({ name }) => name)).toEqual(['session.refreshed'])
    expect(bodies.join()).not.toContain('192.0.2.1')
    expect(request?.attributes).toContainEqual({ key: 'http.route', value: { stringValue: '/api/**' } })
    expect(request).toMatchObject({ startTimeUnixNano: '1800000000250000000', endTimeUnixNano: '1800000000500000000' })
  })
  it('that goes on from the caller and to the API', async () => {
    const { trace, observe } = start()
    const rawHeaders = ['Host', 'a', 'Traceparent', `00-${theirTrace}-${theirSpan}-00`]
    trace.around(requestId, rawHeaders, () => observe.emit('request.answered', answered))
    expect(rawHeaders).toEqual(['Host', 'a', 'Traceparent', `00-${theirTrace}-0000000000000001-01`])
    expect(await received(trace)).toMatchObject([
      { traceId: theirTrace, parentSpanId: theirSpan, spanId: '0000000000000001' },
    ])
  })
  it('that starts here when the caller has none', async () => {
    const { trace } = start()
    const rawHeaders: string[] = []
    trace.around(requestId, rawHeaders, () => undefined)
    expect(rawHeaders).toEqual(['traceparent', `00-${requestId}-0000000000000001-01`])
    await trace.close()
  })
  it.each<[string, string[]]>([
    ['none', []],
    ['one that cannot be read', ['traceparent', `00-${theirTrace}-x-01`]],
  ])('with the state of a caller only if that has a trace to go on from, not beside %s', async (_what, parent) => {
    const { trace } = start()
    const state = ['Host', 'a', 'tracestate', 'a=1', 'Accept', 'tracestate', 'TraceState', 'b=2']
    const orphan = [...parent, ...state]
    trace.around(requestId, orphan, () => undefined)
    const ours = ['traceparent', `00-${requestId}-0000000000000001-01`]
    const rest = ['Host', 'a', 'Accept', 'tracestate']
    expect(orphan).toEqual(parent.length === 0 ? [...rest, ...ours] : [...ours, ...rest])
    const theirs = ['traceparent', `00-${theirTrace}-${theirSpan}-01`, ...state]
    trace.around(requestId, theirs, () => undefined)
    expect(theirs.slice(2)).toEqual(state)
    await trace.close()
  })
  it('but not when it is not sampled; the API learns that', async () => {
    const { trace, observe } = start(0)
    const rawHeaders: string[] = []
    trace.around(requestId, rawHeaders, () => observe.emit('request.answered', answered))
    expect(rawHeaders[1]).toMatch(/-00$/)
    expect(await received(trace)).toEqual([])
  })
  it('that holds the first 32 events of a request that reports without end', async () => {
    const { trace, observe } = start()
    trace.around(requestId, [], () => {
      for (let index = 0; index < 40; index++) observe.emit('session.refreshed', { request_id: requestId })
      observe.emit('request.answered', answered)
    })
    expect((await received(trace))[0]?.events).toHaveLength(32)
  })
  it('unless 10,000 began after it: requests that are never answered fill no memory', async () => {
    const { trace, observe } = start()
    const idOf = (index: number) => String(index).padStart(32, '0')
    for (let index = 0; index <= 10_000; index++) trace.around(idOf(index), [], () => undefined)
    for (const index of [0, 1]) observe.emit('request.answered', { ...answered, request_id: idOf(index) })
    expect((await received(trace)).map(({ traceId }) => traceId)).toEqual([idOf(1)])
  })
  it('and a repeated header is left for the gate to refuse', async () => {
    const { trace } = start()
    const rawHeaders = ['traceparent', 'a', 'TraceParent', 'b']
    trace.around(requestId, rawHeaders, () => undefined)
    expect(rawHeaders).toEqual(['traceparent', 'a', 'TraceParent', 'b'])
    await trace.close()
  })
})

it('a collector that is down costs nothing but the spans, and five seconds of a stop', async () => {
  const { trace, observe } = start()
  await close()
  close = async () => undefined
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  trace.around(requestId, [], () => observe.emit('request.answered', answered))
  let isClosed = false
  const closed = Promise.allSettled([trace.close()]).finally(() => void (isClosed = true))
  await vi.advanceTimersByTimeAsync(4999)
  expect(isClosed).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  await expect(closed).resolves.toHaveLength(1)
})

describe('traceparent', () => {
  it.each([
    ['another version', `01-${theirTrace}-${theirSpan}-00`],
    ['an empty trace id', `00-${'0'.repeat(32)}-${theirSpan}-00`],
    ['an empty span id', `00-${theirTrace}-${'0'.repeat(16)}-00`],
    ['capitals', `00-${theirTrace.toUpperCase()}-${theirSpan}-00`],
    ['more after the end', `00-${theirTrace}-${theirSpan}-00-x`],
    ['nothing', undefined],
  ])('with %s is as good as absent', (_, text) => {
    expect(parseTraceParent(text)).toBeUndefined()
  })
  it('is sampled by trace id, alike everywhere', () => {
    expect(isSampled(`${'0'.repeat(24)}7fffffff`, 0.5)).toBe(true)
    expect(isSampled(`${'0'.repeat(24)}80000000`, 0.5)).toBe(false)
    expect(isSampled(`${'0'.repeat(24)}ffffffff`, 1)).toBe(true)
  })
})
