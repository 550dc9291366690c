import { AsyncLocalStorage } from 'node:async_hooks'
import { type HrTime, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace'
import type { EventName } from './events.ts'
import { type ObservedEvent, type EventSink, withoutAddress } from './observe.ts'
import { formatTraceParent, isSampled, parseTraceParent, soleHeader } from './trace-context.ts'

/** Where traces go, and which requests are traced. */
export interface TraceOptions {
  /** The whole URL of an OTLP/HTTP collector, such as http://localhost:4318/v1/traces. */
  readonly endpoint: string
  /** Share of requests that are traced, 0 to 1. */
  readonly ratio: number
  readonly version: string
  /** New span ids: 16 hexadecimal digits. */
  readonly newSpanId: () => string
}

/** The traces of one process. */
export interface Trace {
  readonly sink: EventSink
  /**
   * Runs the work of one request, so that every event emitted during it belongs to its trace.
   *
   * Puts our span into the `traceparent` of the request, which the proxy passes on to the API.
   */
  around(requestId: string, rawHeaders: string[], run: () => void): void
  /** Sends what is still waiting. */
  close(): Promise<void>
}

/** A request whose answer has not been reported yet. */
interface OpenRequest {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly events: { readonly name: string; readonly time: HrTime; readonly attributes: ObservedEvent['fields'] }[]
}

const mostOpen = 10_000
const mostEvents = 32

/** Events as OpenTelemetry spans: one for a request, one below it for each call to the authorization server or an API. */
export function createTrace({ endpoint, ratio, version, newSpanId }: TraceOptions): Trace {
  const processor = new BatchSpanProcessor({
    exporter: new OTLPTraceExporter({ url: endpoint }),
    exportTimeoutMillis: 5000,
  })
  const resource = resourceFromAttributes({ 'service.name': 'token-handler', 'service.version': version })
  const open = new Map<string, OpenRequest>()
  const current = new AsyncLocalStorage<string>()

  function finish(
    event: ObservedEvent,
    request: OpenRequest,
    span: Pick<ReadableSpan, 'name' | 'kind'>,
    spanId: string,
  ): void {
    const duration = Number(event.fields['duration_ms'] ?? 0)
    const isRequest = event.name === 'request.answered'
    const parentSpanId = isRequest ? request.parentSpanId : request.spanId
    const context = (id: string) => ({ traceId: request.traceId, spanId: id, traceFlags: TraceFlags.SAMPLED })
    processor.onEnd({
      ...span,
      spanContext: () => context(spanId),
      ...(parentSpanId === undefined
        ? undefined
        : { parentSpanContext: { ...context(parentSpanId), isRemote: isRequest } }),
      startTime: hrTime(event.timeMs - duration),
      endTime: hrTime(event.timeMs),
      duration: hrTime(duration),
      ended: true,
      status: { code: Number(event.fields['status'] ?? 0) >= 500 ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
      attributes: attributesOf(event),
      links: [],
      events: isRequest ? request.events : [],
      resource,
      instrumentationScope: { name: 'token-handler', version },
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    })
  }

  return {
    sink(event) {
      const requestId = event.fields['request_id'] ?? current.getStore()
      if (typeof requestId !== 'string') return
      const request = open.get(requestId)
      if (request === undefined) return
      const span = spanOf(event)
      if (span === undefined) {
        const { name, timeMs } = event
        const attributes = withoutAddress(event.fields)
        if (request.events.length < mostEvents) request.events.push({ name, time: hrTime(timeMs), attributes })
      } else if (event.name === 'request.answered') {
        open.delete(requestId)
        finish(event, request, span, request.spanId)
      } else {
        finish(event, request, span, newSpanId())
      }
    },
    around(requestId, rawHeaders, run) {
      const parent = parseTraceParent(soleHeader(rawHeaders, 'traceparent'))
      // The state belongs to the caller's trace; beside a trace that begins here it would pass for ours (W3C Trace Context §3.3).
      if (parent === undefined) removeHeader(rawHeaders, 'tracestate')
      const traceId = parent?.traceId ?? requestId
      const spanId = newSpanId()
      const sampled = isSampled(traceId, ratio)
      setTraceParent(rawHeaders, formatTraceParent({ traceId, spanId }, sampled))
      if (!sampled) return run()
      const oldest = open.keys().next()
      if (open.size >= mostOpen && oldest.done !== true) open.delete(oldest.value)
      open.set(requestId, { traceId, spanId, parentSpanId: parent?.spanId, events: [] })
      current.run(requestId, run)
    },
    close: () => processor.shutdown(),
  }
}

function removeHeader(rawHeaders: string[], name: string): void {
  for (let index = rawHeaders.length - 2; index >= 0; index -= 2) {
    if (rawHeaders[index]?.toLowerCase() === name) rawHeaders.splice(index, 2)
  }
}

/** Replaces a single `traceparent` or adds one; a repeated one is left for the request gate to refuse. */
function setTraceParent(rawHeaders: string[], value: string): void {
  const names = rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : ''))
  const at = names.indexOf('traceparent')
  if (at === -1) rawHeaders.push('traceparent', value)
  else if (names.lastIndexOf('traceparent') === at) rawHeaders[at + 1] = value
}

const calls: Readonly<Partial<Record<EventName, string>>> = {
  'provider.called': 'authorization server',
  'upstream.called': 'API',
}

function spanOf({ name, fields }: ObservedEvent): Pick<ReadableSpan, 'name' | 'kind'> | undefined {
  if (name === 'request.answered') {
    return { name: `${String(fields['method'] ?? '')} ${String(fields['route'] ?? '')}`.trim(), kind: SpanKind.SERVER }
  }
  const callee = calls[name]
  if (callee === undefined) return undefined
  const what = fields['endpoint'] ?? fields['route'] ?? ''
  return { name: `${callee} ${String(what)}`.trim(), kind: SpanKind.CLIENT }
}

/** The semantic conventions of HTTP where there is one, our own names for the rest. */
const conventions: Readonly<Record<string, string>> = {
  method: 'http.request.method',
  route: 'http.route',
  status: 'http.response.status_code',
  error_code: 'error.type',
}

function attributesOf({ fields }: ObservedEvent): Record<string, string | number | boolean> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [conventions[name] ?? `token_handler.${name}`, value]),
  )
}

function hrTime(milliseconds: number): HrTime {
  const seconds = Math.floor(milliseconds / 1000)
  return [seconds, Math.round((milliseconds - seconds * 1000) * 1e6)]
}
