import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import type { RequestCookies } from '../shared/cookies/header.ts'
import { errorName, TokenHandlerError } from '../shared/errors.ts'
import { clientAddress, createAddressMatcher, reportableAddress } from '../shared/http/client-address.ts'
import { corsHeaders, isPreflight, preflightHeaders } from '../shared/http/cors.ts'
import { asTokenHandlerError, errorAnswer, ownHeaders } from '../shared/http/error-answer.ts'
import { allowedHosts, parseRequestHead, type RequestHead } from '../shared/http/request-gate.ts'
import { requestIdOf } from '../shared/http/request-id.ts'
import type { Observe } from '../shared/observe/events.ts'
import { namedSession, type SessionState } from './flows/session-state.ts'
import { failurePage, navigationHeaders } from './pages.ts'
import type { AgentAnswer, EndpointParts, RequestMarks } from './routes/endpoint.ts'

/** What the edge knows of a request, as far as it was read. */
export interface RequestState {
  head?: RequestHead
  /** Where the request comes from, as far as trusted hops vouch for it. */
  clientAddress?: string
  cookies?: RequestCookies
  session?: SessionState
  failure?: TokenHandlerError
  /** True for a failure of which an event of the endpoint has told. */
  isReported?: boolean
  /** Set for navigations, whose failures are pages: the link by which to try again. */
  againUrl?: string
}

/** One request and the answer to it in the making: the part of a Koa context that we use, with our state. */
export interface AgentContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly method: string
  /** The target without its query. */
  readonly path: string
  readonly state: RequestState
  status: number
  body: unknown
  /** Sets fields of the answer; names in lower case, so that a later one replaces an earlier one. */
  set(fields: Readonly<Record<string, string | string[]>>): void
}
/** A middleware on that context. */
export type AgentMiddleware = (context: AgentContext, next: () => Promise<unknown>) => Promise<void>

/** What the edge is made of. */
export interface AnswerParts {
  readonly config: Pick<Config, 'cors' | 'agent' | 'publicOrigin' | 'operations' | 'observability'>
  readonly clock: Clock
  readonly observe: Observe
  /** Methods of the endpoints at this path; empty where there is none. */
  readonly methodsOf: (path: string) => readonly string[]
  /** Set-Cookie values that take a session out of the browser. */
  readonly clearSession: (present: RequestCookies) => readonly string[]
  readonly pseudonyms: EndpointParts['pseudonyms']
}

/**
 * The outermost middleware: whatever happens inside becomes one JSON answer with the same headers.
 *
 * It catches before Koa does, because Koa's own handler drops headers that were set, `vary` and `cache-control` among
 * them.
 */
export function createAnswering(parts: AnswerParts): AgentMiddleware {
  const { config, clock, observe, methodsOf, clearSession, pseudonyms } = parts

  return async function answer(context, next) {
    const startedMs = clock.nowMs()
    const requestId = requestIdOf(context.req)
    try {
      await next()
    } catch (error) {
      const failure = asTokenHandlerError(error)
      const { cookies } = context.state
      writeFailure(context, failure, cookies !== undefined && failure.row.endsSession ? clearSession(cookies) : [])
    }
    context.set(corsHeaders(context.state.head?.fields['origin'], config))
    context.set({ 'x-request-id': requestId })
    report(context, clock.nowMs() - startedMs)
  }

  function report(context: AgentContext, durationMs: number): void {
    const { path, method, status, state } = context
    const marks = marksOf(context, config)
    const { request_id } = marks
    const { failure, isReported } = state
    const route = methodsOf(path).length > 0 ? path : 'none'
    const errorCode = failure?.code
    if (failure?.code === 'server_error') {
      observe.emit('internal.failed', { request_id, where: 'agent', error_name: errorName(failure.cause) })
    }
    if (failure !== undefined && isReported !== true) {
      const session = state.session && namedSession(state.session)
      observe.emit('request.refused', {
        ...marks,
        ...(session === undefined ? undefined : pseudonyms(session.facts)),
        side: 'agent',
        route,
        error_code: errorCode,
        ...failure.detail,
      })
    }
    observe.emit('request.answered', {
      request_id,
      side: 'agent',
      route,
      method,
      status,
      duration_ms: durationMs,
      error_code: errorCode,
    })
  }
}

/** Reads the request's head once, and answers preflights, which carry no cookies and need none. */
export function createHeadReading(parts: Pick<AnswerParts, 'config' | 'methodsOf'>): AgentMiddleware {
  const { config, methodsOf } = parts
  const hosts = allowedHosts(config.publicOrigin)
  const isTrustedHop = createAddressMatcher(config.operations.trustedProxies)

  return async function readHead(context, next) {
    const { method = '', url = '', httpVersion, rawHeaders, socket } = context.req
    // For a head that cannot be read, the other end of the socket is all there is to tell.
    context.state.clientAddress = clientAddress(socket.remoteAddress, undefined, isTrustedHop)
    const head = parseRequestHead({ method, target: url, httpVersion, rawHeaders }, hosts)
    context.state.head = head
    context.state.clientAddress = clientAddress(socket.remoteAddress, head.fields['x-forwarded-for'], isTrustedHop)
    if (!isPreflight(head.method, head.fields)) {
      await next()
      return
    }
    const methods = methodsOf(context.path)
    if (methods.length === 0) throw new TokenHandlerError('route_not_found')
    context.set(preflightHeaders(head.fields, config, methods))
    context.status = 204
  }
}

/** How events name this request; its address only where the settings want it told. */
export function marksOf({ req, state }: AgentContext, { observability }: Pick<Config, 'observability'>): RequestMarks {
  const request_id = requestIdOf(req)
  return observability.clientAddresses
    ? { request_id, client_address: reportableAddress(state.clientAddress) }
    : { request_id }
}

/** Writes what an endpoint gave. */
export function writeAnswer(context: AgentContext, answer: AgentAnswer): void {
  if ('error' in answer) {
    context.state.isReported = true
    writeFailure(context, answer.error, answer.cookies, answer.returnTo)
    return
  }
  if ('redirect' in answer) {
    context.status = 303
    context.set({ ...navigationHeaders, location: answer.redirect })
  } else {
    context.status = 200
    context.set('page' in answer ? answer.page.headers : ownHeaders)
  }
  if (answer.headers !== undefined) context.set(answer.headers)
  setCookies(context, answer.cookies ?? [])
  if ('page' in answer) context.body = answer.page.html
  if ('body' in answer) context.body = JSON.stringify(answer.body)
}

/** Writes the one answer of an error's row. */
function writeFailure(
  context: AgentContext,
  error: TokenHandlerError,
  cookies: readonly string[],
  returnTo?: string,
): void {
  const requestId = requestIdOf(context.req)
  const fields = returnTo === undefined ? error.fields : { ...error.fields, return_to: returnTo }
  const { status, headers, body } = errorAnswer(error, requestId, fields)
  context.state.failure = error
  context.status = status
  context.set(headers)
  setCookies(context, cookies)
  context.body = body
  const { againUrl } = context.state
  if (againUrl === undefined) return
  const again = returnTo === undefined ? againUrl : `${againUrl}?${new URLSearchParams({ return_to: returnTo })}`
  const page = failurePage(error, requestId, again)
  context.set(page.headers)
  context.body = page.html
}

function setCookies(context: AgentContext, cookies: readonly string[]): void {
  if (cookies.length > 0) context.set({ 'set-cookie': [...cookies] })
}
