import { hash } from 'node:crypto'
import { decodeProtectedHeader, type JWTPayload } from 'jose'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { jwtCheck } from '../../shared/oauth/failure.ts'
import { ProviderAnswerInvalid, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'

export interface LogoutTokenParts {
  readonly config: Pick<Config, 'authorizationServer' | 'logout'>
  readonly authorizationServer: Pick<AuthorizationServer, 'client' | 'verifyJwt'>
  readonly clock: Clock
}

/** Whose session the authorization server ended; at least one of the two names is there. */
export interface LogoutToken {
  readonly subject?: string
  readonly providerSessionId?: string
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
  if (sub === undefined && sid === undefined) throw invalid('sub_or_sid')
  if (sub !== undefined && !isName(sub)) throw invalid('sub')
  if (sid !== undefined && !isName(sid)) throw invalid('sid')
  return {
    ...(sub === undefined ? undefined : { subject: sub }),
    ...(sid === undefined ? undefined : { providerSessionId: sid }),
    // Sessions count in whole seconds, and so does the list that replicas share; a NumericDate need not.
    issuedAt: Math.floor(iat),
    id: hash('sha256', jti, 'base64url'),
    usableSeconds: Math.max(Math.ceil(Math.min(exp, iat + maxAgeSeconds)) + tolerance - now, 1),
  }
}

async function verify(
  { config, authorizationServer, clock }: LogoutTokenParts,
  token: string,
): Promise<JWTPayload & { sid?: unknown }> {
  const { logout, authorizationServer: settings } = config
  const clientId = authorizationServer.client.client_id
  try {
    if (!logout.requireTypedLogoutToken) checkType(decodeProtectedHeader(token).typ)
    const { payload } = await authorizationServer.verifyJwt(token, {
      issuer: settings.issuer,
      audience: clientId,
      algorithms: settings.idTokenAlgorithms,
      requiredClaims: ['iat', 'exp', 'jti', 'events'],
      ...(logout.requireTypedLogoutToken ? { typ: 'logout+jwt' } : undefined),
      clockTolerance: settings.clockToleranceSeconds,
      currentDate: new Date(clock.nowMs()),
    })
    const trusted = new Set([clientId, ...settings.trustedAudiences])
    const audiences = typeof payload.aud === 'string' ? [payload.aud] : (payload.aud ?? [])
    if (!audiences.every((audience) => trusted.has(audience))) throw invalid('aud')
    return payload
  } catch (error) {
    if (error instanceof ProviderUnavailable || error instanceof ProviderAnswerInvalid) throw error
    if (error instanceof TokenHandlerError) throw error
    // A header that cannot be read is a TypeError of jose.
    throw invalid(error instanceof TypeError ? 'format' : jwtCheck(error), error)
  }
}

function checkType(type: string | undefined): void {
  if (!untyped.includes(type?.toLowerCase())) throw invalid('typ')
}

function checkEvents(events: unknown): void {
  const event: unknown = isRecord(events) ? events[logoutEvent] : undefined
  if (!isRecord(event)) throw invalid('events')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function invalid(check: string, cause?: unknown): TokenHandlerError {
  return new TokenHandlerError('invalid_logout_token', { detail: { check }, cause })
}
