import { TokenHandlerError } from '../../shared/errors.ts'
import { mergeVary } from '../../shared/http/cors.ts'
import { rememberByName } from '../../shared/http/name-memory.ts'
import { connectionOptions, hopByHop } from './hop-by-hop.ts'

/** Header of an API's answer as the client library hands it over: names lower-cased, repeated fields as lists. */
export type UpstreamFields = Readonly<Record<string, string | string[] | undefined>>
/** Header of the answer to the browser, as node:http takes it. */
export type ResponseHeaders = Record<string, string | string[]>

/** Fields by which an API would speak for the whole origin, steer a gateway, or reveal what it runs on (HX-23, HX-31). */
export const refusedNames: ReadonlySet<string> = new Set([
  'accept-ch',
  'accept-ch-lifetime',
  'age',
  'alt-svc',
  'authentication-info',
  'cdn-cache-control',
  'clear-site-data',
  'content-location',
  'content-security-policy',
  'content-security-policy-report-only',
  'critical-ch',
  'cross-origin-embedder-policy',
  'cross-origin-opener-policy',
  'cross-origin-resource-policy',
  'dpop',
  'dpop-nonce',
  'expires',
  'location',
  'nel',
  'observe-browsing-topics',
  'origin-agent-cluster',
  'p3p',
  'pragma',
  'public-key-pins',
  'refresh',
  'report-to',
  'reporting-endpoints',
  'retry-after-ms',
  'server',
  'service-worker-allowed',
  'set-cookie',
  'set-cookie2',
  'set-login',
  'shared-storage-write',
  'sourcemap',
  'strict-transport-security',
  'use-as-dictionary',
  'vary',
  'via',
  'www-authenticate',
  'x-content-type-options',
  'x-frame-options',
  'x-powered-by',
  'x-request-id',
  'x-runtime',
  'x-sendfile',
  'x-sourcemap',
])
/** Families of such fields. */
export const refusedPrefixes: readonly string[] = [
  'access-control-',
  'activate-storage-',
  'attribution-reporting-',
  'proxy-',
  'sec-',
  'secure-session-',
  'speculation-',
  'supports-loading-',
  'surrogate-',
  'token-handler-',
  'x-accel-',
  'x-aspnet',
  'x-lighttpd-',
  'x-reproxy-',
  'x-ua-compatible',
]

const refusedFamily = new RegExp(`^(?:${refusedPrefixes.join('|')})`)

/** Fields of which some readers take the first and some the last when there are two, and so disagree on the content. */
const soleFields: ReadonlySet<string> = new Set([
  'content-disposition',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'retry-after',
])

const isPassed = rememberByName((name) => !hopByHop.has(name) && !refusedNames.has(name) && !refusedFamily.test(name))

/** Whose answer it is depends on the cookie, and who may read it depends on the origin, whatever the API says. */
const ownVary = 'Cookie, Origin'

/** What an answer needs besides the API's own fields. */
export interface ResponsePolicy {
  /** The credential that was sent: an API that echoes it in a field must not hand it to the browser (HX-24). */
  readonly credentialValue: string | undefined
  /** Names of cookies that the API may set; the configuration keeps ours out. */
  readonly allowSetCookie: readonly string[]
  readonly requestId: string
  /** From `corsHeaders`. */
  readonly cors: Readonly<Record<string, string>>
  /** Location as the browser may see it, if any. */
  readonly location: string | undefined
}

/**
 * The header of the answer to the browser: the API's fields less hop-by-hop and refused ones, then ours.
 *
 * API content is data, never a page of the SPA's origin: HTML is sandboxed, types are not guessed (HX-25), and no shared
 * cache may keep an answer whose request carried no Authorization that such a cache would respect (RFC 9111 §3.5).
 * Throws `upstream_invalid_response` for an answer that can be read in two ways.
 */
export function browserResponseHeaders(fields: UpstreamFields, policy: ResponsePolicy): ResponseHeaders {
  const headers: ResponseHeaders = {}
  const dropped = connectionOptions(combinedValue(fields.connection))
  for (const name in fields) {
    const value = fields[name]
    if (value === undefined || dropped.has(name) || !isPassed(name)) continue
    if (Array.isArray(value) && soleFields.has(name)) {
      throw new TokenHandlerError('upstream_invalid_response', { detail: { check: 'repeated_header' } })
    }
    if (holdsCredential(value, policy.credentialValue)) continue
    headers[name] = value
  }
  headers['cache-control'] = privateCaching(combinedValue(fields['cache-control']))
  const vary = holdsCredential(fields.vary, policy.credentialValue) ? undefined : combinedValue(fields.vary)
  headers.vary = vary === undefined ? ownVary : mergeVary(mergeVary(vary, 'Cookie'), 'Origin')
  headers['x-content-type-options'] = 'nosniff'
  headers['content-security-policy'] = "default-src 'none'; sandbox; frame-ancestors 'none'"
  headers['cross-origin-resource-policy'] = 'same-origin'
  headers['x-request-id'] = policy.requestId
  if (combinedValue(fields['x-accel-buffering']) === 'no' || isEventStream(fields)) headers['x-accel-buffering'] = 'no'
  if (policy.location !== undefined) headers.location = policy.location
  const setCookie = allowedCookies(fields['set-cookie'], policy)
  if (setCookie.length > 0) {
    headers['set-cookie'] = setCookie
    // A cookie does not keep an answer out of caches, and each use of it would set the cookie anew (RFC 9111 §7.3, M01).
    headers['cache-control'] = 'no-store'
  }
  for (const name in policy.cors) if (name !== 'vary') headers[name] = policy.cors[name] ?? ''
  return headers
}

/** Names of media types differ in case only for people (RFC 9110 §8.3.1). */
const eventStream = /^text\/event-stream/i

/** True for server-sent events, which intermediaries must not collect before passing them on. */
export function isEventStream(fields: UpstreamFields): boolean {
  return eventStream.test(combinedValue(fields['content-type']) ?? '')
}

/** The value of a field, with the lines of a repeated one joined (RFC 9110 §5.3). */
export function combinedValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}

/** True for a field in which an API repeats the credential that it was sent (HX-24). */
export function holdsCredential(value: string | string[] | undefined, credential: string | undefined): boolean {
  if (value === undefined || credential === undefined) return false
  return Array.isArray(value) ? value.some((line) => line.includes(credential)) : value.includes(credential)
}

/** Directives that let a shared cache keep the answer are dropped; silence means no-store. */
function privateCaching(value: string | undefined): string {
  if (value === undefined) return 'no-store'
  const kept = value
    .split(',')
    .map((directive) => directive.trim().toLowerCase())
    .filter((directive) =>
      /^(?:no-store|no-cache|no-transform|must-revalidate|immutable|max-age=[0-9]+)$/.test(directive),
    )
  return kept.length === 0 || kept.includes('no-store') ? 'no-store' : ['private', ...kept].join(', ')
}

function allowedCookies(
  value: string | string[] | undefined,
  { allowSetCookie: allowed, credentialValue }: Pick<ResponsePolicy, 'allowSetCookie' | 'credentialValue'>,
): string[] {
  if (value === undefined || allowed.length === 0) return []
  const lines = Array.isArray(value) ? value : [value]
  return lines.filter(
    (line) =>
      allowed.includes(/^[\t ]*([^=;\t ]+)[\t ]*=/.exec(line)?.[1] ?? '') && !holdsCredential(line, credentialValue),
  )
}
