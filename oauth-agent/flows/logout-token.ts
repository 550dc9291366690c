import { hash } from 'node:crypto'
import { decodeProtectedHeader, type JWTPayload } from 'jose'
import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { isJsonObject } from '../../shared/json-object.ts'
import { hasForeignAudience, type ProviderJwtParts, verifyProviderJwt } from './provider-jwt.ts'

/** What the checks of a logout token need. */
export interface LogoutTokenParts extends ProviderJwtParts {
  readonly config: Pick<Config, 'authorizationServer' | 'logout'>
}

/** Whose session the authorization server ended: at least one of the two names is there. */
type EndedNames =
  | { readonly subject: string; readonly providerSessionId?: never }
  | { readonly subject?: string; readonly providerSessionId: string }

/** A logout token after all checks but the replay. */
export type LogoutToken = EndedNames & {
  /** Seconds since 1970. */
  readonly issuedAt: number
  /** Names the token itself, as a hash. */
  readonly id: string
  /** How long this token could be used again, in seconds. */
  readonly usableSeconds: number
}

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

/** A logout token is made for the call it comes in; an older one was kept back. */
const maxAgeSeconds = 600

/** Types a logout token may have where servers need not name it; an ID token or access token is none of them. */
const untyped: readonly (string | undefined)[] = [undefined, 'jwt', 'logout+jwt', 'application/logout+jwt']

/**
 * Checks a logout token by every step of OpenID Connect Back-Channel Logout §2.6 but the replay, which needs a memory.
 *
 * Throws `invalid_logout_token` naming the check, and what the key set throws.
 */
export async function checkLogoutToken(parts: LogoutTokenParts, token: string): Promise<LogoutToken> {
  const { config, clock } = parts
  const tolerance = config.authorizationServer.clockToleranceSeconds
  const { iat, exp, jti, sub, sid, ...payload } = await verify(parts, token)
  const now = clock.nowSeconds()
  if (iat === undefined || exp === undefined) throw invalid('format')
  if (iat > now + tolerance || iat < now - maxAgeSeconds) throw invalid('iat')
  checkEvents(payload['events'])
  // The mark of an ID token: without this check one could be passed off as a logout token (§2.4).
  if ('nonce' in payload) throw invalid('nonce')
  if (typeof jti !== 'string' || jti === '') throw invalid('jti')
  return {
    ...parseNames(sub, sid),
    // Sessions count in whole seconds, and so does the list that replicas share; a NumericDate need not.
    issuedAt: Math.floor(iat),
    id: hash('sha256', jti, 'base64url'),
    usableSeconds: Math.max(Math.ceil(Math.min(exp, iat + maxAgeSeconds)) + tolerance - now, 1),
  }
}

async function verify(parts: LogoutTokenParts, token: string): Promise<JWTPayload> {
  const requiredClaims = ['iat', 'exp', 'jti', 'events']
  const isTyped = parts.config.logout.requireTypedLogoutToken
  if (!isTyped && !untyped.includes(typeOf(token))) throw invalid('typ')
  const demands = isTyped ? { requiredClaims, typ: 'logout+jwt' } : { requiredClaims }
  const { payload } = await verifyProviderJwt(parts, token, demands, invalid)
  if (hasForeignAudience(payload, parts)) throw invalid('aud')
  return payload
}

/** The type that the header names, in lower case. */
function typeOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).typ?.toLowerCase()
  } catch (error) {
    throw invalid('format', error)
  }
}

function checkEvents(events: unknown): void {
  const event: unknown = isJsonObject(events) ? events[logoutEvent] : undefined
  if (!isJsonObject(event)) throw invalid('events')
}

function parseNames(sub: unknown, sid: unknown): EndedNames {
  if (sub !== undefined && !isName(sub)) throw invalid('sub')
  if (sid !== undefined && !isName(sid)) throw invalid('sid')
  if (sid !== undefined) return { providerSessionId: sid, ...(sub === undefined ? undefined : { subject: sub }) }
  if (sub === undefined) throw invalid('sub_or_sid')
  return { subject: sub }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function invalid(check: string, cause?: unknown): TokenHandlerError {
  return new TokenHandlerError('invalid_logout_token', { detail: { check }, cause })
}
