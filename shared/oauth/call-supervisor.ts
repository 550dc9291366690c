import { type Clock, isWithin } from '../clock.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import { type CircuitBreaker, createCircuitBreaker } from './circuit-breaker.ts'
import {
  type ProviderAnswerInvalid,
  type ProviderEndpoint,
  ProviderUnavailable,
  type UnavailableReason,
} from './provider-error.ts'
import { TunnelFailure } from './tunnel.ts'

/** What bounds one call. */
export interface CallBounds {
  /** Longest wait for the whole answer in milliseconds; the setting `timeout_ms` if absent. */
  readonly timeoutMs?: number | undefined
  /** Whose failures in a row this call counts among; the endpoint's if absent. */
  readonly circuit?: string | undefined
}

/** What supervising calls takes. */
export interface SupervisorParts {
  readonly timeoutMs: number
  readonly clockToleranceSeconds: number
  /** Reads what a call failed with; `signal` tells whether its time was up. */
  readonly asFailure: (
    error: unknown,
    endpoint: ProviderEndpoint,
    signal: AbortSignal,
  ) => ProviderUnavailable | ProviderAnswerInvalid
  readonly clock: Clock
  readonly observe: Observe
}

/**
 * Makes one call with `send` unless its circuit is open, ends it when its time is up, and reports how it went.
 *
 * Rejects with ProviderUnavailable, also for an answer that says nothing about the request, and with ProviderAnswerInvalid.
 */
export type SuperviseCall = (
  endpoint: ProviderEndpoint,
  bounds: CallBounds,
  send: (signal: AbortSignal) => Promise<Response>,
) => Promise<Response>

/** How soon to come again, in seconds, where the answer does not say. */
export const retrySoonSeconds = 1

const breaker = { failures: 5, openMs: 4000 }
const skewReportMs = 300_000

/** Creates the supervision of all calls to one authorization server, which learns from each how the server fares. */
export function createCallSupervisor(parts: SupervisorParts): SuperviseCall {
  const { clock, observe, asFailure } = parts
  const breakers = new Map<string, CircuitBreaker>()
  let skewReportedMs = Number.NEGATIVE_INFINITY

  function breakerOf(name: string): CircuitBreaker {
    const present = breakers.get(name)
    if (present !== undefined) return present
    const created = createCircuitBreaker(clock, breaker)
    breakers.set(name, created)
    return created
  }

  function reportSkew({ headers }: Response): void {
    // A cache, such as a CDN before metadata and keys, leaves Date as it was and says how old that is (RFC 9111 §5.1).
    const ageMs = (Number(headers.get('age')) || 0) * 1000
    const theirs = Date.parse(headers.get('date') ?? '') + ageMs
    const skewSeconds = Math.round((theirs - clock.nowMs()) / 1000)
    const isLarge = Math.abs(skewSeconds) > parts.clockToleranceSeconds
    if (!isLarge || isWithin(clock, skewReportedMs, skewReportMs)) return
    skewReportedMs = clock.nowMs()
    observe.emit('provider.clock_skew', { skew_seconds: skewSeconds })
  }

  return async (endpoint, { timeoutMs = parts.timeoutMs, circuit: name = endpoint }, send) => {
    const startedMs = clock.nowMs()
    const circuit = breakerOf(name)
    const waitSeconds = circuit.admit()
    if (waitSeconds > 0) throw new ProviderUnavailable(endpoint, 'circuit_open', waitSeconds)
    const deadline = new AbortController()
    const cancel = clock.after(timeoutMs, () => deadline.abort())
    try {
      const response = await send(deadline.signal)
      reportSkew(response)
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
  }
}

/** What the HTTP proxy answered instead of opening a tunnel, if that is what failed. */
function proxyStatusOf({ cause }: Error): number | undefined {
  return cause instanceof TunnelFailure ? cause.status : undefined
}

/** Why an answer says nothing about the request, or undefined. */
function refusalOf(status: number): UnavailableReason | undefined {
  if (status === 429) return 'rate_limited'
  if (status < 500) return undefined
  return status >= 502 && status <= 504 ? 'gateway_error' : 'server_error'
}

/** Seconds from Retry-After (RFC 9110 §10.2.3), within reason; dates are not read. */
function retryAfter(response: Response): number {
  const value = response.headers.get('retry-after') ?? ''
  return /^[0-9]{1,5}$/.test(value) ? Math.min(Math.max(Number(value), retrySoonSeconds), 120) : retrySoonSeconds
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
