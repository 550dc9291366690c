import { createHash } from 'node:crypto'
import { errors, type JWTPayload, type JWTVerifyOptions, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { checkIdToken, checkRefreshedIdToken } from '../../../oauth-agent/flows/id-token.ts'
import type { ProviderJwtParts } from '../../../oauth-agent/flows/provider-jwt.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { createKeySet } from '../../../shared/oauth/key-set.ts'
import { ProviderUnavailable } from '../../../shared/oauth/provider-error.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createSigningKey, type SigningKey } from '../../support/scripted-authorization-server.ts'

const issuer = 'https://login.example.com'
const clock = createManualClock()
const now = clock.nowSeconds()
const keys = await Promise.all(
  ['ES256', 'RS256', 'PS256', 'EdDSA', 'ES384', 'ES512'].map((alg) => createSigningKey(alg)),
)
const [key = await createSigningKey()] = keys
const keySet = createKeySet({
  clock,
  maxAgeSeconds: 600,
  load: async () => ({ keys: keys.map(({ publicJwk }) => publicJwk) }),
})

const accessToken = 'the access token'
const expected = { nonce: 'n', accessToken }
const good = { iss: issuer, sub: 'alice', aud: 'spa', iat: now, exp: now + 300, nonce: 'n' }

function parts(change: object = {}): ProviderJwtParts {
  const authorizationServer = {
    issuer,
    timeoutMs: 1000,
    maxConcurrentRequests: 10,
    clockToleranceSeconds: 30,
    idTokenAlgorithms: ['RS256' as const, 'PS256' as const, 'ES256' as const, 'EdDSA' as const, 'ES384' as const],
    metadataMaxAgeSeconds: 60,
    jwksMaxAgeSeconds: 60,
    requireIssuerInResponse: 'metadata' as const,
    requireSignedUserinfo: false,
    trustedAudiences: [] as string[],
    ...change,
  }
  return {
    clock,
    config: { authorizationServer },
    authorizationServer: { client: { client_id: 'spa' }, verifyJwt: (jwt, options) => keySet.verify(jwt, options) },
  }
}

function sign(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  signer: SigningKey = key,
): Promise<string> {
  const payload = Object.fromEntries(Object.entries({ ...good, ...claims }).filter(([, value]) => value !== undefined))
  return new SignJWT(payload as JWTPayload)
    .setProtectedHeader({ alg: signer.alg, kid: signer.kid, ...header })
    .sign(signer.privateKey)
}

/** `good`, or code and check of the failure. */
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'good',
    (error: unknown) =>
      error instanceof TokenHandlerError ? `${error.code} ${error.detail.check}` : (error as Error).name,
  )

/** A list in a list, so many levels deep. */
function nested(levels: number): unknown {
  return levels === 0 ? 'leaf' : [nested(levels - 1)]
}

describe('the ID token of a sign-in (standards.md 11, OID-1 to OID-11)', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['as it should be', {}, 'good'],
    ['iss with a slash more', { iss: `${issuer}/` }, 'id_token_invalid iss'],
    ['iss as a list', { iss: [issuer] }, 'id_token_invalid iss'],
    ['aud as a list of us', { aud: ['spa'] }, 'good'],
    ['aud in capitals', { aud: 'SPA' }, 'id_token_invalid aud'],
    ['aud empty', { aud: [] }, 'id_token_invalid aud'],
    ['aud with a stranger, azp us', { aud: ['spa', 'evil'], azp: 'spa' }, 'id_token_invalid aud'],
    ['azp of another client', { azp: 'evil' }, 'id_token_invalid azp'],
    ['azp ours', { azp: 'spa' }, 'good'],
    ['azp as a list', { azp: ['spa'] }, 'id_token_invalid azp'],
    ['exp now, within tolerance', { exp: now - 29 }, 'good'],
    ['exp beyond tolerance', { exp: now - 31 }, 'id_token_invalid exp'],
    ['exp as text', { exp: String(now + 300) }, 'id_token_invalid exp'],
    ['iat ahead by the tolerance', { iat: now + 30 }, 'good'],
    ['iat ahead by more', { iat: now + 31 }, 'id_token_invalid iat'],
    ['iat ten minutes ago', { iat: now - 600 }, 'good'],
    ['iat before that', { iat: now - 601 }, 'id_token_invalid iat'],
    ['iat as text', { iat: String(now) }, 'id_token_invalid iat'],
    ['nbf tomorrow', { nbf: now + 86_400 }, 'id_token_invalid nbf'],
    ['nonce as a list', { nonce: ['n'] }, 'id_token_invalid nonce'],
    ['sub empty', { sub: '' }, 'id_token_invalid sub'],
    ['sub as a number', { sub: 5 }, 'id_token_invalid sub'],
    ['sub of 255 characters', { sub: 'x'.repeat(255) }, 'good'],
    ['sub of 256 characters', { sub: 'x'.repeat(256) }, 'id_token_invalid sub'],
    ['sub with half a surrogate pair', { sub: 'al\ud83dice' }, 'id_token_invalid sub'],
    ['sub with a whole surrogate pair', { sub: 'al\u{1f600}ice' }, 'good'],
    ['acr with half a surrogate pair', { acr: '\udc00' }, 'id_token_invalid acr'],
    ['sid with half a surrogate pair', { sid: 'x\ud800' }, 'id_token_invalid sid'],
    ['amr with half a surrogate pair', { amr: ['pwd', '\ud800'] }, 'id_token_invalid amr'],
    ['acr, amr and sid as they should be', { acr: 'high', amr: ['pwd', 'otp'], sid: 's-1' }, 'good'],
    ['auth_time in the first second of 1970', { auth_time: 0 }, 'good'],
    ['auth_time before 1970', { auth_time: -1 }, 'id_token_invalid auth_time'],
    ['auth_time on the last day of all dates', { auth_time: 8.64e12 }, 'good'],
    ['auth_time beyond all dates', { auth_time: 8.64e12 + 1 }, 'id_token_invalid auth_time'],
    ['auth_time as text', { auth_time: '5' }, 'id_token_invalid auth_time'],
    ['auth_time beyond numbers', { auth_time: 1e300 }, 'id_token_invalid auth_time'],
    ['acr as a list', { acr: ['high'] }, 'id_token_invalid acr'],
    ['amr as text', { amr: 'pwd' }, 'id_token_invalid amr'],
    ['sid as a number', { sid: 5 }, 'id_token_invalid sid'],
    ['a claim nested 31 deep', { address: nested(31) }, 'good'],
    ['a claim nested deeper, which cannot be written again', { address: nested(32) }, 'id_token_invalid format'],
  ])('%s', async (_what, claims, wanted) => {
    expect(await outcome(checkIdToken(parts(), await sign(claims), expected))).toBe(wanted)
  })

  it('auth_time counts in whole seconds, as sessions do', async () => {
    const claims = await checkIdToken(parts(), await sign({ auth_time: now - 0.5 }), expected)
    expect(claims.auth_time).toBe(now - 1)
  })

  it('a trusted further audience is taken, with azp ours only', async () => {
    const trusting = parts({ trustedAudiences: ['https://api.example.com'] })
    const both = { aud: ['spa', 'https://api.example.com'] }
    expect(await outcome(checkIdToken(trusting, await sign({ ...both, azp: 'spa' }), expected))).toBe('good')
    expect(await outcome(checkIdToken(trusting, await sign(both), expected))).toBe('id_token_invalid azp')
  })

  it.each([
    ['ES256', 'sha256'],
    ['RS256', 'sha256'],
    ['PS256', 'sha256'],
    ['ES384', 'sha384'],
    ['EdDSA', 'sha512'],
  ])('at_hash under %s is the left half of %s, and wrong otherwise', async (alg, algorithm) => {
    const signer = keys.find((each) => each.alg === alg)
    const digest = createHash(algorithm).update(accessToken).digest()
    const right = digest.subarray(0, digest.length / 2).toString('base64url')
    expect(await outcome(checkIdToken(parts(), await sign({ at_hash: right }, {}, signer), expected))).toBe('good')
    for (const wrong of [`${right}=`, right.slice(1), `A${right.slice(1)}`, '', 5, [right]]) {
      const got = await outcome(checkIdToken(parts(), await sign({ at_hash: wrong }, {}, signer), expected))
      expect(got).toBe('id_token_invalid at_hash')
    }
  })

  it('an algorithm that the settings do not list is refused, whatever the key set holds', async () => {
    const es512 = keys.find((each) => each.alg === 'ES512')
    expect(await outcome(checkIdToken(parts(), await sign({}, {}, es512), expected))).toBe('id_token_invalid alg')
  })

  it.each([
    ['a text', 'no token'],
    ['nothing', ''],
    ['five parts', 'a.b.c.d.e'],
    ['two parts', 'e30.e30'],
  ])('%s is no ID token', async (_what, text) => {
    expect(await outcome(checkIdToken(parts(), text, expected))).toBe('id_token_invalid format')
  })

  it('a header that demands something unknown is refused (RFC 7515 §4.1.11)', async () => {
    const [, payload, signature] = (await sign({})).split('.')
    const header = Buffer.from(JSON.stringify({ alg: key.alg, kid: key.kid, crit: ['exp'], exp: 1 })).toString(
      'base64url',
    )
    expect(await outcome(checkIdToken(parts(), `${header}.${payload}.${signature}`, expected))).toMatch(
      /^id_token_invalid/,
    )
  })

  it('every bit of the signature counts', async () => {
    const token = await sign({})
    const [head = '', payload = '', signature = ''] = token.split('.')
    const bytes = Buffer.from(signature, 'base64url')
    for (let index = 0; index < bytes.length; index += 7) {
      const flipped = Buffer.from(bytes)
      flipped[index] = (flipped[index] ?? 0) ^ 1
      const forged = `${head}.${payload}.${flipped.toString('base64url')}`
      expect(await outcome(checkIdToken(parts(), forged, expected))).toBe('id_token_invalid signature')
    }
  })

  it('acr is checked where it was asked for', async () => {
    const asked = { ...expected, acrValues: ['high', 'higher'] }
    expect(await outcome(checkIdToken(parts(), await sign({ acr: 'higher' }), asked))).toBe('good')
    expect(await outcome(checkIdToken(parts(), await sign({ acr: 'low' }), asked))).toBe('step_up_not_reached acr')
    expect(await outcome(checkIdToken(parts(), await sign({}), asked))).toBe('step_up_not_reached acr')
  })

  it('auth_time is checked where max_age was asked for, zero included', async () => {
    const check = async (maxAge: number, authTime?: number) =>
      outcome(checkIdToken(parts(), await sign({ auth_time: authTime }), { ...expected, maxAge }))
    expect(await check(60, now - 90)).toBe('good')
    expect(await check(60, now - 91)).toBe('step_up_not_reached auth_time')
    expect(await check(0, now)).toBe('good')
    expect(await check(0, now - 31)).toBe('step_up_not_reached auth_time')
    expect(await check(0)).toBe('id_token_invalid auth_time')
  })

  it('keys that cannot be had are an outage, not a bad token', async () => {
    const down = createKeySet({
      clock,
      maxAgeSeconds: 600,
      load: () => Promise.reject(new ProviderUnavailable('jwks', 'timeout', 1)),
    })
    const without = {
      ...parts(),
      authorizationServer: {
        client: { client_id: 'spa' },
        verifyJwt: (jwt: string, options: JWTVerifyOptions) => down.verify(jwt, options),
      },
    }
    expect(await outcome(checkIdToken(without, await sign({}), expected))).toBe('ProviderUnavailable')
  })
})

describe('the ID token of a refresh continues that of the sign-in (OID-14)', () => {
  const continued = { subject: 'alice', nonce: 'n', accessToken, authTime: 100 }
  it.each<[string, Record<string, unknown>, string]>([
    ['the same', { auth_time: 100 }, 'good'],
    ['without nonce and auth_time', { nonce: undefined }, 'good'],
    ['another sub', { sub: 'bob' }, 'id_token_invalid sub'],
    ['another nonce', { nonce: 'm' }, 'id_token_invalid nonce'],
    ['another auth_time', { auth_time: 101 }, 'id_token_invalid auth_time'],
    ['another iss', { iss: 'https://evil.example' }, 'id_token_invalid iss'],
    ['another aud', { aud: 'evil' }, 'id_token_invalid aud'],
  ])('%s', async (_what, claims, wanted) => {
    expect(await outcome(checkRefreshedIdToken(parts(), await sign(claims), continued))).toBe(wanted)
  })

  it('an auth_time that the sign-in did not have contradicts nothing', async () => {
    const { authTime: _, ...without } = continued
    expect(await outcome(checkRefreshedIdToken(parts(), await sign({ auth_time: 100 }), without))).toBe('good')
  })
})

it('jose still reports failures by the classes that are read here', () => {
  expect(new errors.JWTExpired('', {}, 'exp').code).toBe('ERR_JWT_EXPIRED')
  expect(new errors.JWTClaimValidationFailed('', {}, 'aud').claim).toBe('aud')
})
