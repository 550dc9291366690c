import { TokenHandlerError } from '../errors.ts'
import type { HeaderFields } from './request-gate.ts'

/** Kinds of request for which browsers cannot set `token-handler-version`; each route lists those it admits. */
export type HeaderlessKind = 'websocket' | 'event_stream' | 'download'

/** The part of a request that shows who made it. */
export interface GuardedRequest {
  readonly method: string
  /** Lower-case names; a repeated field must arrive refused or joined, never as its first line alone. */
  readonly fields: HeaderFields
  /** True while a protocol upgrade is asked for; its method is GET, but it is as powerful as an unsafe one (CSWSH). */
  readonly upgrade?: boolean
}

/** The settings that say whose pages may call. */
export interface GuardSettings {
  readonly publicOrigin: string
  readonly cors: { readonly origins: readonly string[] }
}

/** RFC 9110 §9.2.1; a list of safe methods, so that a method nobody thought of is unsafe (F04). */
export const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Checks that a request which carries our cookies was made by our own page (RFC 10017 §6.1.3.3).
 *
 * SameSite=Strict alone lets a sibling host of the same site in; the header makes foreign origins need a preflight,
 * Fetch Metadata and Origin tell who asks. Throws `header_missing` or `origin_not_allowed`.
 */
export function checkGuard(
  request: GuardedRequest,
  settings: GuardSettings,
  headerless: readonly HeaderlessKind[] = [],
): void {
  const version = request.fields['token-handler-version']
  if (version === '1' && request.upgrade !== true) {
    checkDestination(request.fields, apiModes, apiDestinations)
    checkSite(request.fields, settings, safeMethods.has(request.method) ? 'optional' : 'demanded')
    return
  }
  const kind = version === undefined ? headerlessKind(request) : undefined
  if (kind === undefined || !headerless.includes(kind)) throw new TokenHandlerError('header_missing')
  checkDestination(request.fields, headerlessModes[kind], headerlessDestinations[kind])
  checkSite(request.fields, settings, 'demanded')
}

/** Which header-less kind the request looks like; its Fetch Metadata still has to agree. */
function headerlessKind({ method, fields, upgrade }: GuardedRequest): HeaderlessKind | undefined {
  if (method !== 'GET') return undefined
  if (upgrade === true) return 'websocket'
  if (fields['sec-fetch-mode'] === 'navigate') return 'download'
  return fields.accept === 'text/event-stream' ? 'event_stream' : undefined
}

const apiModes = ['cors', 'same-origin']
const apiDestinations = ['empty']
const headerlessModes: Readonly<Record<HeaderlessKind, readonly string[]>> = {
  websocket: ['websocket'],
  event_stream: ['cors', 'same-origin'],
  download: ['navigate'],
}
const headerlessDestinations: Readonly<Record<HeaderlessKind, readonly string[]>> = {
  websocket: ['empty', 'websocket'],
  event_stream: ['empty'],
  download: ['document', 'empty'],
}

/** Refuses answers read as script, image, frame or page (F09); each field is optional, never contradictory. */
function checkDestination(fields: HeaderFields, modes: readonly string[], destinations: readonly string[]): void {
  const mode = fields['sec-fetch-mode']
  if (mode !== undefined && !modes.includes(mode)) throw refused('sec_fetch_mode')
  const destination = fields['sec-fetch-dest']
  if (destination !== undefined && !destinations.includes(destination)) throw refused('sec_fetch_dest')
}

/** Fetch Metadata §2.3: the site covers the whole redirect chain, so it comes first and Origin must agree with it. */
function checkSite(fields: HeaderFields, settings: GuardSettings, proof: 'optional' | 'demanded'): void {
  const origin = fields.origin
  switch (fields['sec-fetch-site']) {
    case 'same-origin':
      if (origin !== undefined && origin !== settings.publicOrigin) throw refused('origin')
      return
    case 'same-site':
      if (origin === undefined || !settings.cors.origins.includes(origin)) throw refused('sec_fetch_site')
      return
    case undefined:
      if (origin === undefined ? proof === 'demanded' : !isAllowedOrigin(origin, settings)) throw refused('origin')
      return
    default:
      throw refused('sec_fetch_site')
  }
}

/** True for the public origin and the listed ones, compared exactly: no prefix, no case folding, never `null`. */
function isAllowedOrigin(origin: string, settings: GuardSettings): boolean {
  return origin === settings.publicOrigin || settings.cors.origins.includes(origin)
}

function refused(check: string): TokenHandlerError {
  return new TokenHandlerError('origin_not_allowed', { detail: { check } })
}
