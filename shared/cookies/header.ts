import { TokenHandlerError } from '../errors.ts'
import type { Catalogue } from './catalogue.ts'

/** The Cookie header, read once. */
export interface RequestCookies {
  /** Values of the cookies in our namespace by exact name. */
  readonly ours: ReadonlyMap<string, string>
  /** Everything else in its order, as an API may see it; undefined when there is nothing. */
  readonly others: string | undefined
}

/**
 * Reads a Cookie header: split at `;`, trim spaces and tabs, name up to the first `=`, and nothing more.
 *
 * Quotes, percent signs, `$Version` and Unicode spaces mean nothing here: what looks like one of our names to a more
 * generous reader did not pass the prefix rules of the browser (B06, B08, B09). Throws `ambiguous_cookie` when a name of
 * ours occurs twice, since only one of them can be what we set (B10).
 */
export function parseCookieHeader(
  header: string | undefined,
  catalogue: Pick<Catalogue, 'ownPrefixes'>,
): RequestCookies {
  const ours = new Map<string, string>()
  if (header === undefined) return { ours, others: undefined }
  const { ownPrefixes } = catalogue
  let others = ''

  for (let start = 0; start <= header.length; ) {
    const semicolon = header.indexOf(';', start)
    const next = semicolon === -1 ? header.length : semicolon
    let from = start
    let to = next
    while (from < to && isSpace(header.charCodeAt(from))) from++
    while (to > from && isSpace(header.charCodeAt(to - 1))) to--
    start = next + 1

    if (!startsWithAny(ownPrefixes, header, from)) {
      if (isForwardable(header, from, to)) others += `${others === '' ? '' : '; '}${header.slice(from, to)}`
      continue
    }
    const equals = header.indexOf('=', from)
    if (equals === -1 || equals >= to) continue
    const name = header.slice(from, equals)
    if (ours.has(name)) throw new TokenHandlerError('ambiguous_cookie')
    ours.set(name, header.slice(equals + 1, to))
  }
  return { ours, others: others === '' ? undefined : others }
}

/** RFC 9110 §5.6.3: space and horizontal tab, nothing else. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function startsWithAny(prefixes: readonly string[], header: string, at: number): boolean {
  for (const prefix of prefixes) if (header.startsWith(prefix, at)) return true
  return false
}

/** Nothing, a lone `=` and control characters are no cookie, and some servers stumble over them (B16). */
function isForwardable(header: string, from: number, to: number): boolean {
  if (to - from < 2 && (from === to || header[from] === '=')) return false
  for (let at = from; at < to; at++) {
    const code = header.charCodeAt(at)
    if (code > 0xff || code === 0x7f || (code < 0x20 && code !== 0x09)) return false
  }
  return true
}
