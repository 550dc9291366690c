import { Agent, buildConnector, errors, request } from 'undici'
import { type Clock, isWithin } from '../clock.ts'
import { tlsDemands } from '../crypto/tls-demands.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import type { Secret } from '../secret.ts'
import { type CircuitBreaker, createCircuitBreaker } from './circuit-breaker.ts'
import {
  ProviderAnswerInvalid,
  type ProviderEndpoint,
  ProviderUnavailable,
  type UnavailableReason,
} from './provider-error.ts'
import { createQueue } from './queue.ts'
import { createTunnels, TunnelFailure } from './tunnel.ts'

/** The settings that bound the calls. */
export interface TransportSettings {
  readonly authorizationServer: {
    readonly timeoutMs: number
    readonly maxConcurrentRequests: number
    readonly clockToleranceSeconds: number
    readonly httpProxy?: string | undefined
    readonly httpProxyAuthorization?: Secret | undefined
  }
}

/** PEM texts for the TLS connection. */
export interface TransportTls {
  readonly ca?: string
  readonly certificate?: string
  readonly privateKey?: string
  /** Authorities of the HTTP proxy; those of `ca` are not asked about it. */
  readonly proxyCa?: string
}

/** The part of fetch's options that OAuth calls use. */
export interface CallOptions {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** Longest wait for the whole answer in milliseconds; the setting `timeout_ms` if absent. */
  readonly timeoutMs?: number | undefined
  /** Whose failures in a row this call counts among; the endpoint's if absent. */
  readonly circuit?: string | undefined
}

/** Every call to the authorization server goes through here. */
export interface Transport {
  /**
   * Sends one request, once, and reads the whole answer.
   *
   * Throws ProviderUnavailable when no usable answer came, and ProviderAnswerInvalid when it was too large.
   */
  call(endpoint: ProviderEndpoint, url: string, options: CallOptions): Promise<Response>
  close(): Promise<void>
}

/** Longest answer; metadata and key sets of large providers stay far below. */
const maxAnswerBytes = 1_048_576
const breaker = { failures: 5, openMs: 4000 }
const retrySoonSeconds = 1
const skewReportMs = 300_000

/**
 * Creates the transport: time limits for the whole answer, no redirects, bounded answers, a bounded number of calls at
 * one time and circuit breakers, so that a slow or broken authorization server costs its own calls only (D04, D05, D20).
 */
export function createTransport(parts: {
  config: TransportSettings
  clock: Clock
  observe: Observe
  tls?: TransportTls
}): Transport {
  const { clock, observe, tls = {} } = parts
  const { timeoutMs, maxConcurrentRequests, clockToleranceSeconds } = parts.config.authorizationServer
  const { httpProxy, httpProxyAuthorization } = parts.config.authorizationServer
  const connect = {
    timeout: timeoutMs,
    ...tlsDemands(),
    ...(tls.ca === undefined ? undefined : { ca: tls.ca }),
    ...(tls.certificate === undefined ? undefined : { cert: tls.certificate }),
    ...(tls.privateKey === undefined ? undefined : { key: tls.privateKey }),
  }
  const tunnels =
    httpProxy === undefined
      ? undefined
      : createTunnels({
          proxy: httpProxy,
          authorization: httpProxyAuthorization,
          ca: tls.proxyCa,
          // Half of it, so that a call ends with what the proxy did before its own time is up.
          timeoutMs: Math.ceil(timeoutMs / 2),
          clock,
          // Sessions are kept by host name, and ports of one host may differ in whose certificate they ask for.
          connectThrough: buildConnector({ ...connect, maxCachedSessions: 0 }),
        })
  const agent = new Agent({
    connections: maxConcurrentRequests,
    pipelining: 1,
    connect: tunnels?.connect ?? connect,
    maxHeaderSize: 65_536,
    // The clock's own deadline covers the answer as a whole; undici's would only cover pauses.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const queue = createQueue({ maxRunning: maxConcurrentRequests, maxWaiting: maxConcurrentRequests * 4 })
  const breakers = new Map<string, CircuitBreaker>()
  let skewReportedMs = Number.NEGATIVE_INFINITY

  function breakerOf(name: string): CircuitBreaker {
    const present = breakers.get(name)
    if (present !== undefined) return present
    const created = createCircuitBreaker(clock, breaker)
    breakers.set(name, created)
    return created
  }

  function reportSkew(date: string | null): void {
    const theirs = date === null ? Number.NaN : Date.parse(date)
    const skewSeconds = Math.round((theirs - clock.nowMs()) / 1000)
    if (!(Math.abs(skewSeconds) > clockToleranceSeconds) || isWithin(clock, skewReportedMs, skewReportMs)) return
    skewReportedMs = clock.nowMs()
    observe.emit('provider.clock_skew', { skew_seconds: skewSeconds })
  }

  async function send(endpoint: ProviderEndpoint, url: string, options: CallOptions, signal: AbortSignal) {
    const leave = await queue.enter(signal)
    if (leave === undefined) {
      throw new ProviderUnavailable(endpoint, signal.aborted ? 'timeout' : 'queue_full', retrySoonSeconds)
    }
    try {
      const answer = await request(url, {
        dispatcher: agent,
        method: options.method,
        // Nothing here is worth a decompression bomb.
        headers: { ...options.headers, 'accept-encoding': 'identity' },
        body: options.body ?? null,
        signal,
      })
      const body = await readWithin(answer.body, maxAnswerBytes, endpoint)
      // A status beyond all classes counts as a 5xx (RFC 9110 §15); no Response takes it.
      const status = answer.statusCode > 599 ? 500 : answer.statusCode
      const empty = status === 204 || status === 205 || status === 304
      return new Response(empty ? null : body, { status, headers: toHeaders(answer.headers) })
    } finally {
      leave()
    }
  }

  return {
    async call(endpoint, url, options) {
      const startedMs = clock.nowMs()
      const circuit = breakerOf(options.circuit ?? endpoint)
      const waitSeconds = circuit.admit()
      if (waitSeconds > 0) throw new ProviderUnavailable(endpoint, 'circuit_open', waitSeconds)
      const deadline = new AbortController()
      const cancel = clock.after(options.timeoutMs ?? timeoutMs, () => deadline.abort())
      try {
        const response = await send(endpoint, url, options, deadline.signal)
        reportSkew(response.headers.get('date'))
        const refusal = refusalOf(response.status)
        if (refusal !== undefined) throw new ProviderUnavailable(endpoint, refusal, retryAfter(response))
        circuit.succeeded()
        observe.emit('provider.called', {
          endpoint,
          status: response.status,
          duration_ms: clock.nowMs() - startedMs,
          outcome: 'answered',
        })
        return response
      } catch (error) {
        const failure = asFailure(error, endpoint, deadline.signal)
        const outcome: CallFailure = failure instanceof ProviderUnavailable ? failure.reason : 'invalid'
        if (signsOfDown.has(outcome)) circuit.failed()
        else if (signsOfLife.has(outcome)) circuit.succeeded()
        observe.emit('provider.called', { endpoint, duration_ms: clock.nowMs() - startedMs, outcome })
        if (outcome !== 'stopped') {
          observe.emit('provider.unavailable', {
            endpoint,
            reason: outcome,
            code: failureCode(failure.cause),
            proxy_status: proxyStatusOf(failure),
          })
        }
        throw failure
      } finally {
        cancel()
      }
    },
    async close() {
      // The calls first, so that they end as stopped and not for want of a tunnel.
      await agent.destroy()
      await tunnels?.close()
    },
  }
}

/** What the HTTP proxy answered instead of opening a tunnel, if that is what failed. */
export function proxyStatusOf({ cause }: Error): number | undefined {
  return cause instanceof TunnelFailure ? cause.status : undefined
}

/** Why an answer says nothing about the request, or undefined. */
function refusalOf(status: number): UnavailableReason | undefined {
  if (status === 429) return 'rate_limited'
  if (status < 500) return undefined
  return status >= 502 && status <= 504 ? 'gateway_error' : 'server_error'
}

/** How events name what became of a call that failed. */
type CallFailure = UnavailableReason | 'invalid'

/**
 * Failures that no request can cause by itself: nobody was reached, or only a gateway of the authorization server, or the
 * HTTP proxy opened no tunnel: it is asked for one by host and port alone, which no visitor chooses.
 */
const signsOfDown: ReadonlySet<CallFailure> = new Set([
  'timeout',
  'connect_failed',
  'connection_lost',
  'gateway_error',
  'proxy_connect_failed',
  'proxy_timeout',
  'proxy_refused',
  'proxy_gateway_error',
])
/**
 * Failures that one request can cause, by an invented code or by the state of one account. If they opened the circuit, one
 * visitor could keep all others from signing in. A full queue and a stop are our own doing and say nothing either way.
 */
const signsOfLife: ReadonlySet<CallFailure> = new Set(['server_error', 'rate_limited', 'invalid'])

async function readWithin(body: AsyncIterable<Buffer>, limit: number, endpoint: ProviderEndpoint) {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > limit) throw new ProviderAnswerInvalid(endpoint, 'answer_too_large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function toHeaders(fields: Readonly<Record<string, string | string[] | undefined>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields)) {
    for (const line of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, line)
  }
  return headers
}

/** Seconds from Retry-After (RFC 9110 §10.2.3), within reason; dates are not read. */
function retryAfter(response: Response): number {
  const value = response.headers.get('retry-after') ?? ''
  return /^[0-9]{1,5}$/.test(value) ? Math.min(Math.max(Number(value), retrySoonSeconds), 120) : retrySoonSeconds
}

/** Connections that broke when the request may already have been acted on. */
const lostConnections: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_ABORTED',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
])

function asFailure(error: unknown, endpoint: ProviderEndpoint, signal: AbortSignal) {
  if (error instanceof ProviderUnavailable || error instanceof ProviderAnswerInvalid) return error
  if (signal.aborted) return new ProviderUnavailable(endpoint, 'timeout', retrySoonSeconds, error)
  if (error instanceof TunnelFailure) return new ProviderUnavailable(endpoint, error.reason, retrySoonSeconds, error)
  if (error instanceof errors.ClientDestroyedError || error instanceof errors.ClientClosedError) {
    return new ProviderUnavailable(endpoint, 'stopped', retrySoonSeconds, error)
  }
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return new ProviderAnswerInvalid(endpoint, 'http', error)
  }
  const code = failureCode(error) ?? ''
  const reason = lostConnections.has(code) ? 'connection_lost' : 'connect_failed'
  return new ProviderUnavailable(endpoint, reason, retrySoonSeconds, error)
}
