import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { pseudonym } from '../../shared/crypto/pseudonym.ts'
import type { KeySource } from '../../shared/crypto/key-ring.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { type AddressMatcher, clientAddress } from '../../shared/http/client-address.ts'
import { corsHeaders } from '../../shared/http/cors.ts'
import { asTokenHandlerError, errorAnswer } from '../../shared/http/error-answer.ts'
import { requestIdOf } from '../../shared/http/request-id.ts'
import type { EventFields, Observe } from '../../shared/observe/events.ts'
import type { Credentials } from '../credentials/credentials.ts'
import { type DecideParts, type ForwardDecision, type Trail, decide } from '../decide.ts'
import { upstreamRefusal } from '../forward/challenge.ts'
import { publicLocation } from '../forward/location.ts'
import { upstreamRequestHeaders } from '../forward/request-headers.ts'
import { browserResponseHeaders, one } from '../forward/response-headers.ts'
import { type CallOutcome, send } from '../forward/send.ts'
import type { ProxyRoute } from '../proxy-route.ts'
import { forwardPath } from '../routes/forward-path.ts'

export interface ReverseProxyParts {
  readonly decide: DecideParts<ProxyRoute>
  readonly config: Pick<Config, 'publicOrigin' | 'cors'>
  readonly keys: KeySource
  readonly credentials: Pick<Credentials, 'refused'>
  readonly trustedProxies: AddressMatcher
  readonly clock: Pick<Clock, 'nowMs' | 'after'>
  readonly observe: Observe
}

type Answerer = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** Carries decisions out by calling the API: one request in, one call out, one answer back. */
export function createReverseProxy(parts: ReverseProxyParts): Answerer {
  const { observe, clock } = parts
  return async (request, response) => {
    const requestId = requestIdOf(request)
    const startedMs = clock.nowMs()
    const trail: Trail<ProxyRoute> = {}
    let errorCode: string | undefined
    try {
      await answer(request, response, requestId, trail, parts)
    } catch (thrown) {
      const error = asTokenHandlerError(thrown)
      errorCode = error.code
      tellRefusal(error, requestId, trail, parts)
      answerError(error, request, response, requestId, trail, parts)
    }
    observe.emit('request.answered', {
      request_id: requestId,
      side: 'proxy',
      route: trail.route?.path,
      method: request.method,
      status: response.statusCode,
      duration_ms: clock.nowMs() - startedMs,
      error_code: errorCode,
    })
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  trail: Trail<ProxyRoute>,
  parts: ReverseProxyParts,
): Promise<void> {
  const question = {
    method: request.method ?? '',
    target: request.url ?? '',
    httpVersion: request.httpVersion,
    rawHeaders: request.rawHeaders,
    upgrade: false,
    requestId,
  }
  const decision = await decide(question, trail, parts.decide)
  if (decision.kind === 'preflight') {
    response.writeHead(204, { ...decision.headers, 'x-request-id': requestId }).end()
    return
  }
  const { setting, slots } = decision.route
  if (decision.head.contentLength !== undefined && decision.head.contentLength > setting.maxBodyBytes) {
    throw new TokenHandlerError('payload_too_large')
  }
  const release = slots.take()
  try {
    if (decision.head.expectsContinue) response.writeContinue()
    const outcome = await call(request, response, requestId, decision, parts)
    parts.observe.emit('upstream.called', {
      request_id: requestId,
      route: decision.route.path,
      status: outcome.status,
      outcome: outcome.outcome,
      retried: outcome.retried,
    })
  } finally {
    release()
  }
}

function call(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  { head, target, route, session, cookies, credential }: ForwardDecision<ProxyRoute>,
  parts: ReverseProxyParts,
): Promise<CallOutcome> {
  const { setting } = route
  const { fields } = head
  const path = forwardPath(target, setting)
  const streams = fields.accept?.includes('text/event-stream') === true
  return send({
    request,
    response,
    upstream: route.upstream,
    method: head.method,
    path,
    headers: upstreamRequestHeaders(head, {
      credential,
      credentialHeader: route.credentialHeader,
      clientAddress: clientAddress(request.socket.remoteAddress, fields['x-forwarded-for'], parts.trustedProxies),
      publicHost: route.publicHost,
      publicProtocol: route.publicProtocol,
      requestId,
      cookies: route.visibleCookies(cookies.others),
      traceparent: fields.traceparent,
      tracestate: fields.tracestate,
    }),
    hasBody: head.hasBody,
    maxBodyBytes: setting.maxBodyBytes,
    idleTimeoutMs: streams ? setting.streamIdleTimeoutMs : setting.idleTimeoutMs,
    clock: parts.clock,
    onHead(status, upstreamFields, { origin }) {
      const refusal = upstreamRefusal(status, upstreamFields)
      if (refusal !== undefined) {
        if (refusal.code === 'upstream_unauthorized') parts.credentials.refused(setting, session, credential)
        throw refusal
      }
      return browserResponseHeaders(upstreamFields, {
        credentialValue: credential?.value.split(' ').at(-1),
        allowSetCookie: setting.allowSetCookie,
        requestId,
        cors: corsHeaders(fields.origin, parts.config),
        location: visibleLocation(status, one(upstreamFields.location), origin, path, route),
      })
    },
  })
}

/** A redirect that may not be shown is no answer at all; elsewhere a Location can be left out (RFC 9110 §15.4). */
function visibleLocation(
  status: number,
  location: string | undefined,
  upstreamOrigin: string,
  upstreamPath: string,
  { setting }: ProxyRoute,
): string | undefined {
  if (location === undefined) return undefined
  const { stripPrefix, addPrefix, redirectOrigins } = setting
  const visible = publicLocation(location, { upstreamOrigin, upstreamPath, stripPrefix, addPrefix, redirectOrigins })
  if (visible === undefined && status >= 300 && status < 400) {
    throw new TokenHandlerError('upstream_invalid_response', { detail: { check: 'location' } })
  }
  return visible
}

function tellRefusal(
  error: TokenHandlerError,
  requestId: string,
  { route, session }: Trail<ProxyRoute>,
  { keys, observe }: ReverseProxyParts,
): void {
  if (error.code === 'server_error') {
    const { cause } = error
    observe.emit('internal.failed', {
      request_id: requestId,
      where: 'proxy',
      error_name: cause instanceof Error ? cause.name : 'unknown',
    })
  }
  const ring = keys.current()
  const who: EventFields<'request.refused'> =
    session === undefined
      ? {}
      : {
          subject: pseudonym(ring, 'subject', session.subject),
          session: pseudonym(ring, 'session', session.sessionId),
        }
  observe.emit('request.refused', {
    request_id: requestId,
    ...who,
    side: 'proxy',
    route: route?.path,
    error_code: error.code,
    check: typeof error.detail.check === 'string' ? error.detail.check : undefined,
  })
}

function answerError(
  error: TokenHandlerError,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  trail: Trail<ProxyRoute>,
  parts: ReverseProxyParts,
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, headers, body } = errorAnswer(error, requestId)
  response.writeHead(status, {
    ...headers,
    ...corsHeaders(trail.head?.fields.origin, parts.config),
    'content-length': Buffer.byteLength(body),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
