import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  type CredentialRoute,
  type CredentialSession,
  createCredentials,
} from '../../../oauth-proxy/credentials/credentials.ts'
import { createTokenRequests } from '../../../oauth-proxy/credentials/token-request.ts'
import { createDpopKeys } from '../../../shared/crypto/dpop-keys.ts'
import { promoteKey, removeKey, rotateKeyRing } from '../../../shared/crypto/key-ring-edit.ts'
import { createKeyRing } from '../../../shared/crypto/key-ring.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import { binding, seededRandom, testKeys } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createTokenEndpoint, tokenClientConfig } from '../../support/token-endpoint.ts'

const { issuer } = binding
const one = testKeys()
const [oldId = ''] = one.map(({ id }) => id)
const staged = rotateKeyRing(one, { random: seededRandom('next'), clock: createManualClock() }, 'stage')
const newId = staged.at(-1)?.id ?? ''
const promoted = promoteKey(staged, newId)

/** Credentials over a token endpoint that gives bound tokens, or what `type` says. */
function credentialsWith({ isBound = true, type = 'DPoP' } = {}) {
  const clock = createManualClock()
  const config = tokenClientConfig(`dpop_bound_access_tokens: ${isBound}`)
  let ring = createKeyRing(staged)
  const keys = { current: () => ring }
  const proofs: (string | undefined)[] = []
  const transport = createTokenEndpoint(issuer, (form, headers) => {
    proofs.push(headers['dpop'])
    return {
      body: {
        access_token: `${form.get('subject_token') ?? 'the-app'}.${proofs.length}`,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: type,
        expires_in: 300,
      },
    }
  })
  const observe = { emit: () => {} }
  const authorizationServer = createAuthorizationServer({ config, clock, observe, keys, transport })
  const requests = createTokenRequests({ authorizationServer, settings: config.session, clock })
  const dpop = createDpopKeys({ keys, binding })
  return {
    credentials: createCredentials({ requests, clock, observe, ...(isBound ? { dpop } : {}) }),
    requests,
    dpop,
    proofs,
    clock,
    take: (entries: typeof one) => {
      ring = createKeyRing(entries)
    },
    session: (dpopKeyId?: string): CredentialSession => ({
      accessToken: 'of-the-user',
      accessTokenExpiresAt: clock.nowSeconds() + 300,
      ...(dpopKeyId === undefined ? {} : { dpopKeyId }),
    }),
  }
}

const route = (credential: CredentialRoute['credential']): CredentialRoute => ({
  path: '/api/**',
  credential,
  anonymous: 'deny',
  anonymousToken: {},
})
const user = route({ kind: 'user' })
const exchange = route({ kind: 'exchange', audience: 'orders' })
const application = route({ kind: 'client_credentials' })

describe("the user's token", () => {
  it('goes in the DPoP scheme with the key that it is bound to, whichever is in force (DP-8)', async () => {
    const { credentials, dpop, session } = credentialsWith()
    const credential = await credentials.obtain(user, session(newId), 'r1')
    expect(credential).toMatchObject({ header: 'authorization', value: 'DPoP of-the-user' })
    expect(credential?.possession?.key).toBe(dpop.find(newId))
    expect(credential?.possession?.tokenHash).toBe(createHash('sha256').update('of-the-user').digest('base64url'))
    expect(dpop.current().keyId).toBe(oldId)
  })

  it.each(['', 'a b', 'a\r\nX-User: admin', 'a,b', 'a\0'])(
    'H12 is never sent where it is no token: %j',
    async (token) => {
      const { credentials, session } = credentialsWith()
      await expect(credentials.obtain(user, { ...session(newId), accessToken: token }, 'r1')).rejects.toMatchObject({
        code: 'authorization_server_error',
      })
    },
  )

  it.each<[string, boolean, string | undefined]>([
    ['a bearer token where tokens are bound', true, undefined],
    ['a bound one where they are not', false, oldId],
    ['one whose key no ring has', true, 'ffffffff'],
  ])('counts as expired: %s', async (_what, isBound, keyId) => {
    const { credentials, session, proofs } = credentialsWith({ isBound })
    for (const each of [user, exchange]) {
      await expect(credentials.obtain(each, session(keyId), 'r1')).rejects.toMatchObject({
        code: 'access_token_expired',
        detail: { check: 'dpop_key' },
      })
    }
    expect(proofs).toEqual([])
  })

  it('of a session that was prepared before is not sent once its key is gone', async () => {
    const { credentials, session, take } = credentialsWith()
    const given = session(oldId)
    await credentials.obtain(user, given, 'r1')
    take(removeKey(promoted, oldId))
    // The ring that is read anew makes every cookie be opened anew, into another object.
    await expect(credentials.obtain(user, { ...given }, 'r2')).rejects.toMatchObject({ code: 'access_token_expired' })
  })

  it.each(['none', 'api_key'] as const)('does not matter to a route with a credential of kind %s', async (kind) => {
    const { credentials, session } = credentialsWith()
    const value = { reveal: () => 'key' } as never
    const given = route(kind === 'none' ? { kind } : { kind, header: 'X-Api-Key', prefix: '', value })
    expect(await credentials.obtain(given, session(), 'r1')).toEqual(
      kind === 'none' ? undefined : { header: 'x-api-key', value: 'key' },
    )
  })
})

describe('a token that is asked for', () => {
  it('in exchange is bound to the key of the one that it is made from', async () => {
    const { credentials, dpop, session, proofs } = credentialsWith()
    const credential = await credentials.obtain(exchange, session(newId), 'r1')
    expect(credential).toMatchObject({ value: 'DPoP of-the-user.1' })
    expect(credential?.possession?.key).toBe(dpop.find(newId))
    expect(decodeProtectedHeader(proofs[0] ?? '').jwk).toEqual(dpop.find(newId)?.publicJwk)
    expect(decodeJwt(proofs[0] ?? '')).toMatchObject({ htm: 'POST', htu: `${issuer}/token` })
  })

  it.each<[string, boolean, string | undefined]>([
    ['without a key where tokens are bound', true, undefined],
    ['with a key that no ring has', true, 'ffffffff'],
    ['with a key where they are not bound', false, oldId],
  ])('is not asked for %s: it would come as a bearer token', async (_what, isBound, dpopKeyId) => {
    const { requests, session, proofs } = credentialsWith({ isBound, type: 'Bearer' })
    for (const asked of [
      requests.exchange(session(dpopKeyId), { audience: 'orders' }),
      requests.clientCredentials({}, dpopKeyId),
    ]) {
      await expect(asked).rejects.toMatchObject({ code: 'server_error' })
    }
    expect(proofs).toEqual([])
  })

  it('for the application is bound to the key in force, and asked for anew when that is another', async () => {
    const { credentials, dpop, session, proofs, take } = credentialsWith()
    const first = await credentials.obtain(application, session(oldId), 'r1')
    expect(await credentials.obtain(application, session(oldId), 'r2')).toEqual(first)
    expect(proofs).toHaveLength(1)
    take(promoted)
    const second = await credentials.obtain(application, session(oldId), 'r3')
    expect(second?.possession?.key).toBe(dpop.find(newId))
    expect(second?.value).not.toBe(first?.value)
  })

  it('is forgotten when the API refuses it, under either scheme', async () => {
    for (const isBound of [true, false]) {
      const { credentials, session, proofs, clock } = credentialsWith({ isBound, type: isBound ? 'DPoP' : 'Bearer' })
      const given = session(isBound ? oldId : undefined)
      const first = await credentials.obtain(exchange, given, 'r1')
      clock.pass(10_000)
      credentials.refused(exchange, given, first)
      await credentials.obtain(exchange, given, 'r2')
      expect(proofs).toHaveLength(2)
    }
  })

  it('can be refused by the API when its key has gone while the call was under way', async () => {
    const { credentials, session, take } = credentialsWith()
    const given = session(oldId)
    const credential = await credentials.obtain(exchange, given, 'r1')
    take(removeKey(promoted, oldId))
    expect(() => credentials.refused(exchange, given, credential)).not.toThrow()
    await expect(credentials.obtain(exchange, given, 'r2')).rejects.toMatchObject({ code: 'access_token_expired' })
  })

  it.each([
    ['exchange', exchange],
    ['client_credentials', application],
  ])('and comes unbound is refused: %s (DP-7)', async (_kind, given) => {
    const { credentials, session } = credentialsWith({ type: 'Bearer' })
    await expect(credentials.obtain(given, session(oldId), 'r1')).rejects.toMatchObject({
      code: 'token_exchange_failed',
      detail: { check: 'token_type' },
    })
  })
})
