import { decodeBase64url, encodeBase64url } from './base64url.ts'
import type { KeySource } from './key-ring.ts'
import { encodeLengthPrefixed } from './length-prefixed.ts'
import type { SealPurpose } from './purpose-keys.ts'
import type { RandomBytes } from './random.ts'
import { xaesNonceBytes, xaesTagBytes } from './xaes.ts'

/** What a sealed value belongs to besides its slot; the same keys used by another application or issuer open nothing. */
export interface Binding {
  readonly clientId: string
  readonly issuer: string
  readonly publicOrigin: string
}

/** The binding of one installation; cookies of another cannot be opened here. */
export function bindingOf({
  client,
  authorizationServer,
  publicOrigin,
}: {
  readonly client: { readonly id: string }
  readonly authorizationServer: { readonly issuer: string }
  readonly publicOrigin: string
}): Binding {
  return { clientId: client.id, issuer: authorizationServer.issuer, publicOrigin }
}

/** The one place in which a sealed value may appear. */
export interface SealSlot {
  /** The full cookie name with its prefix, or a name of its own for values that are no cookies. */
  readonly name: string
  readonly purpose: SealPurpose
}

/** For events only: every failure looks the same from outside (EN-10). */
export type SealFailure = 'malformed' | 'unknown_version' | 'unknown_key' | 'tampered'

/** What became of a sealed value. */
export type Unsealed =
  | { readonly kind: 'opened'; readonly plaintext: Buffer; readonly keyId: string }
  | { readonly kind: 'unreadable'; readonly reason: SealFailure; readonly keyId?: string }

/** Seals for one slot. */
export type Seal = (plaintext: Buffer) => string
/** Opens what was sealed for one slot; never throws. */
export type Open = (value: string) => Unsealed

const formatVersion = 1
const keyIdAt = 1
const nonceAt = 5
const ciphertextAt = nonceAt + xaesNonceBytes
const shortest = ciphertextAt + xaesTagBytes

/** Makes sealers: `base64url(version 1 ‖ key id 4 ‖ nonce 24 ‖ ciphertext ‖ tag 16)` under the key that seals now. */
export function createSealer(parts: { keys: KeySource; binding: Binding; random: RandomBytes }) {
  return function sealFor(slot: SealSlot): Seal {
    const dataFor = associatedDataByKey(slot, parts.binding)
    return function seal(plaintext) {
      const { keyId, key } = parts.keys.current().sealingKey(slot.purpose)
      const nonce = parts.random(xaesNonceBytes)
      const head = Buffer.from([formatVersion])
      const id = Buffer.from(keyId, 'hex')
      return encodeBase64url(Buffer.concat([head, id, nonce, key.seal(nonce, plaintext, dataFor(keyId))]))
    }
  }
}

/** Makes openers; the key is chosen by the id in the value and nothing else is tried. */
export function createOpener(parts: { keys: KeySource; binding: Binding }) {
  return function openFor(slot: SealSlot): Open {
    const dataFor = associatedDataByKey(slot, parts.binding)
    return function open(value) {
      const sealed = decodeBase64url(value)
      if (sealed === undefined || sealed.length < shortest) return { kind: 'unreadable', reason: 'malformed' }
      if (sealed[0] !== formatVersion) return { kind: 'unreadable', reason: 'unknown_version' }
      const keyId = sealed.toString('hex', keyIdAt, nonceAt)
      const key = parts.keys.current().openingKey(slot.purpose, keyId)
      // A key that has been retired is an old session; a known key that fails is tampering. Events tell them apart.
      if (key === undefined) return { kind: 'unreadable', reason: 'unknown_key', keyId }
      const nonce = sealed.subarray(nonceAt, ciphertextAt)
      const plaintext = key.open(nonce, sealed.subarray(ciphertextAt), dataFor(keyId))
      if (plaintext === undefined) return { kind: 'unreadable', reason: 'tampered', keyId }
      return { kind: 'opened', plaintext, keyId }
    }
  }
}

/** What a sealed value belongs to, as FORMAT.md lists it. */
export function associatedData(keyId: string, slot: SealSlot, binding: Binding): Buffer {
  const parts = [
    Buffer.from([formatVersion]),
    Buffer.from(keyId, 'hex'),
    ...[slot.name, slot.purpose, binding.clientId, binding.issuer, binding.publicOrigin].map((text) =>
      Buffer.from(text, 'utf8'),
    ),
  ]
  return encodeLengthPrefixed(parts)
}

/** Remembers the associated data of each key; asked only for keys of the ring, so strangers cannot make it grow. */
function associatedDataByKey(slot: SealSlot, binding: Binding): (keyId: string) => Buffer {
  const known = new Map<string, Buffer>()
  return (keyId) => {
    const seen = known.get(keyId)
    if (seen !== undefined) return seen
    const data = associatedData(keyId, slot, binding)
    known.set(keyId, data)
    return data
  }
}
