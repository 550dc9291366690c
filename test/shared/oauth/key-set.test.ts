import { generateKeyPairSync, sign } from 'node:crypto'
import { errors, SignJWT } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { createKeySet } from '../../../shared/oauth/key-set.ts'
import { ProviderUnavailable } from '../../../shared/oauth/provider-error.ts'
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts'
import { createSigningKey, type SigningKey } from '../../support/scripted-authorization-server.ts'

const [first, second, third] = await Promise.all([createSigningKey(), createSigningKey(), createSigningKey()])

let clock: ManualClock
let published: SigningKey[]
let fetches: number
let down: boolean
beforeEach(() => {
  clock = createManualClock()
  published = [first]
  fetches = 0
  down = false
})

const keySet = () =>
  createKeySet({
    clock,
    maxAgeSeconds: 600,
    load: () => {
      fetches += 1
      if (down) return Promise.reject(new ProviderUnavailable('jwks', 'connect_failed', 1))
      return Promise.resolve({ keys: published.map(({ publicJwk }) => publicJwk) })
    },
  })

const jwt = (key: SigningKey, kid: string | null = key.kid) =>
  new SignJWT({}).setProtectedHeader({ alg: key.alg, ...(kid === null ? {} : { kid }) }).sign(key.privateKey)
const options = { algorithms: ['ES256'] }
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

describe('key set (L06, N02, FI-21)', () => {
  it('fetches once for many at a time, and not again while fresh', async () => {
    const set = keySet()
    await Promise.all(Array.from({ length: 50 }, async () => set.verify(await jwt(first), options)))
    clock.pass(599)
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(1)
    clock.pass(2)
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(2)
  })

  it('can be had before they are needed, at no further cost', async () => {
    const set = keySet()
    down = true
    await expect(set.prepare()).rejects.toBeInstanceOf(ProviderUnavailable)
    down = false
    clock.pass(2)
    await set.prepare()
    await set.prepare()
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(2)
  })

  it('that are old but there need no preparation: a renewal that fails slowly is waited for once', async () => {
    const set = keySet()
    await set.prepare()
    down = true
    clock.pass(601)
    await set.prepare()
    expect(fetches).toBe(1)
    // As long as a call for tokens may take.
    clock.pass(3)
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(2)
  })

  it('fetches at once for a key that signs the moment it is published (OID-15)', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    published = [first, second]
    await set.verify(await jwt(second), options)
    expect(fetches).toBe(2)
  })

  it('10 000 made-up kids cost one fetch per pause, and nobody waits for it (L06)', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    const refused: unknown[] = []
    const forged = await Promise.all(Array.from({ length: 20 }, (_, index) => jwt(second, `made-up-${index}`)))
    for (let round = 0; round < 500; round++) {
      await Promise.all(
        forged.map((token) => set.verify(token, options).catch((error: unknown) => refused.push(error))),
      )
    }
    expect([refused.length, fetches]).toEqual([10_000, 2])
    expect(refused.every((error) => error instanceof errors.JWKSNoMatchingKey)).toBe(true)
    clock.pass(10)
    await set.verify(await jwt(second, 'again'), options).catch(() => {})
    expect(fetches).toBe(3)
  })

  it('a failure that is over gives made-up kids no more fetches than before it (L06)', async () => {
    const set = keySet()
    down = true
    await expect(set.prepare()).rejects.toBeInstanceOf(ProviderUnavailable)
    down = false
    clock.pass(2)
    await set.prepare()
    for (let index = 0; index < 20; index++) {
      const forged = await jwt(second, `made-up-${index}`)
      await expect(set.verify(forged, options)).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey)
    }
    expect(fetches).toBe(3)
  })

  it('while the endpoint is down old keys work, unknown ones are unavailable rather than wrong (FI-21)', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    down = true
    published = [second]
    clock.pass(601)
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(2)
    for (let i = 0; i < 10; i++) {
      await expect(set.verify(await jwt(second), options)).rejects.toBeInstanceOf(ProviderUnavailable)
    }
    expect(fetches).toBe(2)
    down = false
    clock.pass(2)
    await set.verify(await jwt(second), options)
    expect(fetches).toBe(3)
  })

  it('never having had a key, asks again soon after a failure', async () => {
    const set = keySet()
    down = true
    await expect(set.verify(await jwt(first), options)).rejects.toBeInstanceOf(ProviderUnavailable)
    down = false
    await expect(set.verify(await jwt(first), options)).rejects.toBeInstanceOf(ProviderUnavailable)
    clock.pass(2)
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(2)
  })

  it('a clock that is set back delays nothing', async () => {
    const set = keySet()
    down = true
    const failed = set.verify(await jwt(first), options)
    await expect(failed).rejects.toBeInstanceOf(ProviderUnavailable)
    down = false
    clock.pass(-3600)
    await set.verify(await jwt(first), options)
    await expect(set.verify(await jwt(second), options)).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey)
    published = [first, second]
    clock.pass(-3600)
    await set.verify(await jwt(second), options)
  })

  it('a withdrawn key is no longer trusted once the set was fetched again', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    published = [second]
    clock.pass(601)
    await set.verify(await jwt(first), options)
    await expect(set.verify(await jwt(first), options)).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey)
  })

  it('verification with keys that are somewhat old does not wait for the next ones, however silent the endpoint is', async () => {
    let arrive = (_keys: { keys: object[] }) => {}
    let isSilent = false
    const load = () => {
      fetches += 1
      if (isSilent) return new Promise<{ keys: object[] }>((resolve) => (arrive = resolve))
      return Promise.resolve({ keys: published.map(({ publicJwk }) => publicJwk) })
    }
    const set = createKeySet({ clock, maxAgeSeconds: 600, load: load as Parameters<typeof createKeySet>[0]['load'] })
    await set.verify(await jwt(first), options)
    isSilent = true
    clock.pass(1199)
    for (let i = 0; i < 3; i++) await set.verify(await jwt(first), options)
    expect(fetches).toBe(2)
    arrive({ keys: [second.publicJwk] })
    isSilent = false
    published = [second]
    await set.verify(await jwt(second), options)
    await expect(set.verify(await jwt(first), options)).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey)
  })

  it('with keys that are very old waits for the next ones, but not again once that has failed', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    published = [second]
    clock.pass(1200)
    down = true
    await set.verify(await jwt(first), options)
    clock.pass(3)
    down = false
    await set.verify(await jwt(first), options)
    expect(fetches).toBe(3)
    await expect(set.verify(await jwt(first), options)).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey)
  })

  it('many at a time that a new key has signed, none of which names it, all find it', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    published = [first, second]
    const signed = await jwt(second, null)
    await Promise.all(Array.from({ length: 200 }, () => set.verify(signed, options)))
    expect(fetches).toBe(2)
  })

  it('nor is it where nobody has used the set for long', async () => {
    const set = keySet()
    await set.verify(await jwt(first), options)
    published = [second]
    clock.pass(1200)
    await expect(set.verify(await jwt(first), options)).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey)
  })

  it.each([1, 2, 3])('without kid tries all %i keys that fit, and refuses what none signed', async (count) => {
    published = [first, second, third].slice(0, count)
    const set = keySet()
    const last = published.at(-1) ?? first
    const { payload } = await set.verify(await jwt(last, null), options)
    expect(payload).toEqual({})
    const stranger = await createSigningKey()
    await expect(set.verify(await jwt(stranger, null), options)).rejects.toBeInstanceOf(
      errors.JWSSignatureVerificationFailed,
    )
  })

  it('without kid fetches for a new key as well, once per pause however many are forged (OID-15, L06)', async () => {
    const set = keySet()
    await set.verify(await jwt(first, null), options)
    published = [second]
    await set.verify(await jwt(second, null), options)
    expect(fetches).toBe(2)
    const forged = await jwt(third, null)
    for (let round = 0; round < 20; round++) {
      await expect(set.verify(forged, options)).rejects.toBeInstanceOf(errors.JWSSignatureVerificationFailed)
    }
    expect(fetches).toBe(2)
    clock.pass(10)
    await expect(set.verify(forged, options)).rejects.toBeInstanceOf(errors.JWSSignatureVerificationFailed)
    expect(fetches).toBe(3)
  })

  it.each(['ES256', 'RS256', 'EdDSA'])(
    'two keys of one kid: that of the algorithm is taken (FA-15): %s',
    async (alg) => {
      const all = await Promise.all(['ES256', 'RS256', 'EdDSA'].map((each) => createSigningKey(each, 'same')))
      published = all
      const signer = all.find((each) => each.alg === alg) ?? first
      await keySet().verify(await jwt(signer), { algorithms: [alg] })
      expect(fetches).toBe(1)
    },
  )

  it('two keys of one kid and one algorithm: either is taken, and no other (FA-15)', async () => {
    const [one, two, stranger] = await Promise.all([1, 2, 3].map(() => createSigningKey('ES256', 'same')))
    published = [one ?? first, two ?? first]
    const set = keySet()
    for (const signer of published) await set.verify(await jwt(signer), options)
    await expect(set.verify(await jwt(stranger ?? first), options)).rejects.toBeInstanceOf(
      errors.JWSSignatureVerificationFailed,
    )
    expect(fetches).toBe(1)
  })

  it.each([
    [1024, false],
    [2048, true],
  ])('a signature by an RSA key of %i bits is good: %s (FA-14)', async (modulusLength, isGood) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength })
    const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' }
    const signed = `${encode({ alg: 'RS256', kid: 'k' })}.${encode({})}`
    const token = `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
    const set = createKeySet({ clock, maxAgeSeconds: 600, load: () => Promise.resolve({ keys: [key] }) })
    const verified = set.verify(token, { algorithms: ['RS256'] }).then(
      () => true,
      () => false,
    )
    expect(await verified).toBe(isGood)
  })

  it('a wrong signature under a kid that is published fetches nothing', async () => {
    const set = keySet()
    await expect(set.verify(await jwt(second, first.kid), options)).rejects.toBeInstanceOf(
      errors.JWSSignatureVerificationFailed,
    )
    expect(fetches).toBe(1)
  })

  it('without kid says what is wrong with a token that one of several keys did sign', async () => {
    published = [first, second]
    const set = keySet()
    const unsigned = new SignJWT({ iss: 'https://other.example' }).setProtectedHeader({ alg: second.alg })
    const verified = set.verify(await unsigned.sign(second.privateKey), { ...options, issuer: 'https://login.example' })
    await expect(verified).rejects.toMatchObject({ name: 'JWTClaimValidationFailed', claim: 'iss' })
  })
})
