import { type KeyObject, createHmac } from 'node:crypto'
import type { KeyRing } from './key-ring.ts'

/** What a pseudonym stands for. */
export type Pseudonymous = 'subject' | 'session'

/**
 * Twelve characters that stand for a subject or a session in logs.
 *
 * The same value gives the same pseudonym on every replica until another key seals. Without the key nobody can find the
 * value by trying all of them, as they could with a plain hash of an e-mail address.
 */
export function pseudonym(ring: KeyRing, kind: Pseudonymous, value: string): string {
  const [key] = ring.macKeys('pseudonym')
  if (key === undefined) throw new Error('the key ring has no key for pseudonym')
  return under(key, kind, value)
}

/** Every pseudonym that a value has under the keys of a ring, the one in use first. */
export function pseudonymsOf(ring: KeyRing, kind: Pseudonymous, value: string): readonly string[] {
  return ring.macKeys('pseudonym').map((key) => under(key, kind, value))
}

function under(key: KeyObject, kind: Pseudonymous, value: string): string {
  return createHmac('sha256', key).update(`${kind}\0${value}`).digest('base64url').slice(0, 12)
}
