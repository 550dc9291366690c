import { isJsonObject } from '../json-object.ts'

/** Longest `claims` parameter in characters; an authorization URL has to survive every hop (RFC 9110 §4.1: 8000 octets). */
export const maxClaimsLength = 4096

/** True for text without control characters, of at least one character and at most `maxLength`. */
export function isParameterValue(text: string, maxLength = 1024): boolean {
  return text.length <= maxLength && /^[\x20-\x7e\u0080-\u{10ffff}]+$/u.test(text)
}

/** What a `claims` parameter asks for, as far as it is looked for in the ID token (OpenID Connect Core §5.5). */
export interface ClaimsRequest {
  /** Levels of which one is demanded (OpenID Connect Core §5.5.1.1). */
  readonly essentialAcr?: readonly string[]
}

/**
 * What a `claims` parameter asks for; undefined for text that is too long or no JSON object, and for a demand that
 * nothing could be compared with.
 */
export function parseClaimsRequest(text: string): ClaimsRequest | undefined {
  if (!isParameterValue(text, maxClaimsLength)) return undefined
  const claims = parseObject(text)
  if (claims === undefined) return undefined
  const { id_token: idToken } = claims
  const acr = isJsonObject(idToken) ? idToken['acr'] : undefined
  if (!isJsonObject(acr) || acr['essential'] !== true) return {}
  const { value: only, values = only === undefined ? undefined : [only] } = acr
  if (values === undefined) return {}
  return isListOfLevels(values) ? { essentialAcr: values } : undefined
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return isJsonObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** Of an empty list no level is one, so every sign-in would fail at its end. */
function isListOfLevels(values: unknown): values is readonly string[] {
  return (
    Array.isArray(values) && values.length > 0 && values.every((level) => typeof level === 'string' && level !== '')
  )
}

/** One word of a list such as `scope` or `acr_values` (RFC 6749 §3.3), no longer than any server has them. */
export const listWord = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/

/** The words of such a list, with a single space between them; undefined for anything else. */
export function parseWords(text: string): string[] | undefined {
  const words = text.split(' ')
  return words.every((word) => listWord.test(word)) ? words : undefined
}

/** True for a `max_age` in whole seconds (OpenID Connect Core §3.1.2.1). */
export function isMaxAge(text: string): boolean {
  return /^[0-9]{1,9}$/.test(text)
}
