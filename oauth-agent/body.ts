import { TokenHandlerError } from '../shared/errors.ts'
import type { HeaderFields, RequestHead } from '../shared/http/request-gate.ts'
import { isJsonObject } from '../shared/json-object.ts'
import type { Parameters } from './flows/parameters.ts'

/** The content type of forms, as the browser client sends it. */
export const form = 'application/x-www-form-urlencoded'
/** The content type of JSON bodies. */
export const json = 'application/json'

/**
 * The kind of a request body.
 *
 * Throws `unsupported_media_type` for everything but the two exact types with UTF-8, since what a form or `no-cors`
 * fetch can send without a preflight must not be read as something else (F06).
 */
export function parseBodyKind(head: RequestHead): typeof form | typeof json | 'none' {
  const { fields } = head
  if (!head.hasBody) return 'none'
  const coding = fields['content-encoding']
  if (coding !== undefined && coding !== 'identity') throw new TokenHandlerError('unsupported_media_type')
  return parseMediaType(fields)
}

function parseMediaType(fields: HeaderFields): typeof form | typeof json {
  const [type = '', parameter, ...more] = (fields['content-type'] ?? '')
    .split(';')
    .map((part) => part.trim().toLowerCase())
  const isUtf8 = parameter === undefined || parameter === 'charset=utf-8' || parameter === 'charset="utf-8"'
  if ((type !== form && type !== json) || !isUtf8 || more.length > 0) {
    throw new TokenHandlerError('unsupported_media_type')
  }
  return type
}

/** Most parameters of one body; the longest authorization response has a handful. */
const maxParameters = 50

/**
 * The parameters of a body, each name once.
 *
 * A name that occurs twice is refused, because whoever reads next may take the other one (C10, RFC 6749 §3.1). Throws
 * `invalid_request`.
 */
export function parseParameters(kind: typeof form | typeof json, text: string): Parameters {
  const pairs = kind === form ? [...new URLSearchParams(text)] : jsonPairs(text)
  const parameters = new Map(pairs)
  if (parameters.size !== pairs.length) throw invalid('repeated_parameter')
  if (pairs.length > maxParameters) throw invalid('parameter_count')
  return parameters
}

function jsonPairs(text: string): [string, string][] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw invalid('json', error)
  }
  if (!isJsonObject(parsed)) throw invalid('json_object')
  const pairs = Object.entries(parsed).map(([name, value]): [string, string] => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) return [name, String(value)]
    if (typeof value !== 'string') throw invalid('json_value')
    return [name, value]
  })
  // JSON.parse keeps the last of two equal names; in a flat object every string before a colon is a name.
  const names = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon !== undefined)
  if (names.length !== pairs.length) throw invalid('repeated_parameter')
  return pairs
}

function invalid(check: string, cause?: unknown): TokenHandlerError {
  return new TokenHandlerError('invalid_request', { detail: { check }, cause })
}
