import { TokenHandlerError } from '../errors.ts'
import { rememberByName } from './name-memory.ts'

/** What arrived, as node:http gives it before anything joined or renamed it. */
export interface RawRequest {
  readonly method: string
  /** The request target, byte for byte. */
  readonly target: string
  readonly httpVersion: string
  /** Names and values in turn, in the order and spelling of the wire. */
  readonly rawHeaders: readonly string[]
}

/** The one reading of a request's head that everything else works on. */
export interface RequestHead {
  readonly method: string
  readonly target: string
  /** Values by lower-case name, in order of arrival; without a prototype, so no name has a meaning of its own. */
  readonly fields: HeaderFields
  /** True when a message body follows, of whatever length. */
  readonly hasBody: boolean
  /** The declared length in bytes; undefined when chunked or without a body. */
  readonly contentLength: number | undefined
  /** True when the client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean
}

/** Values of header fields by lower-case name. */
export type HeaderFields = Readonly<Record<string, string>>

/**
 * Fields that may arrive on several lines because their values are lists (RFC 9110 §5.3); every other known field is
 * refused when repeated, since readers differ on whether the first, the last or all lines count.
 */
export const listFields: ReadonlySet<string> = new Set([
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'access-control-request-headers',
  'baggage',
  'cache-control',
  'connection',
  'forwarded',
  'if-match',
  'if-none-match',
  'link',
  'pragma',
  'prefer',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
  'te',
  'trailer',
  'tracestate',
  'upgrade',
  'via',
  'warning',
  'x-forwarded-for',
])

/** Fields whose removal by the next hop would change who the request speaks for or what it asks (HX-5; RFC 8470 §5.1). */
const neverHopByHop =
  /^(?:authorization|content-.*|cookie|early-data|host|origin|token-handler-version|x-csrf-token|x-forwarded-.*)$/

const plainName = /^[A-Za-z0-9-]+$/
/** Searched for rather than matched against: a pattern for whole values would note every character to come back to. */
const oddCharacter = /[^\t\x20-\x7e]/
const originForm = /^\//
const decimal = /^[0-9]{1,15}$/

/**
 * True for a target at `path` or below it, compared as the bytes came: any other spelling is left to the gate, which
 * refuses it.
 */
export function isTargetBelow(target: string, path: string): boolean {
  return target === path || target.startsWith(`${path}/`) || target.startsWith(`${path}?`)
}

/** The Host values under which `publicOrigin` may be asked for: with and without its default port. */
export function allowedHosts(publicOrigin: string): ReadonlySet<string> {
  const url = new URL(publicOrigin)
  const defaultPort = url.protocol === 'https:' ? '443' : '80'
  return url.port === '' ? new Set([url.host, `${url.host}:${defaultPort}`]) : new Set([url.host])
}

/**
 * Reads the head of a request once and refuses whatever two readers could understand differently.
 *
 * Throws `ambiguous_request`, `host_not_allowed`, `framing_not_supported` or `expectation_failed` (RFC 9110 §5.3, §7.2;
 * RFC 9112 §3.2, §6).
 */
export function parseRequestHead(raw: RawRequest, hosts: ReadonlySet<string>): RequestHead {
  if (!originForm.test(raw.target)) throw ambiguous('target_form')
  // A request line without a version is HTTP/0.9: some servers read the lines that follow it, others do not.
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0') throw ambiguous('version')
  const fields = parseFields(raw.rawHeaders)
  checkHost(fields.host, hosts)
  if (fields.connection !== undefined) checkConnection(fields.connection)
  const framing = parseFraming(fields, raw.httpVersion)
  // HTTP/1.0 knows no interim answers; its clients would take one for the answer (RFC 9110 §10.1.1).
  const expectsContinue = parseExpect(fields.expect) && raw.httpVersion === '1.1'
  return { method: raw.method, target: raw.target, fields, ...framing, expectsContinue }
}

/**
 * An object on which nothing is inherited: `fields.constructor` is what a client sent, or undefined (H14).
 *
 * Engines keep instances of one class compact, but not objects made with a null prototype.
 */
class BareFields {
  [name: string]: string
}
Object.setPrototypeOf(BareFields.prototype, null)
Reflect.deleteProperty(BareFields.prototype, 'constructor')

function parseFields(rawHeaders: readonly string[]): HeaderFields {
  const fields: Record<string, string> = new BareFields()
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = lowerName(rawHeaders[index] ?? '')
    const value = rawHeaders[index + 1] ?? ''
    // The Cookie line is read by its own strict reader and never passed on as it is.
    if (name !== 'cookie' && oddCharacter.test(value)) throw ambiguous('header_value')
    const earlier = fields[name]
    if (earlier === undefined) fields[name] = value
    else if (listFields.has(name)) fields[name] = `${earlier}, ${value}`
    else throw ambiguous('repeated_header')
  }
  return fields
}

/** Lower-cases a name; "_" and "." are refused because CGI-style readers take `X_User` for `X-User` (H02). */
const lowerName = rememberByName((name) => {
  if (!plainName.test(name)) throw ambiguous('header_name')
  return name.toLowerCase()
})

function checkHost(host: string | undefined, hosts: ReadonlySet<string>): void {
  if (host === undefined || !hosts.has(host.toLowerCase())) throw new TokenHandlerError('host_not_allowed')
}

function checkConnection(value: string): void {
  for (const option of value.split(',')) {
    if (neverHopByHop.test(option.trim().toLowerCase())) throw ambiguous('connection_option')
  }
}

function parseFraming(fields: HeaderFields, httpVersion: string): Pick<RequestHead, 'hasBody' | 'contentLength'> {
  const coding = fields['transfer-encoding']
  const length = fields['content-length']
  if (coding !== undefined) {
    if (length !== undefined || httpVersion === '1.0') throw ambiguous('framing')
    if (coding.toLowerCase() !== 'chunked') throw new TokenHandlerError('framing_not_supported')
    return { hasBody: true, contentLength: undefined }
  }
  if (length === undefined) return { hasBody: false, contentLength: undefined }
  if (!decimal.test(length)) throw ambiguous('content_length')
  return { hasBody: length !== '0', contentLength: Number(length) }
}

function parseExpect(expect: string | undefined): boolean {
  if (expect === undefined) return false
  if (expect.toLowerCase() !== '100-continue') throw new TokenHandlerError('expectation_failed')
  return true
}

function ambiguous(check: string): TokenHandlerError {
  return new TokenHandlerError('ambiguous_request', { detail: { check } })
}
