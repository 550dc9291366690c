/** Facts that every cookie of one login carries, so that cookies of two logins can never be mixed (CK-17). Times are seconds since 1970. */
export interface SessionFacts {
  /** 128 random bits as 22 base64url characters; new at every sign-in. */
  readonly sessionId: string
  /** 1 at sign-in, one more at each refresh. */
  readonly generation: number
  readonly subject: string
  /** When the user signed in here: when the ID token was issued, but not in the future. */
  readonly createdAt: number
  /** The session ends then whatever happens. */
  readonly absoluteExpiresAt: number
  /** The session ends then unless a refresh with activity comes first. */
  readonly idleExpiresAt: number
  /** When the authorization server authenticated the user (OpenID Connect Core §2). */
  readonly authTime?: number
  readonly acr?: string
  /** The `sid` claim of the ID token, by which back-channel logout names the session. */
  readonly providerSessionId?: string
}

/** The limit of its lifetime that a session has reached, or undefined while it may go on. */
export function reachedLimit(
  { absoluteExpiresAt, idleExpiresAt }: Pick<SessionFacts, 'absoluteExpiresAt' | 'idleExpiresAt'>,
  nowSeconds: number,
): 'absolute_limit' | 'idle_limit' | undefined {
  if (nowSeconds >= absoluteExpiresAt) return 'absolute_limit'
  return nowSeconds >= idleExpiresAt ? 'idle_limit' : undefined
}

/** Content of the access cookie; the proxy opens it. */
export interface AccessContent extends SessionFacts {
  readonly accessToken: string
  readonly accessTokenExpiresAt: number
  /** Granted scope, space-separated. */
  readonly scope: string
  /** Id of the ring key whose DPoP key the token is bound to (RFC 9449 §6); absent for a bearer token. */
  readonly dpopKeyId?: string
}

/** Content of the refresh cookie; only the agent has its key. */
export interface RefreshContent extends SessionFacts {
  readonly refreshToken: string
  readonly scope: string
  readonly amr?: readonly string[]
  /** The nonce of the sign-in, for ID-token continuity on refresh (OpenID Connect Core §12.2). */
  readonly nonce: string
  /** Id of the ring key whose DPoP key proved the last token request; absent where none did. */
  readonly dpopKeyId?: string
}

/** Content of the identity cookie: what the SPA may see, and the ID token itself only where id_token_hint is on. */
export interface IdentityContent extends SessionFacts {
  readonly claims: Readonly<Record<string, unknown>>
  readonly idToken?: string
  readonly amr?: readonly string[]
}

/** What is needed to end a session that another user's sign-in replaced. */
export type ReplacedSession = Pick<SessionFacts, 'sessionId' | 'subject' | 'absoluteExpiresAt'>

/** Content of a login cookie: one attempt to sign in. */
export interface LoginContent {
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  readonly issuer: string
  readonly redirectUri: string
  readonly startedAt: number
  readonly scope: string
  readonly returnTo?: string
  /** Asked for, therefore checked in the ID token. */
  readonly acrValues?: readonly string[]
  readonly maxAge?: number
  readonly prompt?: string
  readonly responseMode?: string
  /**
   * The session of the user who asks for a step-up. It stays until the step-up succeeds. It must not have been signed out
   * by then, and the same subject must return.
   */
  readonly stepUpOf?: { readonly sessionId: string; readonly subject: string }
  /** The session that a sign-in by navigation may replace: browsers keep it back when the response comes (CK-9). */
  readonly replaces?: ReplacedSession
  /** Id of the ring key whose DPoP key the code will be bound to (RFC 9449 §10). */
  readonly dpopKeyId?: string
}

/** All cookies of one signed-in browser that belong together. */
export interface SessionCookies {
  readonly access: AccessContent
  readonly refresh?: RefreshContent
  readonly identity: IdentityContent
}
