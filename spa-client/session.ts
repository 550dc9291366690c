import type { Answer } from './agent.ts'

/** What a page may know of the session. Times are milliseconds since 1970 by the clock of this browser. */
export interface Session {
  readonly isLoggedIn: boolean
  /** Claims of the ID token that the agent passes on; empty when nobody is signed in. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly accessTokenExpiresAt?: number | undefined
  /** When the agent proposes to refresh. */
  readonly refreshAt?: number | undefined
  /** The session ends then whatever happens. */
  readonly endsAt?: number | undefined
  /** The session ends then unless the user does something. */
  readonly idleEndsAt?: number | undefined
  /** When the user signed in, in seconds since 1970 by the clock of the agent. */
  readonly createdAt?: number | undefined
  /** When the user was authenticated, in seconds since 1970 by the clock of the authorization server. */
  readonly authTime?: number | undefined
  readonly acr?: string | undefined
  readonly amr?: readonly string[] | undefined
  /** One more at every refresh. */
  readonly generation?: number | undefined
  /** Where the app was before the sign-in; only from `onPageLoad` that finished one. */
  readonly returnTo?: string | undefined
  /** Sent back in `x-csrf-token` where the agent demands it. */
  readonly csrfToken?: string | undefined
}

/** The session while nobody is signed in. */
export const signedOut: Session = { isLoggedIn: false, claims: {} }

/**
 * The session as an answer of the agent describes it.
 *
 * The answer to a refresh has no claims, so those of `before` stay.
 */
export function parseSession(answer: Answer, now: number, before = signedOut): Session {
  if (answer.is_logged_in === false) return signedOut
  const facts = answer.session ?? {}
  const timeIn = (seconds: number | undefined) => (seconds === undefined ? undefined : now + seconds * 1000)
  return {
    isLoggedIn: true,
    claims: answer.id_token_claims ?? before.claims,
    accessTokenExpiresAt: timeIn(answer.access_token_expires_in),
    refreshAt: timeIn(facts.refresh_in),
    endsAt: timeIn(facts.expires_in),
    idleEndsAt: timeIn(facts.idle_expires_in),
    createdAt: facts.created_at,
    authTime: facts.auth_time,
    acr: facts.acr,
    amr: facts.amr,
    generation: facts.generation,
    csrfToken: facts.csrf_token ?? before.csrfToken,
  }
}

/** What stays the same as long as nobody signs in anew; two sign-ins may fall into one second. */
const identityOf = ({ isLoggedIn, claims, createdAt, authTime, acr }: Session): string =>
  JSON.stringify([isLoggedIn, claims['sub'], createdAt, authTime, acr])

/** True if `one` and `other` are the same sign-in of the same user. */
export function isSameLogin(one: Session, other: Session): boolean {
  return identityOf(one) === identityOf(other)
}

/** True if `one` was refreshed more often than `other`, another picture of the same sign-in. */
export function isNewer(one: Session, other: Session): boolean {
  return (one.generation ?? 0) > (other.generation ?? 0)
}

/** True if `next` is an older picture of the session than `present`; messages of other tabs may overtake each other. */
export function isOlder(next: Session, present: Session): boolean {
  return isSameLogin(next, present) && isNewer(present, next)
}
