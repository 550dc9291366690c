import { isJsonObject } from '../json-object.ts'

/** Longest `claims` parameter in characters; an authorization URL has to survive every hop (RFC 9110 §4.1: 8000 octets). */
export const maxClaimsLength = 4096

/** What a `claims` parameter asks for (OpenID Connect Core §5.5); undefined for text that is too long or no JSON object. */
export function parseClaimsRequest(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text.length > maxClaimsLength) return undefined
  try {
    const parsed: unknown = JSON.parse(text)
    return isJsonObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** True for a `max_age` in whole seconds (OpenID Connect Core §3.1.2.1). */
export function isMaxAge(text: string): boolean {
  return /^[0-9]{1,9}$/.test(text)
}
