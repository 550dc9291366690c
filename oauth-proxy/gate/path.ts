import { TokenHandlerError } from '../../shared/errors.ts'

/** A request target that has one reading; both parts are exactly the bytes that arrived. */
export interface GatedTarget {
  readonly path: string
  /** Empty, or the query with its question mark. */
  readonly query: string
}

/** RFC 3986 §3.3 without ";": path parameters hide segments from some readers (G04). */
const pathCharacters = /^\/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*$/

/**
 * Escapes that some readers turn into structure: control characters and DEL, "/", "\" and ";".
 *
 * Also letters, digits, "-", ".", "_" and "~", which nobody has a reason to escape (RFC 3986 §2.3) and which would slip
 * past a comparison with the route's own spelling; and "%" before two hex digits, which could be decoded twice.
 */
const structuralEscape =
  /%(?:[01][0-9A-Fa-f]|7[Ff]|2[DdEeFf]|3[0-9Bb]|4[1-9A-Fa-f]|5[0-9AaCcFf]|6[1-9A-Fa-f]|7[0-9AaEe]|25[0-9A-Fa-f]{2})/

/** Dot segments, and segments that end in a dot or a space, which some file systems drop. */
const unstableSegment = /\/\/|(?:\.|%20)(?:\/|$)/

/** Printable ASCII but "#"; the query decides nothing, so nothing more is asked of it. */
const queryCharacters = /^[\x21\x22\x24-\x7e]*$/

/**
 * Splits a target into path and query, or refuses it: nothing is repaired, so what is decided on is what is forwarded.
 *
 * Throws `ambiguous_request` with the check that failed (RFC 9112 §3.2).
 */
export function parseTarget(target: string): GatedTarget {
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark)
  if (!pathCharacters.test(path)) throw ambiguous('path_character')
  if (unstableSegment.test(path)) throw ambiguous('path_segment')
  if (path.includes('%')) checkEscapes(path)
  if (query !== '') checkQuery(query)
  return { path, query }
}

function checkEscapes(path: string): void {
  if (structuralEscape.test(path)) throw ambiguous('path_escape')
  const decoded = decodedOnce(path)
  if (decoded === undefined) throw ambiguous('path_utf8')
  // Readers that map look-alikes ("／", "．．", "⁄") to ASCII would find other segments than we do; those of the dot and of
  // the space at the end of a name would be dropped as well.
  const folded = decoded.normalize('NFKC').replaceAll(slashLookAlike, '/')
  if (segmentCount(folded) !== segmentCount(decoded) || unstableEnd.test(folded)) throw ambiguous('path_fold')
}

/** Characters that are no slash by NFKC, but by the best-fit tables of some systems. */
const slashLookAlike = /[\u2044\u2215\u2216\u29f5\u29f8\u29f9]/g
const unstableEnd = /[. ](?:\/|$)/

function segmentCount(path: string): number {
  return path.split(/[/\\;]/).length
}

function checkQuery(query: string): void {
  if (!queryCharacters.test(query)) throw ambiguous('query_character')
  // A token in the query would compete with the credential we attach (RFC 6750 §2), however its name is escaped.
  const readable = query.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  if (/[?&;]access_token(?:=|&|;|$)/i.test(readable)) throw ambiguous('query_token')
}

/** Percent-decoded once; undefined for bytes that are not UTF-8, overlong forms included. */
function decodedOnce(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function ambiguous(check: string): TokenHandlerError {
  return new TokenHandlerError('ambiguous_request', { detail: { check } })
}
