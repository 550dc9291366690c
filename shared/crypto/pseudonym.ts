import { createHmac } from 'node:crypto'
import type { KeyRing } from './key-ring.ts'

/**
 * Twelve characters that stand for a subject or a session in logs.
 *
 * The same value gives the same pseudonym on every replica until the keys are rotated. Without the key nobody can find
 * the value by trying all of them, as they could with a plain hash of an e-mail address.
 */
export function pseudonym(ring: KeyRing, kind: 'subject' | 'session', value: string): string {
  const [key] = ring.macKeys('pseudonym')
  if (key === undefined) throw new Error('the key ring has no key for pseudonym')
  return createHmac('sha256', key).update(`${kind}\0${value}`).digest('base64url').slice(0, 12)
}
