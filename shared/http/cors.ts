import { TokenHandlerError } from '../errors.ts'
import type { HeaderFields } from './request-gate.ts'

/** The settings that say which other origins may call. */
export interface CorsSettings {
  readonly cors: {
    readonly origins: readonly string[]
    readonly requestHeaders: readonly string[]
    readonly responseHeaders: readonly string[]
    readonly maxAgeSeconds: number
  }
}

/** Request headers that any SPA on a listed origin may send beyond those that need no preflight; asked-for names are never echoed. */
const allowedAlways = [
  'token-handler-version',
  'x-csrf-token',
  'content-type',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'idempotency-key',
  'range',
  'traceparent',
  'tracestate',
]

/** Response headers that any such SPA may read. */
const exposedAlways = [
  'token-handler-error',
  'x-request-id',
  'retry-after',
  'etag',
  'location',
  'content-disposition',
  'content-range',
]

/** The value of Access-Control-Allow-Headers, with the names that the settings add. */
export function allowedHeaders({ cors }: CorsSettings): string {
  return [...allowedAlways, ...cors.requestHeaders].join(', ')
}

/** The value of Access-Control-Expose-Headers, with the names that the settings add. */
export function exposedHeaders({ cors }: CorsSettings): string {
  return [...exposedAlways, ...cors.responseHeaders].join(', ')
}

/** True for a CORS preflight (Fetch §4.8), which we always answer ourselves: it carries no cookies and proves nothing. */
export function isPreflight(method: string, fields: HeaderFields): boolean {
  return method === 'OPTIONS' && fields.origin !== undefined && fields['access-control-request-method'] !== undefined
}

/**
 * The headers of the 204 that answers a preflight for a path with these methods.
 *
 * Throws `origin_not_allowed` or `method_not_allowed`; either way without a header that lets the browser go on.
 */
export function preflightHeaders(
  fields: HeaderFields,
  settings: CorsSettings,
  methods: readonly string[],
): Readonly<Record<string, string>> {
  const allowOrigin = corsHeaders(fields.origin, settings)
  if (allowOrigin['access-control-allow-origin'] === undefined) {
    throw new TokenHandlerError('origin_not_allowed', { detail: { check: 'preflight' } })
  }
  const method = fields['access-control-request-method'] ?? ''
  if (!methods.includes(method)) throw new TokenHandlerError('method_not_allowed', { detail: { check: 'preflight' } })
  return {
    ...allowOrigin,
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-headers': allowedHeaders(settings),
    'access-control-max-age': String(settings.cors.maxAgeSeconds),
    'cache-control': 'no-store',
  }
}

const varyOnly: Readonly<Record<string, string>> = { vary: 'Origin' }

/**
 * Headers that every answer carries, failures included: always `vary`, and the permission for an exactly listed origin.
 *
 * Credentials are allowed to listed origins only; there is no wildcard (Fetch §3.3.5; F01).
 */
export function corsHeaders(origin: string | undefined, settings: CorsSettings): Readonly<Record<string, string>> {
  if (origin === undefined || !settings.cors.origins.includes(origin)) return varyOnly
  return {
    vary: 'Origin',
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': exposedHeaders(settings),
  }
}

/** Adds a field name to a Vary value that somebody else wrote, without losing or repeating any (F13). */
export function mergeVary(present: string | undefined, name: string): string {
  if (present === undefined || present.trim() === '') return name
  const names = present.split(',').map((item) => item.trim().toLowerCase())
  return names.includes('*') || names.includes(name.toLowerCase()) ? present : `${present}, ${name}`
}
