import type { KeyObject } from 'node:crypto'
import { type KeyEntries, type KeyEntry, parseKeyRingFile } from './key-ring-file.ts'
import {
  type MacPurpose,
  type PairPurpose,
  type Purpose,
  type SealPurpose,
  derivePurposeKey,
  purposes,
  sealPurposes,
} from './purpose-keys.ts'
import { type XaesKey, createXaesKey } from './xaes.ts'

/** The key that seals now. */
export interface SealingKey {
  readonly keyId: string
  readonly key: XaesKey
}

/** Keys ready for use: the first seals, all open. */
export interface KeyRing {
  /** Id of the key that seals. */
  readonly primaryKeyId: string
  keyIds(): readonly string[]
  /** False when the ring was derived for a process that has no business with `purpose` (EN-9). */
  canSeal(purpose: Purpose): boolean
  /** Throws Error when the ring has no key for `purpose`; processes check that at start. */
  sealingKey(purpose: SealPurpose): SealingKey
  /** The key named by a sealed value, or undefined; keys are never tried in turn, since GCM does not commit to a key. */
  openingKey(purpose: SealPurpose, keyId: string): XaesKey | undefined
  /** All keys for codes of `purpose`: the first makes, all verify. */
  macKeys(purpose: MacPurpose): readonly KeyObject[]
  /** The key named, from which a key pair is derived; undefined when the ring has none for `purpose` by this id. */
  pairKey(purpose: PairPurpose, keyId: string): KeyObject | undefined
}

/** The ring in force at this moment; a reload replaces it as a whole. */
export interface KeySource {
  current(): KeyRing
}

/** A ring that never changes. */
export function fixedKeys(ring: KeyRing): KeySource {
  return { current: () => ring }
}

/** Reads a key ring file; throws ConfigError with every problem found. */
export function parseKeyRing(text: string): KeyRing {
  return createKeyRing(parseKeyRingFile(text))
}

/** Derives what each purpose needs; throws RangeError for an empty list. */
export function createKeyRing(entries: KeyEntries): KeyRing {
  const [primary] = entries
  if (primary === undefined) throw new RangeError('a key ring has at least one key')
  const keysOf = (purpose: Purpose): ReadonlyMap<string, KeyObject> =>
    new Map(
      entries.flatMap((entry) => {
        const key = purposeKey(entry, purpose)
        return key === undefined ? [] : [[entry.id, key] as const]
      }),
    )
  const keys = new Map(purposes.map((purpose) => [purpose, keysOf(purpose)]))
  const ciphers = new Map(
    sealPurposes.map((purpose) => [
      purpose,
      new Map([...(keys.get(purpose) ?? [])].map(([id, key]) => [id, createXaesKey(key)] as const)),
    ]),
  )
  const ids = entries.map(({ id }) => id)

  return {
    primaryKeyId: primary.id,
    keyIds: () => ids,
    canSeal: (purpose) => keys.get(purpose)?.has(primary.id) === true,
    sealingKey(purpose) {
      const key = ciphers.get(purpose)?.get(primary.id)
      if (key === undefined) throw new Error(`the key ring has no key for ${purpose}`)
      return { keyId: primary.id, key }
    },
    openingKey: (purpose, keyId) => ciphers.get(purpose)?.get(keyId),
    macKeys: (purpose) => [...(keys.get(purpose)?.values() ?? [])],
    pairKey: (purpose, keyId) => keys.get(purpose)?.get(keyId),
  }
}

/** Purposes that a process needs and its ring cannot serve; not empty means that it was given the wrong file. */
export function missingPurposes(ring: KeyRing, needed: readonly Purpose[]): readonly Purpose[] {
  return needed.filter((purpose) => !ring.canSeal(purpose))
}

/** What a proxy needs of its ring. */
export const proxyPurposes: readonly Purpose[] = ['access', 'csrf', 'pseudonym']
/** What a proxy needs besides where access tokens are bound to a key, and all it should ever be given with the above. */
export const proofPurposes: readonly Purpose[] = ['dpop']
/** What an agent needs of its ring; those of proofs besides, where access tokens are bound to a key. */
export const agentPurposes: readonly Purpose[] = purposes.filter((purpose) => !proofPurposes.includes(purpose))

function purposeKey({ material }: KeyEntry, purpose: Purpose): KeyObject | undefined {
  return material.kind === 'master' ? derivePurposeKey(material.master, purpose) : material.purposeKeys[purpose]
}
