import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { Session } from './session-state.ts'

/** What the SPA may know of a session; names and units are the wire contract. Lifetimes are seconds from now. */
export interface SessionSummary {
  readonly generation: number
  /** Seconds since 1970. */
  readonly created_at: number
  readonly expires_in: number
  readonly idle_expires_in: number
  /** When to refresh; absent without a refresh token, and at the end of a session, where nothing more can be gained. */
  readonly refresh_in?: number
  /** Seconds since 1970. */
  readonly auth_time?: number
  readonly acr?: string
  readonly amr?: readonly string[]
  readonly csrf_token?: string
}

/** The answer of GET /session and POST /login/end for a signed-in browser. */
export interface SignedInView {
  readonly is_logged_in: true
  readonly id_token_claims: Readonly<Record<string, unknown>>
  readonly access_token_expires_in: number
  readonly session: SessionSummary
}

/** The answer of POST /refresh. */
export interface RefreshView {
  readonly access_token_expires_in: number
  readonly session: SessionSummary
}

/** What a view is made with. */
export interface ViewParts {
  readonly config: Pick<Config, 'session'>
  readonly clock: Clock
  /** Gives the CSRF token of a session where one is demanded. */
  readonly csrfTokenOf: (sessionId: string) => string | undefined
}

/** The answer for a signed-in browser. */
export function signedInView(session: Session, parts: ViewParts): SignedInView {
  return {
    is_logged_in: true,
    // Without the identity cookie only the subject is known.
    id_token_claims: session.identity?.claims ?? { sub: session.facts.subject },
    ...refreshView(session, parts),
  }
}

/** The answer to a refresh. */
export function refreshView(session: Session, parts: ViewParts): RefreshView {
  const { clock, csrfTokenOf } = parts
  const now = clock.nowSeconds()
  const { facts, access, refresh, identity } = session
  const remaining = (until: number) => Math.max(until - now, 0)
  const accessSeconds = remaining(access?.accessTokenExpiresAt ?? now)
  const amr = identity?.amr ?? refresh?.amr
  const csrfToken = csrfTokenOf(facts.sessionId)
  return {
    access_token_expires_in: accessSeconds,
    session: {
      generation: facts.generation,
      created_at: facts.createdAt,
      expires_in: remaining(facts.absoluteExpiresAt),
      idle_expires_in: remaining(facts.idleExpiresAt),
      ...(refresh === undefined ? undefined : refreshIn(accessSeconds, facts, parts)),
      ...(facts.authTime === undefined ? undefined : { auth_time: facts.authTime }),
      ...(facts.acr === undefined ? undefined : { acr: facts.acr }),
      ...(amr === undefined ? undefined : { amr }),
      ...(csrfToken === undefined ? undefined : { csrf_token: csrfToken }),
    },
  }
}

/**
 * Seconds until the client should refresh: ahead of the end of the access token, or of the idle limit if that comes
 * first, since only a refresh reports activity.
 *
 * A lifetime of at most twice `refreshAheadSeconds` is refreshed when half of it has passed; otherwise the client would
 * refresh again and again, as it would with a token that ends with its session, for which there is nothing. An idle limit
 * that is close already is not counted: the last refresh did not move it, because there was no activity.
 */
function refreshIn(
  accessSeconds: number,
  { idleExpiresAt, absoluteExpiresAt }: Session['facts'],
  { config: { session }, clock }: ViewParts,
): Pick<SessionSummary, 'refresh_in'> {
  const now = clock.nowSeconds()
  const idleSeconds = Math.max(idleExpiresAt - now, 0)
  const shortSeconds = 2 * session.refreshAheadSeconds
  const isLast = accessSeconds <= shortSeconds && Math.min(idleExpiresAt, now + accessSeconds) >= absoluteExpiresAt
  if (isLast) return {}
  const isClose = idleSeconds <= Math.min(shortSeconds, session.idleSeconds / 2)
  const due = isClose ? accessSeconds : Math.min(accessSeconds, idleSeconds)
  const refreshSeconds = due > shortSeconds ? due - session.refreshAheadSeconds : Math.floor(due / 2)
  return { refresh_in: Math.max(1, refreshSeconds) }
}

/** The claims on the allow-list, and no others (OpenID Connect Core §5.4; M06). */
export function visibleClaims(
  claims: Readonly<Record<string, unknown>>,
  allowed: readonly string[],
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => allowed.includes(name)))
}
