import type { IncomingMessage, ServerResponse } from 'node:http'
import { TokenHandlerError } from '../../shared/errors.ts'
import { corsHeaders } from '../../shared/http/cors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import { requestIdOf } from '../../shared/http/request-id.ts'
import { type Forward, type Known, type Preflight, decide } from '../decide.ts'
import { upstreamRefusal } from '../forward/challenge.ts'
import { publicLocation } from '../forward/location.ts'
import { upstreamRequestHeaders } from '../forward/request-headers.ts'
import { browserResponseHeaders, isEventStream, one } from '../forward/response-headers.ts'
import { type CallOutcome, send } from '../forward/send.ts'
import type { ProxyRoute } from '../proxy-route.ts'
import { forwardPath } from '../routes/forward-path.ts'
import { type EdgeParts, ownRequestFields } from './edge.ts'
import { refusalAnswer, tellRefusal } from './refusal.ts'
import { reportCall, reportFailedCall, reportUnreachable } from './report-call.ts'

/** Carries decisions out by calling the API: one request in, one call out, one answer back. */
export function createReverseProxy(
  parts: EdgeParts,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { observe, clock } = parts
  return async (request, response) => {
    const requestId = requestIdOf(request)
    const startedMs = clock.nowMs()
    const { method = '', url: target = '', httpVersion, rawHeaders } = request
    const decision = await decide(
      { method, target, httpVersion, rawHeaders, upgrade: false, requestId, peer: request.socket.remoteAddress },
      parts.decide,
    )
    let refusal: TokenHandlerError | undefined
    let failure: TokenHandlerError | undefined
    try {
      if (decision.kind === 'refused') refusal = decision.error
      else failure = await carryOut(request, response, requestId, decision, parts)
    } catch (thrown) {
      refusal = asTokenHandlerError(thrown)
    }
    if (refusal !== undefined) tellRefusal(refusal, requestId, decision, parts)
    const error = refusal ?? failure
    if (error !== undefined) refuse(request, response, error, requestId, decision, parts)
    observe.emit('request.answered', {
      request_id: requestId,
      side: 'proxy',
      route: decision.route?.path,
      method: request.method,
      status: response.statusCode,
      duration_ms: clock.nowMs() - startedMs,
      error_code: error?.code,
    })
  }
}

/** Throws what refuses the call before it is made; resolves with the failure of a call that was made, once reported. */
async function carryOut(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  decision: Preflight | Forward,
  parts: EdgeParts,
): Promise<TokenHandlerError | undefined> {
  if (decision.kind === 'preflight') {
    response.writeHead(204, { ...decision.headers, 'x-request-id': requestId }).end()
    return undefined
  }
  const { setting, slots } = decision.route
  if (decision.head.contentLength !== undefined && decision.head.contentLength > setting.maxBodyBytes) {
    throw new TokenHandlerError('payload_too_large')
  }
  const release = slots.take()
  const startedMs = parts.clock.nowMs()
  try {
    if (decision.head.expectsContinue) response.writeContinue()
    const outcome = await callApi(request, response, requestId, decision, parts)
    reportCall(outcome, requestId, decision.route, startedMs, parts)
    return undefined
  } catch (thrown) {
    const failure = asTokenHandlerError(thrown)
    reportFailedCall(failure, requestId, decision.route, startedMs, parts)
    return failure
  } finally {
    release()
  }
}

function callApi(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  decision: Forward,
  parts: EdgeParts,
): Promise<CallOutcome> {
  const { head, target, route, session, credential } = decision
  const { setting } = route
  const path = forwardPath(target, setting)
  const mayStream = head.fields.accept?.includes('text/event-stream') === true
  return send({
    request,
    response,
    upstream: route.upstream,
    method: head.method,
    path,
    headers: upstreamRequestHeaders(head, ownRequestFields(decision, requestId)),
    hasBody: head.hasBody,
    maxBodyBytes: setting.maxBodyBytes,
    idleTimeoutMs: mayStream ? setting.streamIdleTimeoutMs : setting.idleTimeoutMs,
    clock: parts.clock,
    onUnreachable: (target, failure) => reportUnreachable(failure, target, requestId, route, parts),
    onHead(status, fields, { origin }) {
      const refusal = upstreamRefusal(status, fields)
      if (refusal !== undefined) {
        if (refusal.code === 'upstream_unauthorized') parts.credentials.refused(setting, session, credential)
        throw refusal
      }
      return browserResponseHeaders(fields, {
        credentialValue: credential?.value.slice(credential.value.lastIndexOf(' ') + 1),
        allowSetCookie: setting.allowSetCookie,
        requestId,
        cors: corsHeaders(head.fields.origin, parts.config),
        location: visibleLocation(status, one(fields.location), origin, path, route),
      })
    },
    onBody(fields, cut) {
      if (!isEventStream(fields)) return undefined
      return parts.streams.watch(session, (cause) => {
        parts.observe.emit('stream.closed', { request_id: requestId, route: route.path, cause })
        cut()
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

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: TokenHandlerError,
  requestId: string,
  known: Known,
  parts: EdgeParts,
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, headers, body } = refusalAnswer(error, requestId, known, parts.config)
  const allow = error.code === 'method_not_allowed' ? known.methods?.join(', ') : undefined
  response.writeHead(status, {
    ...headers,
    ...(allow === undefined ? undefined : { allow }),
    'content-length': Buffer.byteLength(body),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
