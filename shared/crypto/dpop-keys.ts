import { createECDH, createHash, createPrivateKey, hkdfSync, type KeyObject } from 'node:crypto'
import type { KeySource } from './key-ring.ts'
import { encodeLengthPrefixed } from './length-prefixed.ts'
import type { Binding } from './seal.ts'

/** A public key as proofs carry it: nothing of the private half, no further member (RFC 9449 §4.2). */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
}

/** The ES256 key to which access tokens are bound (RFC 9449 §6). */
export interface DpopKey {
  /** Id of the ring key that it is derived from, 8 hex characters. */
  readonly keyId: string
  readonly privateKey: KeyObject
  readonly publicJwk: PublicJwk
  /** SHA-256 thumbprint of the public key as 43 base64url characters (RFC 7638 §3): `dpop_jkt`, and `cnf.jkt` of the tokens. */
  readonly thumbprint: string
}

/** The DPoP keys of one client at one issuer, which follow from the ring in force. */
export interface DpopKeys {
  /** That of the ring key that seals now; throws Error when the ring has none for proofs, which processes check at start. */
  current(): DpopKey
  /** That of the ring key named; undefined once the ring has it no longer. */
  find(keyId: string): DpopKey | undefined
}

/** Who a key is for: another authorization server or client never meets it. */
export type DpopBinding = Pick<Binding, 'clientId' | 'issuer'>

/** The most bytes that client id and issuer may have together: HKDF of Node takes 1,024, of which the rest is taken. */
export const maxDpopBindingBytes =
  1024 - encodeLengthPrefixed(['ES256', '', ''].map((text) => Buffer.from(text))).length

/** Makes the keys of one client; each is derived once for as long as the ring is not read again. */
export function createDpopKeys({ keys, binding }: { keys: KeySource; binding: DpopBinding }): DpopKeys {
  const derived = new WeakMap<KeyObject, DpopKey>()

  function find(keyId: string): DpopKey | undefined {
    const pairKey = keys.current().pairKey('dpop', keyId)
    if (pairKey === undefined) return undefined
    const known = derived.get(pairKey)
    if (known !== undefined) return known
    const made = deriveDpopKey(pairKey, keyId, binding)
    derived.set(pairKey, made)
    return made
  }

  return {
    find,
    current() {
      const key = find(keys.current().primaryKeyId)
      if (key === undefined) throw new Error('the key ring has no key for dpop')
      return key
    },
  }
}

/** Order of the group of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** 128 bits more than the order has, so that the reduction favours no scalar noticeably; 64 are demanded (FIPS 186-5 A.2.1). */
const seedBytes = 48

/**
 * The key pair of a `dpop` key of the ring: `HKDF-SHA-256(key, "", "ES256" and client id and issuer, each preceded by its
 * length, 48)` as a big-endian number, modulo the order of P-256 less one, plus one (FIPS 186-5 A.2.1).
 *
 * Issuer and client id are part of it: an authorization server in somebody else's hand could pass a token of another one
 * on to us, and would have us prove it with the key that it is bound to (FAPI 2.0 Security Profile §6.3, Cuckoo's token).
 */
export function deriveDpopKey(pairKey: KeyObject, keyId: string, { clientId, issuer }: DpopBinding): DpopKey {
  const info = encodeLengthPrefixed(['ES256', clientId, issuer].map((text) => Buffer.from(text, 'utf8')))
  const seed = Buffer.from(hkdfSync('sha256', pairKey, '', info, seedBytes))
  const scalar = (BigInt(`0x${seed.toString('hex')}`) % (order - 1n)) + 1n
  const d = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex')
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(d)
  // 4, then both coordinates (SEC 1 §2.3.3).
  const point = ecdh.getPublicKey()
  const publicJwk: PublicJwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.toString('base64url', 1, 33),
    y: point.toString('base64url', 33, 65),
  }
  const { crv, kty, x, y } = publicJwk
  return {
    keyId,
    privateKey: createPrivateKey({ key: { ...publicJwk, d: d.toString('base64url') }, format: 'jwk' }),
    publicJwk,
    thumbprint: createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url'),
  }
}
