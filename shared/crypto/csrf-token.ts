import { type KeyObject, createHmac, timingSafeEqual } from 'node:crypto'
import type { KeyRing } from './key-ring.ts'

/** The CSRF token of a session, 43 characters; bound to the session id, so another session's token is worth nothing. */
export function csrfToken(ring: KeyRing, sessionId: string): string {
  const [key] = ring.macKeys('csrf')
  if (key === undefined) throw new Error('the key ring has no key for csrf')
  return mac(key, sessionId).toString('base64url')
}

/** True when `presented` is the token of this session under any key of the ring; takes anything and never throws (A18). */
export function isCsrfToken(ring: KeyRing, sessionId: string, presented: string | undefined): boolean {
  if (presented === undefined || presented.length !== 43) return false
  const given = Buffer.alloc(43)
  given.write(presented, 'latin1')
  return ring
    .macKeys('csrf')
    .map((key) => timingSafeEqual(given, Buffer.from(mac(key, sessionId).toString('base64url'), 'latin1')))
    .includes(true)
}

function mac(key: KeyObject, sessionId: string): Buffer {
  return createHmac('sha256', key).update(sessionId).digest()
}
