import type { TokenHandlerError } from '../../shared/errors.ts'
import type { CallOutcome } from '../forward/send.ts'
import type { Upstream } from '../forward/upstreams.ts'
import type { ProxyRoute } from '../proxy-route.ts'
import type { EdgeParts } from './edge.ts'

/** Reports how a call of an API went. */
export function reportCall(
  { status, outcome, retried }: CallOutcome,
  requestId: string,
  { path: route }: Pick<ProxyRoute, 'path'>,
  startedMs: number,
  { clock, observe }: Pick<EdgeParts, 'clock' | 'observe'>,
): void {
  const duration = clock.nowMs() - startedMs
  observe.emit('upstream.called', { request_id: requestId, route, duration_ms: duration, status, outcome, retried })
  if (outcome !== 'truncated') return
  observe.emit('upstream.failed', {
    request_id: requestId,
    route,
    duration_ms: duration,
    error_code: 'upstream_reset',
    check: 'truncated',
  })
}

/** Reports an upstream that could not be connected to, although the call goes on at another. */
export function reportUnreachable(
  { code, detail }: TokenHandlerError,
  { index }: Upstream,
  requestId: string,
  { path: route }: Pick<ProxyRoute, 'path'>,
  { observe }: Pick<EdgeParts, 'observe'>,
): void {
  observe.emit('upstream.failed', {
    request_id: requestId,
    route,
    error_code: code,
    check: detail.check,
    target: index,
  })
}

/** Reports why a call of an API failed. */
export function reportFailedCall(
  { code, detail }: TokenHandlerError,
  requestId: string,
  { path: route }: Pick<ProxyRoute, 'path'>,
  startedMs: number,
  { clock, observe }: Pick<EdgeParts, 'clock' | 'observe'>,
): void {
  const facts = { request_id: requestId, route, duration_ms: clock.nowMs() - startedMs }
  observe.emit('upstream.called', { ...facts, outcome: code })
  // Whoever is told to wait comes back; only the check says that it is file descriptors of ours that are short.
  const isOurs = code === 'server_error' || code === 'overloaded'
  if (!code.startsWith('upstream_') && !isOurs) return
  observe.emit('upstream.failed', { ...facts, error_code: code, check: detail.check })
}
