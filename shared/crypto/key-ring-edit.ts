import { createSecretKey } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { KeyEntries, KeyEntry } from './key-ring-file.ts'
import { type Purpose, deriveKeyId, derivePurposeKey, purposes } from './purpose-keys.ts'
import type { RandomBytes } from './random.ts'

/** What a new key is made of. */
export interface KeyMaker {
  readonly random: RandomBytes
  readonly clock: Clock
}

/** What may be shown of a key. */
export interface ListedKey {
  readonly id: string
  readonly createdAt: string
  readonly role: 'seals and opens' | 'opens only'
  readonly purposes: readonly Purpose[]
}

/** A change that the ring cannot take; the message is for the person at the command line. */
export class KeyRingEditError extends Error {
  override readonly name = 'KeyRingEditError'
}

/** A ring with one new key. */
export function generateKeyRing(maker: KeyMaker): KeyEntries {
  return [newKey(maker)]
}

/**
 * Adds a new key: `stage` lets it open only, `now` lets it seal at once.
 *
 * Where several replicas read the file at different times, stage first and promote when all have read it; otherwise
 * a replica that still has the old file cannot open what another has just sealed (FI-08).
 */
export function rotateKeyRing(entries: KeyEntries, maker: KeyMaker, when: 'stage' | 'now'): KeyEntries {
  if (entries.some(({ material }) => material.kind === 'derived')) {
    throw new KeyRingEditError('This is a derived ring. Rotate the ring it was derived from, then derive again.')
  }
  const key = newKey(maker)
  return when === 'now' ? [key, ...entries] : [...entries, key]
}

/** Lets the key `id` seal; throws KeyRingEditError when there is none. */
export function promoteKey(entries: KeyEntries, id: string): KeyEntries {
  return [find(entries, id), ...entries.filter((entry) => entry.id !== id)]
}

/** Drops the key `id`: everything sealed with it is unreadable from then on. Throws KeyRingEditError for the only key and the one that seals. */
export function removeKey(entries: KeyEntries, id: string): KeyEntries {
  const entry = find(entries, id)
  if (entries.length === 1) throw new KeyRingEditError('The only key cannot be removed. Rotate first.')
  if (entry === entries[0]) throw new KeyRingEditError('The key that seals cannot be removed. Promote another first.')
  return entries.filter((other) => other !== entry)
}

/** The same ring with nothing but the keys of `wanted`; throws KeyRingEditError when it lacks one of them. */
export function deriveKeyRing(entries: KeyEntries, wanted: readonly Purpose[]): KeyEntries {
  return entries.map(({ id, createdAt, material }) => ({
    id,
    createdAt,
    material: {
      kind: 'derived',
      purposeKeys: Object.fromEntries(
        wanted.map((purpose) => {
          const key =
            material.kind === 'master' ? derivePurposeKey(material.master, purpose) : material.purposeKeys[purpose]
          if (key === undefined) throw new KeyRingEditError(`Key ${id} of this derived ring has none for ${purpose}.`)
          return [purpose, key]
        }),
      ),
    },
  }))
}

/** Everything but the keys themselves. */
export function listKeys(entries: KeyEntries): readonly ListedKey[] {
  return entries.map(({ id, createdAt, material }, index) => ({
    id,
    createdAt,
    role: index === 0 ? 'seals and opens' : 'opens only',
    purposes:
      material.kind === 'master' ? purposes : purposes.filter((purpose) => material.purposeKeys[purpose] !== undefined),
  }))
}

function newKey({ random, clock }: KeyMaker): KeyEntry {
  const master = createSecretKey(random(32))
  return {
    id: deriveKeyId(master),
    createdAt: new Date(clock.nowSeconds() * 1000).toISOString().replace('.000', ''),
    material: { kind: 'master', master },
  }
}

function find(entries: KeyEntries, id: string): KeyEntry {
  const entry = entries.find((candidate) => candidate.id === id)
  if (entry === undefined) {
    const present = entries.map((candidate) => candidate.id).join(', ')
    throw new KeyRingEditError(`There is no key ${JSON.stringify(id)} in this ring. It has: ${present}.`)
  }
  return entry
}
