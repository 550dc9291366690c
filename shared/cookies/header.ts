import { TokenHandlerError } from '../errors.ts'
import type { Catalogue } from './catalogue.ts'

/** The Cookie header, read once. */
export interface RequestCookies {
  /** Values of the cookies in our namespace by exact name. */
  readonly ours: ReadonlyMap<string, string>
  /** Everything else in its order, as an API may see it; undefined when there is nothing. */
  readonly others: string | undefined
}

const space = 0x20
const tab = 0x09

/**
 * Reads a Cookie header: split at `;`, trim spaces and tabs, name up to the first `=`, and nothing more (CK-7).
 *
 * Quotes, percent signs, `$Version` and Unicode spaces mean nothing here: what looks like one of our names to a more
 * generous reader did not pass the prefix rules of the browser (B06, B08, B09). Throws `ambiguous_cookie` when a name of
 * ours occurs twice, since only one of them can be what we set (CK-6, B10).
 */
export function parseCookieHeader(
  header: string | undefined,
  catalogue: Pick<Catalogue, 'ownPrefixes'>,
): RequestCookies {
  const ours = new Map<string, string>()
  const others: string[] = []
  if (header === undefined) return { ours, others: undefined }
  const { ownPrefixes } = catalogue

  for (let start = 0; start <= header.length; ) {
    const semicolon = header.indexOf(';', start)
    const next = semicolon === -1 ? header.length : semicolon
    let from = start
    let to = next
    while (from < to && isSpace(header.charCodeAt(from))) from++
    while (to > from && isSpace(header.charCodeAt(to - 1))) to--
    start = next + 1
    if (from === to) continue

    if (!ownPrefixes.some((prefix) => header.startsWith(prefix, from))) {
      const pair = header.slice(from, to)
      if (isForwardable(pair)) others.push(pair)
      continue
    }
    const equals = header.indexOf('=', from)
    if (equals === -1 || equals >= to) continue
    const name = header.slice(from, equals)
    if (ours.has(name)) throw new TokenHandlerError('ambiguous_cookie')
    ours.set(name, header.slice(equals + 1, to))
  }
  return { ours, others: others.length === 0 ? undefined : others.join('; ') }
}

function isSpace(code: number): boolean {
  return code === space || code === tab
}

/** A lone `=` and control characters are no cookie, and some servers stumble over them (B16). */
function isForwardable(pair: string): boolean {
  return pair !== '=' && /^[\t\x20-\x7e\x80-\xff]+$/.test(pair)
}
