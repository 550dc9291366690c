import { sign } from 'node:crypto'
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { keyOfToken } from '../../../shared/cookies/key-of-token.ts'
import { createDpopKeys, maxDpopBindingBytes } from '../../../shared/crypto/dpop-keys.ts'
import { deriveKeyRing, promoteKey, removeKey, rotateKeyRing } from '../../../shared/crypto/key-ring-edit.ts'
import type { KeyEntries } from '../../../shared/crypto/key-ring-file.ts'
import {
  createKeyRing,
  fixedKeys,
  missingPurposes,
  proofPurposes,
  proxyPurposes,
} from '../../../shared/crypto/key-ring.ts'
import { purposes } from '../../../shared/crypto/purpose-keys.ts'
import { binding, seededRandom, testKeys } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { vectorKeys } from '../../support/sealed-cookie-vectors.ts'

const keysOf = (entries: KeyEntries, change: Partial<typeof binding> = {}) =>
  createDpopKeys({ keys: fixedKeys(createKeyRing(entries)), binding: { ...binding, ...change } })
const one = testKeys()
const [id = ''] = one.map((entry) => entry.id)
const two = rotateKeyRing(one, { random: seededRandom('next'), clock: createManualClock() }, 'stage')
const nextId = two.at(-1)?.id ?? ''

describe('the DPoP key of a ring key', () => {
  it('is the one that FORMAT.md describes, computed elsewhere (FIPS 186-5 A.2.1)', () => {
    expect(keysOf(vectorKeys).current()).toMatchObject({
      keyId: 'cc8efa02',
      publicJwk: {
        kty: 'EC',
        crv: 'P-256',
        x: 'HEvG_GYESJyw6x6XdWMha6-SO54nuDqPIUWSKbOohPw',
        y: 'wc0dMStEMq3RXOTcINI1CdtZSyucual12teF0DNbAP8',
      },
      thumbprint: 'd-ClYUlB2LG57aK1BI5FmPJvqRoRG600jXOzWX6Ronc',
    })
  })

  it('signs ES256, and its thumbprint is that of RFC 7638', async () => {
    const { privateKey, publicJwk, thumbprint } = keysOf(one).current()
    expect(thumbprint).toBe(await calculateJwkThumbprint({ ...publicJwk }))
    const signed = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.e30`
    const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const jws = `${signed}.${signature.toString('base64url')}`
    await expect(compactVerify(jws, await importJWK({ ...publicJwk }, 'ES256'))).resolves.toBeDefined()
  })

  it.each([
    ['issuer', { issuer: 'https://login.example.org' }],
    ['client', { clientId: 'other' }],
    ['issuer and client that are one text', { clientId: 'spahttps:', issuer: '//login.example.com' }],
  ])('is another one for another %s (FA-18)', (_what, change) => {
    expect(keysOf(one, change).current().thumbprint).not.toBe(keysOf(one).current().thumbprint)
  })

  it('can be derived for as long an issuer and client id as the settings may name, and no longer ones', () => {
    const current = (bytes: number) => () =>
      keysOf(one, { clientId: 'ü', issuer: 'i'.repeat(bytes - 2) }).current().thumbprint
    expect(current(maxDpopBindingBytes)).not.toThrow()
    expect(current(maxDpopBindingBytes + 1)).toThrow(RangeError)
  })

  it('is the same for every origin, since the authorization server knows one client', () => {
    expect(keysOf(one, { publicOrigin: 'https://other.example.com' }).current().thumbprint).toBe(
      keysOf(one).current().thumbprint,
    )
  })
})

describe('the DPoP keys of a ring', () => {
  it('are found by the id of their ring key, and the one that seals is in force', () => {
    expect(keysOf(two).current().keyId).toBe(id)
    expect(keysOf(promoteKey(two, nextId)).current().keyId).toBe(nextId)
    expect(keysOf(two).find(nextId)?.thumbprint).toBe(keysOf(promoteKey(two, nextId)).current().thumbprint)
    expect(keysOf(two).find(nextId)?.thumbprint).not.toBe(keysOf(two).current().thumbprint)
  })

  it('are gone with their ring key, also where they were used before (EN-7)', () => {
    let ring = createKeyRing(two)
    const keys = createDpopKeys({ keys: { current: () => ring }, binding })
    expect(keys.find(id)).toBeDefined()
    ring = createKeyRing(removeKey(promoteKey(two, nextId), id))
    expect(keys.find(id)).toBeUndefined()
    expect(keys.current().keyId).toBe(nextId)
  })

  it('are derived once', () => {
    const keys = keysOf(one)
    expect(keys.find(id)).toBe(keys.current())
  })
})

describe('the key of an access token', () => {
  const keys = keysOf(one)
  it('is the one that it is bound to, and none for a bearer token where tokens are bound to none', () => {
    expect(keyOfToken({ dpopKeyId: id }, keys)).toBe(keys.current())
    expect(keyOfToken({}, undefined)).toBeUndefined()
  })

  it.each([
    ['a bearer token where tokens are bound', undefined, keys],
    ['a bound token where tokens are not', id, undefined],
    ['a token whose key the ring has lost', nextId, keys],
  ])('is not had for %s, which counts as expired', (_what, dpopKeyId, had) => {
    const refused = expect.objectContaining({ code: 'access_token_expired', detail: { check: 'dpop_key' } })
    expect(() => keyOfToken(dpopKeyId === undefined ? {} : { dpopKeyId }, had)).toThrow(refused)
  })
})

describe('a ring for proxies (EN-9)', () => {
  const derived = deriveKeyRing(one, [...proxyPurposes, ...proofPurposes])

  it('has the same DPoP keys as that of the agents, and still opens no refresh token', () => {
    expect(keysOf(derived).current().thumbprint).toBe(keysOf(one).current().thumbprint)
    expect(missingPurposes(createKeyRing(derived), purposes)).toEqual(['refresh', 'identity', 'login'])
  })

  it('has none unless it was asked for', () => {
    const plain = keysOf(deriveKeyRing(one, proxyPurposes))
    expect(plain.find(id)).toBeUndefined()
    expect(() => plain.current()).toThrow('no key for dpop')
  })
})
