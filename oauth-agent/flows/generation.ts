import type { RefreshContent, SessionCookies, SessionFacts } from '../../shared/cookies/session.ts'
import type { TokenAnswer } from '../../shared/oauth/token-endpoint.ts'

/** One generation of a session: what its three cookies share, and what each has of its own. */
export interface Generation {
  readonly facts: SessionFacts
  readonly tokens: Pick<TokenAnswer, 'accessToken' | 'expiresAt' | 'dpopKeyId'>
  /** Of the access token. */
  readonly scope: string
  /** Undefined where the authorization server gave no refresh token. */
  readonly refresh: Pick<RefreshContent, 'refreshToken' | 'scope' | 'nonce'> | undefined
  readonly amr: readonly string[] | undefined
  /** What the SPA may see. */
  readonly claims: Readonly<Record<string, unknown>>
  /** For sign-out, where the settings keep it. */
  readonly idToken: string | undefined
}

/** The contents of the cookies of a generation; no access token outlives its session. */
export function cookiesOf(generation: Generation): SessionCookies {
  const { facts, tokens, scope, refresh, claims, idToken } = generation
  const amr = generation.amr === undefined ? undefined : { amr: generation.amr }
  const bound = tokens.dpopKeyId === undefined ? undefined : { dpopKeyId: tokens.dpopKeyId }
  return {
    access: {
      ...facts,
      accessToken: tokens.accessToken,
      accessTokenExpiresAt: Math.min(tokens.expiresAt, facts.absoluteExpiresAt),
      scope,
      ...bound,
    },
    ...(refresh === undefined ? undefined : { refresh: { ...facts, ...amr, ...refresh, ...bound } }),
    identity: { ...facts, ...amr, claims, ...(idToken === undefined ? undefined : { idToken }) },
  }
}

/** The facts of the next generation, without the rest of the content that `facts` come from. */
export function nextFacts(facts: SessionFacts): SessionFacts {
  const { sessionId, generation, subject, createdAt, absoluteExpiresAt, idleExpiresAt } = facts
  return {
    sessionId,
    generation: generation + 1,
    subject,
    createdAt,
    absoluteExpiresAt,
    idleExpiresAt,
    ...(facts.authTime === undefined ? undefined : { authTime: facts.authTime }),
    ...(facts.acr === undefined ? undefined : { acr: facts.acr }),
    ...(facts.providerSessionId === undefined ? undefined : { providerSessionId: facts.providerSessionId }),
  }
}

/** The same generation with another idle limit, in seconds since 1970, which never exceeds the absolute one. */
export function withIdleEnd({ access, refresh, identity }: SessionCookies, idleEnd: number): SessionCookies {
  const idle = { idleExpiresAt: Math.min(idleEnd, access.absoluteExpiresAt) }
  return {
    access: { ...access, ...idle },
    ...(refresh === undefined ? undefined : { refresh: { ...refresh, ...idle } }),
    identity: { ...identity, ...idle },
  }
}
