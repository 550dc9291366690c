import { TokenHandlerError } from '../../shared/errors.ts'

const maxLength = 1024

/**
 * Spellings inside a path that some reader behind us takes for a slash, a dot segment or the end of the text: encoded
 * once or twice, or a dot segment with a parameter.
 */
const ambiguous = /%(?:25)?(?:2f|5c|[01][0-9a-f]|7f)|%252e|\/\.{1,2};/i

/**
 * The path of the page where a sign-in ends, on the origin of the pages.
 *
 * Throws `return_to_not_allowed` for everything a browser could read as another origin, also after the SPA has decoded
 * it once more (RFC 9700 §4.11.1; E01, E04, E06, E14). The accepted string is used as it is, never rebuilt.
 */
export function parseReturnTo(value: string, pageOrigin: string): string {
  // Releases of Node differ on whether a path keeps "^".
  if (value.length > maxLength || !/^\/[\x21-\x5d\x5f-\x7e]*$/.test(value)) throw notAllowed('form')
  if (value.includes('\\') || value.startsWith('//')) throw notAllowed('form')
  if (ambiguous.test(value.split(/[?#]/, 1)[0] ?? '')) throw notAllowed('ambiguous')
  // A canonical path is the only one that every reader resolves alike: no dot segments, nothing left to normalise.
  if (resolve(value, pageOrigin)?.href !== `${pageOrigin}${value}`) throw notAllowed('not_canonical')
  const decoded = decodeOnce(value)
  if (decoded === undefined || resolve(decoded, pageOrigin)?.origin !== pageOrigin) throw notAllowed('decoded')
  return value
}

function resolve(path: string, origin: string): URL | undefined {
  return URL.canParse(path, origin) ? new URL(path, origin) : undefined
}

function decodeOnce(value: string): string | undefined {
  try {
    return decodeURIComponent(value)
  } catch {
    return undefined
  }
}

function notAllowed(check: string): TokenHandlerError {
  return new TokenHandlerError('return_to_not_allowed', { detail: { check } })
}
