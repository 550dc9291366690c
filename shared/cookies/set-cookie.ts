import { longestCookieSeconds } from '../config/values.ts'
import { type CookieRow, type CookieSettings, createCatalogue } from './catalogue.ts'
import type { NamedValue } from './chunks.ts'

/** Gateways take answers with a header of 16 KiB, of which other lines need less than one; a larger answer is lost. */
export const maxSetCookieOctets = 15 * 1024

/** Names that a session within the budget can have had; each chunk but the last is nearly 4,096 octets. */
export function namesWithin({ names }: CookieRow, { cookies }: CookieSettings): readonly string[] {
  return names.slice(0, Math.ceil(cookies.maxTotalBytes / 4000))
}

/**
 * The largest `cookies.max_total_bytes` with which an answer that sets a session, and clears every attempt that is open
 * beside it, fits into the header of a gateway.
 */
export function roomForSession(settings: CookieSettings): number {
  const { access, refresh, identity, login } = createCatalogue(settings)
  const attempt = login('x'.repeat(22))
  const others = Array.from({ length: settings.login.maxAttempts + 1 }, () => clearCookie(attempt, attempt.name))
  // Names and values are what the setting counts, so of what is set only the attributes come on top.
  const session = [access, refresh, identity].flatMap((row) =>
    namesWithin(row, settings).map((name) => setCookie(row, { name, value: '' }, longestCookieSeconds)),
  )
  return maxSetCookieOctets - octetsOf([...session, ...others])
}

/** These lines of a header with their names and ends. */
export function octetsOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + 'Set-Cookie: \r\n'.length + line.length, 0)
}

/** The value of a Set-Cookie header with the attributes of this row (RFC 6265bis §4.1). */
export function setCookie(row: CookieRow, { name, value }: NamedValue, maxAgeSeconds: number): string {
  const maxAge = Math.min(Math.max(maxAgeSeconds, 0), longestCookieSeconds)
  const secure = row.secure ? ' Secure;' : ''
  return `${name}=${value}; Path=${row.path}; Max-Age=${maxAge};${secure} HttpOnly; SameSite=${row.sameSite}`
}

/** Deleting differs from setting in value and lifetime only; browsers ignore any other deletion (B01, B02). */
export function clearCookie(row: CookieRow, name: string): string {
  return setCookie(row, { name, value: '' }, 0)
}
