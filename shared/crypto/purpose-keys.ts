import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** Keys that seal cookies, one for each kind of content. */
export const sealPurposes = ['access', 'refresh', 'identity', 'login'] as const
/** Keys that make message authentication codes. */
const macPurposes = ['csrf', 'pseudonym'] as const
/** Keys from which key pairs are derived. */
const pairPurposes = ['dpop'] as const
/** What a key may be used for; no key serves two of them. */
export const purposes = [...sealPurposes, ...macPurposes, ...pairPurposes] as const

/** A purpose whose key seals. */
export type SealPurpose = (typeof sealPurposes)[number]
/** A purpose whose key makes codes. */
export type MacPurpose = (typeof macPurposes)[number]
/** A purpose whose key becomes a key pair. */
export type PairPurpose = (typeof pairPurposes)[number]
/** Any purpose of a key. */
export type Purpose = (typeof purposes)[number]

/** The key of one purpose: HKDF-SHA-256 (RFC 5869) of the master key, no salt, info `token-handler/1/<purpose>`. */
export function derivePurposeKey(master: KeyObject, purpose: Purpose): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', master, '', `token-handler/1/${purpose}`, 32)))
}

/** The id of a master key, 8 hex characters that say nothing about the key; equal keys have equal ids. */
export function deriveKeyId(master: KeyObject): string {
  return Buffer.from(hkdfSync('sha256', master, '', 'token-handler/1/key-id', 4)).toString('hex')
}
