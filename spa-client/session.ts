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

/** True for what may have members. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const record = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {})
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/**
 * The session as an answer of the agent describes it.
 *
 * The answer to a refresh has no claims, so those of `before` stay.
 */
export function parseSession(answer: Readonly<Record<string, unknown>>, now: number, before = signedOut): Session {
  if (answer['is_logged_in'] === false) return signedOut
  const facts = record(answer['session'])
  const in_ = (seconds: unknown) => (typeof seconds === 'number' ? now + seconds * 1000 : undefined)
  const { amr } = facts
  return {
    isLoggedIn: true,
    claims: isRecord(answer['id_token_claims']) ? answer['id_token_claims'] : before.claims,
    accessTokenExpiresAt: in_(answer['access_token_expires_in']),
    refreshAt: in_(facts['refresh_in']),
    endsAt: in_(facts['expires_in']),
    idleEndsAt: in_(facts['idle_expires_in']),
    createdAt: number(facts['created_at']),
    authTime: number(facts['auth_time']),
    acr: text(facts['acr']),
    amr: Array.isArray(amr) ? amr.map(String) : undefined,
    generation: number(facts['generation']),
    returnTo: text(answer['return_to']),
    csrfToken: text(facts['csrf_token']) ?? before.csrfToken,
  }
}

/** What stays the same as long as nobody signs in anew; two sign-ins may fall into one second. */
const identityOf = ({ isLoggedIn, claims, createdAt, authTime, acr }: Session): string =>
  JSON.stringify([isLoggedIn, claims['sub'], createdAt, authTime, acr])

/** True if `one` and `other` are the same sign-in of the same user. */
export function isSameLogin(one: Session, other: Session): boolean {
  return identityOf(one) === identityOf(other)
}

/** True if `next` is an older picture of the session than `present`; messages of other tabs may overtake each other. */
export function isOlder(next: Session, present: Session): boolean {
  return isSameLogin(next, present) && (next.generation ?? 0) < (present.generation ?? 0)
}
