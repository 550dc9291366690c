/** One request as it was understood; characters stand for bytes. */
export interface Framed {
  readonly method: string
  readonly target: string
  readonly body: string
}

/** More than one space between the three words is let through by many, and changes nothing of what is read (§3). */
const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([\x21-\xff]+) +HTTP\/1\.[01]$/
const fieldLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\xff](?:[\t\x20-\xff]*[\x21-\xff])?)?)[ \t]*$/
const chunkLine = /^([0-9A-Fa-f]{1,15})(?:;[\t\x20-\xff]*)?$/

/**
 * The requests of one connection by the grammar of RFC 9112 §2 to §7 and nothing beyond it: what it cannot read ends the
 * reading, so that every reader which goes further than this one can be told apart.
 */
export function readStrictly(bytes: string): readonly Framed[] {
  const requests: Framed[] = []
  for (let at = 0; ; ) {
    // Empty lines before a request line are ignored (§2.2), however they end: between messages they belong to none.
    while (bytes[at] === '\r' || bytes[at] === '\n') at += 1
    const head = readLines(bytes, at)
    const [, method, target] = requestLine.exec(head?.lines[0] ?? '') ?? []
    if (head === undefined || method === undefined || target === undefined) return requests
    const fields = readFields(head.lines.slice(1))
    const body = fields === undefined ? undefined : readBody(bytes, head.end, fields)
    if (body === undefined) return requests
    requests.push({ method, target, body: body.text })
    at = body.end
  }
}

/** Lines up to the empty one, none of them with a lone CR, LF or NUL. */
function readLines(bytes: string, from: number): { lines: string[]; end: number } | undefined {
  const lines: string[] = []
  for (let at = from; ; ) {
    const end = bytes.indexOf('\r\n', at)
    if (end === -1) return undefined
    const line = bytes.slice(at, end)
    if (/[\r\n\0]/.test(line)) return undefined
    at = end + 2
    if (line === '') return { lines, end: at }
    lines.push(line)
  }
}

function readFields(lines: readonly string[]): Map<string, string[]> | undefined {
  const fields = new Map<string, string[]>()
  for (const line of lines) {
    const [, name, value] = fieldLine.exec(line) ?? []
    if (name === undefined || value === undefined) return undefined
    const key = name.toLowerCase()
    fields.set(key, [...(fields.get(key) ?? []), value])
  }
  return fields
}

function readBody(
  bytes: string,
  from: number,
  fields: ReadonlyMap<string, readonly string[]>,
): { text: string; end: number } | undefined {
  const coding = fields.get('transfer-encoding')
  const length = fields.get('content-length')
  if (coding !== undefined) {
    if (length !== undefined || coding.length !== 1 || coding[0]?.toLowerCase() !== 'chunked') return undefined
    return readChunks(bytes, from)
  }
  if (length === undefined) return { text: '', end: from }
  if (length.length !== 1 || !/^[0-9]+$/.test(length[0] ?? '')) return undefined
  const end = from + Number(length[0])
  return end > bytes.length ? undefined : { text: bytes.slice(from, end), end }
}

function readChunks(bytes: string, from: number): { text: string; end: number } | undefined {
  let text = ''
  for (let at = from; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const [, hex] = chunkLine.exec(lineEnd === -1 ? '' : bytes.slice(at, lineEnd)) ?? []
    if (hex === undefined) return undefined
    const size = Number.parseInt(hex, 16)
    if (size === 0) {
      const trailer = readLines(bytes, lineEnd + 2)
      return trailer === undefined || readFields(trailer.lines) === undefined ? undefined : { text, end: trailer.end }
    }
    const end = lineEnd + 2 + size
    if (!bytes.startsWith('\r\n', end)) return undefined
    text += bytes.slice(lineEnd + 2, end)
    at = end + 2
  }
}
