import { hash } from 'node:crypto'
import type { DpopKey } from '../../shared/crypto/dpop-keys.ts'

/** What each call proves besides, of a token that is bound to a key (RFC 9449 §7.1). */
export interface Possession {
  readonly key: DpopKey
  /** `ath`: SHA-256 of the token as base64url (RFC 9449 §4.2). */
  readonly tokenHash: string
}

/** The header that says to the API who calls, and what is proved with it; undefined where the route wants none. */
export type Credential =
  | { readonly header: string; readonly value: string; readonly possession?: Possession | undefined }
  | undefined

/** RFC 6750 §2.1 b64token, the same as token68 of RFC 9449 §7.1; anything else would be a second header or a broken one. */
const bearerToken = /^[A-Za-z0-9._~+/-]+=*$/

/** The Authorization header of RFC 6750 §2.1; undefined for text that is no token. */
export function bearer(token: string): Credential {
  return bearerToken.test(token) ? { header: 'authorization', value: `Bearer ${token}` } : undefined
}

/** The Authorization header of RFC 9449 §7.1 for a token that is bound to `key`; undefined for text that is no token. */
export function bound(token: string, key: DpopKey): Credential {
  if (!bearerToken.test(token)) return undefined
  const possession = { key, tokenHash: hash('sha256', token, 'base64url') }
  return { header: 'authorization', value: `DPoP ${token}`, possession }
}

/** The part of a credential that is secret, without the scheme or prefix before it. */
export function secretOf(credential: Credential): string | undefined {
  return credential?.value.slice(credential.value.lastIndexOf(' ') + 1)
}
