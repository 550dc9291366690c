import type { Catalogue } from '../shared/cookies/catalogue.ts'
import { type RequestCookies, parseCookieHeader } from '../shared/cookies/header.ts'
import type { AccessContent } from '../shared/cookies/session.ts'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import { isCsrfToken } from '../shared/crypto/csrf-token.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import { isPreflight, preflightHeaders } from '../shared/http/cors.ts'
import { type AddressMatcher, clientAddress } from '../shared/http/client-address.ts'
import { asTokenHandlerError } from '../shared/http/error-answer.ts'
import { checkGuard } from '../shared/http/guard.ts'
import { type HeaderFields, type RawRequest, type RequestHead, parseRequestHead } from '../shared/http/request-gate.ts'
import type { Store } from '../shared/store/store.ts'
import type { Credential } from './credentials/credential.ts'
import type { Credentials } from './credentials/credentials.ts'
import { type GatedTarget, parseTarget } from './gate/path.ts'
import { checkNoLoop } from './gate/via.ts'
import { checkPolicy } from './policy.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { RouteTable } from './routes/route-table.ts'
import { type AccessCookieReader, openSession } from './session.ts'

/** What deciding needs. */
export interface DecideParts {
  readonly config: Pick<Config, 'publicOrigin' | 'cors' | 'csrf'>
  readonly hosts: ReadonlySet<string>
  readonly catalogue: Pick<Catalogue, 'ownPrefixes'>
  readonly routes: RouteTable<ProxyRoute>
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

/** What is known of a request, as far as it was read; every decision says as much, so that its end can be reported. */
export interface Known {
  readonly head?: RequestHead | undefined
  readonly route?: ProxyRoute | undefined
  readonly session?: AccessContent | undefined
  /** Methods of the path, which a refusal of the one asked for has to name (RFC 9110 §15.5.6). */
  readonly methods?: readonly string[] | undefined
  /** Where the request comes from, as far as trusted hops vouch for it. */
  clientAddress?(): string
}

/** A preflight that is answered on the spot. */
export interface Preflight extends Known {
  readonly kind: 'preflight'
  readonly head: RequestHead
  readonly headers: Readonly<Record<string, string>>
}

/** The call may pass, in exactly this form. */
export interface Forward extends Known {
  readonly kind: 'forward'
  readonly head: RequestHead
  readonly target: GatedTarget
  readonly route: ProxyRoute
  readonly session: AccessContent | undefined
  readonly cookies: RequestCookies
  /** Undefined where the route wants none. */
  readonly credential: Credential | undefined
  clientAddress(): string
}

/** The call may not pass. */
export interface Refused extends Known {
  readonly kind: 'refused'
  readonly error: TokenHandlerError
}

/** What becomes of a request. */
export type Decision = Preflight | Forward | Refused

/**
 * Decides one request: gate, route, guard, session, rate limit, policy, credential.
 *
 * Whatever carries the decision out must use its values and nothing else of the request. Never rejects: every kind of no
 * is a decision, and a failure of ours is a no.
 */
export async function decide(question: Question, parts: DecideParts): Promise<Decision> {
  let head: RequestHead | undefined
  let route: ProxyRoute | undefined
  let methods: readonly string[] | undefined
  let session: AccessContent | undefined
  const address = () => clientAddress(question.peer, head?.fields['x-forwarded-for'], parts.trustedProxies)
  try {
    head = parseRequestHead(question, parts.hosts)
    const { fields, method } = head
    checkNoLoop(fields.via)
    const target = parseTarget(head.target)

    const routes = parts.routes.match(target.path) ?? none
    if (routes.length === 0 && !nobodysMethods.has(method)) throw new TokenHandlerError('route_not_found')
    if (isPreflight(method, fields)) {
      methods = methodsOf(routes)
      return { kind: 'preflight', head, methods, headers: preflightHeaders(fields, parts.config, methods) }
    }
    route = routes.find((candidate) => candidate.methods.includes(method))
    if (route === undefined) {
      methods = methodsOf(routes)
      throw new TokenHandlerError('method_not_allowed', { detail: { check: 'route' } })
    }
    if (question.upgrade && !route.setting.websocket) throw new TokenHandlerError('upgrade_not_allowed')
    checkGuard({ method, fields, upgrade: question.upgrade }, parts.config, route.setting.headerless)

    const cookies = parseCookieHeader(fields.cookie, parts.catalogue)
    session = openSession(cookies, parts)
    if (session !== undefined && parts.config.csrf.token === 'required') checkCsrf(fields, session, parts)
    if (session === undefined && route.setting.anonymous === 'deny') throw new TokenHandlerError('session_missing')
    if (route.limiter !== undefined) {
      const bySession = route.setting.rateLimit?.by !== 'address'
      await route.limiter.consume((bySession ? session?.sessionId : undefined) ?? address())
    }
    checkPolicy(session, route.setting.require, parts.clock.nowSeconds())

    const credential = await parts.credentials.obtain(route.setting, session, question.requestId)
    return { kind: 'forward', head, target, route, session, cookies, credential, clientAddress: address }
  } catch (thrown) {
    return {
      kind: 'refused',
      error: asTokenHandlerError(thrown),
      head,
      route,
      methods,
      session,
      clientAddress: address,
    }
  }
}

const none: readonly ProxyRoute[] = []

/** Methods that a route cannot name: TRACE shows the cookie, CONNECT leaves HTTP; no path has them (HX-14). */
const nobodysMethods: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT'])

function methodsOf(routes: readonly ProxyRoute[]): readonly string[] {
  return routes.flatMap(({ methods }) => methods)
}

/** Requests that cannot carry our header cannot carry the token either; their guard was stricter. */
function checkCsrf(fields: HeaderFields, session: AccessContent, parts: DecideParts): void {
  if (fields['token-handler-version'] === undefined) return
  if (!isCsrfToken(parts.keys.current(), session.sessionId, fields['x-csrf-token'])) {
    throw new TokenHandlerError('csrf_token_invalid')
  }
}
