/** The one header that says to the API who calls; undefined where the route wants none. */
export type Credential = { readonly header: string; readonly value: string } | undefined

/** RFC 6750 §2.1 b64token; anything else would be a second header or a broken one. */
const bearerToken = /^[A-Za-z0-9._~+/-]+=*$/

/** The Authorization header of RFC 6750 §2.1; undefined for text that is no token. */
export function bearer(token: string): Credential {
  return bearerToken.test(token) ? { header: 'authorization', value: `Bearer ${token}` } : undefined
}

/** The part of a credential that is secret, without the scheme or prefix before it. */
export function secretOf(credential: Credential): string | undefined {
  return credential?.value.slice(credential.value.lastIndexOf(' ') + 1)
}
