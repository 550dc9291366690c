import type { Catalogue } from '../shared/cookies/catalogue.ts'
import { type RequestCookies, parseCookieHeader } from '../shared/cookies/header.ts'
import type { AccessContent } from '../shared/cookies/session.ts'
import type { Clock } from '../shared/clock.ts'
import type { Config, Route } from '../shared/config/schema.ts'
import { isCsrfToken } from '../shared/crypto/csrf-token.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import { isPreflight, preflightHeaders } from '../shared/http/cors.ts'
import { type AddressMatcher, clientAddress } from '../shared/http/client-address.ts'
import { checkGuard } from '../shared/http/guard.ts'
import type { RateLimiter } from '../shared/http/rate-limit.ts'
import { type RawRequest, type RequestHead, parseRequestHead } from '../shared/http/request-gate.ts'
import type { Store } from '../shared/store/store.ts'
import type { Credential } from './credentials/credential.ts'
import type { Credentials } from './credentials/credentials.ts'
import { type GatedTarget, parseTarget } from './gate/path.ts'
import { checkNoLoop } from './gate/via.ts'
import { checkPolicy } from './policy.ts'
import type { RouteTable } from './routes/route-table.ts'
import { type AccessCookieReader, openSession } from './session.ts'

/** A route with what an edge keeps with it; deciding reads the settings only. */
export interface RoutedRule {
  readonly path: string
  readonly methods: readonly string[]
  readonly setting: Route
  /** Undefined where the route sets no limit. */
  readonly limiter?: RateLimiter | undefined
}

/** What deciding needs. */
export interface DecideParts<R extends RoutedRule> {
  readonly config: Pick<Config, 'publicOrigin' | 'cors' | 'csrf'>
  readonly hosts: ReadonlySet<string>
  readonly catalogue: Pick<Catalogue, 'ownPrefixes'>
  readonly routes: RouteTable<R>
  readonly cookies: AccessCookieReader
  readonly keys: KeySource
  readonly store: Pick<Store, 'hasEnded'>
  readonly clock: Pick<Clock, 'nowSeconds'>
  readonly credentials: Pick<Credentials, 'obtain'>
  /** Hops whose X-Forwarded-For is trusted. */
  readonly trustedProxies: AddressMatcher
}

/** A request to decide on, as it arrived. */
export interface Question extends RawRequest {
  /** True when a protocol upgrade is asked for. */
  readonly upgrade: boolean
  readonly requestId: string
  /** Address of the socket's other end. */
  readonly peer: string | undefined
}

/** What has been found out so far; it outlives a refusal, so that the refusal can be reported. */
export interface Trail<R extends RoutedRule> {
  head?: RequestHead
  /** Methods of the path, which a refusal of the one asked for has to name (RFC 9110 §15.5.6). */
  methods?: readonly string[]
  route?: R
  session?: AccessContent
  /** True once the call was allowed and made: what happens then is no refusal of ours. */
  forwarded?: boolean
}

/** A preflight that is answered on the spot. */
export interface PreflightDecision {
  readonly kind: 'preflight'
  readonly headers: Readonly<Record<string, string>>
}

/** The call may pass, in exactly this form. */
export interface ForwardDecision<R extends RoutedRule> {
  readonly kind: 'forward'
  readonly head: RequestHead
  readonly target: GatedTarget
  readonly route: R
  readonly session: AccessContent | undefined
  readonly cookies: RequestCookies
  readonly credential: Credential
  /** Where the request comes from, as far as trusted hops vouch for it. */
  clientAddress(): string
}

/**
 * Decides one request: gate, route, guard, session, rate limit, policy, credential.
 *
 * Whatever carries the decision out must use its values and nothing else of the request. Throws TokenHandlerError for
 * every kind of no.
 */
export async function decide<R extends RoutedRule>(
  question: Question,
  trail: Trail<R>,
  parts: DecideParts<R>,
): Promise<PreflightDecision | ForwardDecision<R>> {
  const head = parseRequestHead(question, parts.hosts)
  trail.head = head
  checkNoLoop(head.fields.via)
  const target = parseTarget(head.target)

  const routes = parts.routes.match(target.path) ?? []
  const methods = methodsOf(routes)
  trail.methods = methods
  if (routes.length === 0 && !nobodysMethods.has(head.method)) throw new TokenHandlerError('route_not_found')
  if (isPreflight(head.method, head.fields)) {
    return { kind: 'preflight', headers: preflightHeaders(head.fields, parts.config, methods) }
  }
  const route = routes.find((candidate) => candidate.methods.includes(head.method))
  if (route === undefined) throw new TokenHandlerError('method_not_allowed', { detail: { check: 'route' } })
  trail.route = route
  if (question.upgrade && !route.setting.websocket) throw new TokenHandlerError('upgrade_not_allowed')

  const { fields, method } = head
  checkGuard({ method, fields, upgrade: question.upgrade }, parts.config, route.setting.headerless)

  const cookies = parseCookieHeader(fields.cookie, parts.catalogue)
  const session = openSession(cookies, parts)
  if (session !== undefined) trail.session = session
  if (session !== undefined && parts.config.csrf.token === 'required') checkCsrf(head, session, parts)
  if (session === undefined && route.setting.anonymous === 'deny') throw new TokenHandlerError('session_missing')
  const address = () => clientAddress(question.peer, fields['x-forwarded-for'], parts.trustedProxies)
  if (route.limiter !== undefined) {
    const bySession = route.setting.rateLimit?.by !== 'address'
    await route.limiter.consume((bySession ? session?.sessionId : undefined) ?? address())
  }
  checkPolicy(session, route.setting.require, parts.clock.nowSeconds())

  const credential = await parts.credentials.obtain(route.setting, session, question.requestId)
  return { kind: 'forward', head, target, route, session, cookies, credential, clientAddress: address }
}

/** Methods that a route cannot name: TRACE shows the cookie, CONNECT leaves HTTP; no path has them (HX-14). */
const nobodysMethods: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT'])

function methodsOf(routes: readonly RoutedRule[]): readonly string[] {
  return routes.flatMap(({ methods }) => methods)
}

/** Requests that cannot carry our header cannot carry the token either; their guard was stricter. */
function checkCsrf<R extends RoutedRule>(head: RequestHead, session: AccessContent, parts: DecideParts<R>): void {
  if (head.fields['token-handler-version'] === undefined) return
  if (!isCsrfToken(parts.keys.current(), session.sessionId, head.fields['x-csrf-token'])) {
    throw new TokenHandlerError('csrf_token_invalid')
  }
}
