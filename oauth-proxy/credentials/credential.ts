import { hash } from 'node:crypto'
import type { DpopKey } from '../../shared/crypto/dpop-keys.ts'

/** What each call proves besides, of a token that is bound to a key (RFC 9449 §7.1). */
export interface Possession {
  readonly key: DpopKey
  /** `ath`: SHA-256 of the token as base64url (RFC 9449 §4.2). */
  readonly tokenHash: string
}

/** The header that says to the API who calls, and what is proved with it. */
export interface Credential {
  /** In lower case. */
  readonly header: string
  readonly value: string
  /** Absent where nothing is proved. */
  readonly possession?: Possession | undefined
}

const b64token = /^[A-Za-z0-9._~+/-]+=*$/

/** True for a b64token (RFC 6750 §2.1), the token68 of RFC 9449 §7.1; any other text would be a second header or a broken one. */
export function isToken(text: string): boolean {
  return b64token.test(text)
}

/** The Authorization header of RFC 6750 §2.1; undefined for text that is no token. */
export function bearer(token: string): Credential | undefined {
  return isToken(token) ? { header: 'authorization', value: `Bearer ${token}` } : undefined
}

/** The Authorization header of RFC 9449 §7.1 for a token that is bound to `key`; undefined for text that is no token. */
export function bound(token: string, key: DpopKey): Credential | undefined {
  if (!isToken(token)) return undefined
  const possession = { key, tokenHash: hash('sha256', token, 'base64url') }
  return { header: 'authorization', value: `DPoP ${token}`, possession }
}

/** The part of a credential that is secret, without the scheme or prefix before it. */
export function secretOf({ value }: Credential): string {
  return value.slice(value.lastIndexOf(' ') + 1)
}
