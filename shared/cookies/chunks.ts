import type { CookieRow } from './catalogue.ts'

/** One cookie to be set, without its attributes. */
export interface NamedValue {
  readonly name: string
  readonly value: string
}

/** What the chunks of one cookie amount to. */
export type Joined =
  | { readonly kind: 'absent' }
  | { readonly kind: 'broken' }
  | { readonly kind: 'whole'; readonly value: string }

/** Browsers silently drop a cookie whose name and value together are longer (RFC 6265bis §5.6). */
export const maxCookieOctets = 4096

type Chunked = Pick<CookieRow, 'names'>

const absent: Joined = { kind: 'absent' }
const broken: Joined = { kind: 'broken' }

/**
 * Spreads a sealed value over the names of its row; the first of several begins with their number and a dot.
 *
 * All but the last are full, so every value has one spelling only. Undefined when the names are not enough.
 */
export function splitValue({ names }: Chunked, value: string): readonly NamedValue[] | undefined {
  const [name = ''] = names
  if (value.length <= room(name)) return [{ name, value }]
  const pieces: NamedValue[] = []
  let at = 0
  for (const [index, chunk] of names.entries()) {
    const end = at + room(chunk) - (index === 0 ? 2 : 0)
    pieces.push({ name: chunk, value: value.slice(at, end) })
    at = end
    if (at >= value.length) break
  }
  const [first, ...rest] = pieces
  if (at < value.length || first === undefined) return undefined
  return [{ name, value: `${pieces.length}.${first.value}` }, ...rest]
}

/** Puts the value together again; parts that are missing, left over or not as `splitValue` makes them are `broken` (B04, B05). */
export function joinValue({ names }: Chunked, cookies: ReadonlyMap<string, string>): Joined {
  const first = cookies.get(names[0] ?? '')
  if (first === undefined) return hasAny(names, 1, cookies) ? broken : absent
  if (first[1] !== '.') return hasAny(names, 1, cookies) ? broken : { kind: 'whole', value: first }

  const total = first.charCodeAt(0) - 0x30
  if (!(total >= 2 && total <= names.length) || hasAny(names, total, cookies)) return broken
  const pieces = names.slice(0, total).map((name) => cookies.get(name) ?? '')
  const asSplit = pieces.every((piece, index) => {
    const full = room(names[index] ?? '')
    return index < total - 1 ? piece.length === full : piece.length > 0 && piece.length <= full
  })
  return asSplit ? { kind: 'whole', value: pieces.join('').slice(2) } : broken
}

/** Names under which parts of this cookie were sent, whether or not they belong together. */
export function namesPresent({ names }: Chunked, cookies: ReadonlyMap<string, string>): readonly string[] {
  return names.filter((name) => cookies.has(name))
}

function hasAny(names: readonly string[], from: number, cookies: ReadonlyMap<string, string>): boolean {
  for (let index = from; index < names.length; index++) if (cookies.has(names[index] ?? '')) return true
  return false
}

function room(name: string): number {
  return maxCookieOctets - name.length
}
