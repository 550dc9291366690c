import { hash, timingSafeEqual } from 'node:crypto'
import type { JWTPayload } from 'jose'
import { TokenHandlerError } from '../../shared/errors.ts'
import { isShallow } from '../../shared/json-object.ts'
import { hasForeignAudience, type ProviderJwtParts, verifyProviderJwt } from './provider-jwt.ts'

/** Claims of an ID token after all checks. */
export interface IdTokenClaims extends JWTPayload {
  readonly iss: string
  readonly sub: string
  readonly iat: number
  readonly auth_time?: number
  readonly acr?: string
  readonly amr?: readonly string[]
  readonly sid?: string
}

/** What the ID token of a sign-in has to answer. */
export interface ExpectedSignIn {
  readonly nonce: string
  readonly accessToken: string
  readonly acrValues?: readonly string[] | undefined
  readonly maxAge?: number | undefined
}

/** What an ID token that comes with a refresh has to continue (OpenID Connect Core §12.2). */
export interface ExpectedContinuity {
  readonly subject: string
  readonly nonce: string
  readonly accessToken: string
  readonly authTime?: number | undefined
}

/** An ID token is made for the answer it comes in; an older one was kept back (OpenID Connect Core §3.1.3.7 step 10). */
const maxAgeSeconds = 600

/**
 * Checks the ID token of a sign-in: every step of OpenID Connect Core §3.1.3.7, the signature included.
 *
 * All of them stand here and in provider-jwt.ts, because oauth4webapi leaves signature, iat, at_hash, azp, acr and
 * further audiences to its caller. Throws `id_token_invalid` or `step_up_not_reached` naming the check, and what the key
 * set throws.
 */
export async function checkIdToken(
  parts: ProviderJwtParts,
  idToken: string,
  expected: ExpectedSignIn,
): Promise<IdTokenClaims> {
  const claims = await checkAnyIdToken(parts, idToken, expected.accessToken)
  if (claims['nonce'] !== expected.nonce) throw invalid('nonce')
  checkFreshness(claims, expected.maxAge, parts)
  if (expected.acrValues !== undefined && !expected.acrValues.includes(claims.acr ?? '')) {
    throw new TokenHandlerError('step_up_not_reached', { detail: { check: 'acr' } })
  }
  return claims
}

/** Checks an ID token that came with a refresh; throws as `checkIdToken` does. */
export async function checkRefreshedIdToken(
  parts: ProviderJwtParts,
  idToken: string,
  expected: ExpectedContinuity,
): Promise<IdTokenClaims> {
  const claims = await checkAnyIdToken(parts, idToken, expected.accessToken)
  if (claims.sub !== expected.subject) throw invalid('sub')
  if (claims['nonce'] !== undefined && claims['nonce'] !== expected.nonce) throw invalid('nonce')
  if (claims.auth_time !== undefined && expected.authTime !== undefined && claims.auth_time !== expected.authTime) {
    throw invalid('auth_time')
  }
  return claims
}

async function checkAnyIdToken(parts: ProviderJwtParts, idToken: string, accessToken: string): Promise<IdTokenClaims> {
  const { config, authorizationServer, clock } = parts
  const demands = { requiredClaims: ['sub', 'iat', 'exp'] }
  const { payload, protectedHeader } = await verifyProviderJwt(parts, idToken, demands, invalid)
  if (hasForeignAudience(payload, parts)) throw invalid('aud')
  const { aud, azp, iat = Number.NaN } = payload
  const hasSeveralAudiences = Array.isArray(aud) && aud.length > 1
  if (azp === undefined ? hasSeveralAudiences : azp !== authorizationServer.client.client_id) throw invalid('azp')

  const now = clock.nowSeconds()
  const tolerance = config.authorizationServer.clockToleranceSeconds
  if (!(iat <= now + tolerance && iat >= now - maxAgeSeconds)) throw invalid('iat')
  checkTokenHash(payload['at_hash'], accessToken, protectedHeader.alg)
  return parseClaims(payload)
}

/** OpenID Connect Core §3.1.3.8: the left half of the access token's hash, with the hash of the signature algorithm. */
function checkTokenHash(presented: unknown, accessToken: string, algorithm: string): void {
  if (presented === undefined) return
  const bits = algorithm.startsWith('Ed') ? '512' : algorithm.slice(-3)
  const digest = hash(`sha${bits}`, accessToken, 'buffer')
  const expected = Buffer.from(digest.subarray(0, digest.length / 2).toString('base64url'))
  const given = Buffer.from(typeof presented === 'string' ? presented : '')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw invalid('at_hash')
}

/** OpenID Connect Core §3.1.3.7 step 13. */
function checkFreshness(claims: IdTokenClaims, maxAge: number | undefined, { config, clock }: ProviderJwtParts): void {
  if (maxAge === undefined) return
  if (claims.auth_time === undefined) throw invalid('auth_time')
  const tolerance = config.authorizationServer.clockToleranceSeconds
  if (claims.auth_time + maxAge + tolerance < clock.nowSeconds()) {
    throw new TokenHandlerError('step_up_not_reached', { detail: { check: 'auth_time' } })
  }
}

/** The claims we use have their types; others are passed on only through the allow-list of session-view.ts. */
function parseClaims(payload: JWTPayload): IdTokenClaims {
  const { iss, sub, iat, auth_time: authTime, acr, amr, sid } = payload
  if (typeof iss !== 'string' || typeof iat !== 'number' || !isShallow(payload)) throw invalid('format')
  if (!isText(sub) || sub === '' || sub.length > 255) throw invalid('sub')
  if (authTime !== undefined && !isMoment(authTime)) throw invalid('auth_time')
  if (acr !== undefined && !isText(acr)) throw invalid('acr')
  if (sid !== undefined && !isText(sid)) throw invalid('sid')
  if (amr !== undefined && !isTextList(amr)) throw invalid('amr')
  return {
    ...payload,
    iss,
    sub,
    iat,
    ...(authTime === undefined ? undefined : { auth_time: Math.floor(authTime) }),
    ...(acr === undefined ? undefined : { acr }),
    ...(amr === undefined ? undefined : { amr }),
    ...(sid === undefined ? undefined : { sid }),
  }
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText)
}

/** Half a surrogate pair has no UTF-8, so it would come back from a cookie as something else. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && !/\p{Surrogate}/u.test(value)
}

/** Seconds since 1970 that a Date can hold. */
function isMoment(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 8.64e12
}

function invalid(check: string, cause?: unknown): TokenHandlerError {
  return new TokenHandlerError('id_token_invalid', { detail: { check }, cause })
}
