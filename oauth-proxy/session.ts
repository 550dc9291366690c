import type { Clock } from '../shared/clock.ts'
import type { RequestCookies } from '../shared/cookies/header.ts'
import { type AccessContent, reachedLimit } from '../shared/cookies/session.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import type { Store } from '../shared/store/store.ts'

/** Opens the access cookie; nothing about its times is decided by opening it. */
export interface AccessCookieReader {
  access(
    cookies: RequestCookies,
  ): { readonly kind: 'absent' | 'unreadable' } | { readonly kind: 'opened'; readonly content: AccessContent }
}

/** What judging a session needs. */
export interface SessionParts {
  readonly cookies: AccessCookieReader
  readonly store: Pick<Store, 'hasEnded'>
  readonly clock: Pick<Clock, 'nowSeconds'>
}

/**
 * The session of a request, or undefined for a visitor without a cookie.
 *
 * Every request is judged anew, cached opening or not. Throws `session_invalid`, `session_expired` or
 * `access_token_expired`; the proxy itself never clears a cookie.
 */
export function openSession(cookies: RequestCookies, parts: SessionParts): AccessContent | undefined {
  const opened = parts.cookies.access(cookies)
  if (opened.kind === 'absent') return undefined
  if (opened.kind !== 'opened') throw new TokenHandlerError('session_invalid')
  const { content } = opened
  const end = sessionEnd(content, parts)
  if (end !== undefined) throw new TokenHandlerError('session_expired', { detail: { check: end } })
  if (parts.clock.nowSeconds() >= content.accessTokenExpiresAt) throw new TokenHandlerError('access_token_expired')
  return content
}

/** Why a session is over: a limit inside its cookie has passed, or it was ended elsewhere; undefined while it may go on. */
export function sessionEnd(
  session: AccessContent,
  { store, clock }: Pick<SessionParts, 'store' | 'clock'>,
): 'absolute_limit' | 'idle_limit' | 'ended' | undefined {
  return reachedLimit(session, clock.nowSeconds()) ?? (store.hasEnded(session) ? 'ended' : undefined)
}
