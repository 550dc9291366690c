import type { IncomingMessage, ServerResponse } from 'node:http'
import { TokenHandlerError } from '../../shared/errors.ts'
import { breakOff } from '../../shared/http/break-off.ts'
import type { CorsSettings } from '../../shared/http/cors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import { type Forward, type Known, type Preflight, decide } from '../decide.ts'
import { upstreamRequestHeaders } from '../forward/request-headers.ts'
import { type CallOutcome, send } from '../forward/send.ts'
import { forwardPath } from '../routes/forward-path.ts'
import type { StreamEnd } from '../streams.ts'
import { browserHead } from './browser-head.ts'
import { type Call, type EdgeParts, createEdge, ownQuestion, ownRequestFields, proving } from './edge.ts'
import { refusalAnswer } from './refusal.ts'
import { reportCall, reportFailedCall, reportUnreachable } from './report-call.ts'

/** Carries decisions out by calling the API: one request in, one call out, one answer back. */
export function createReverseProxy(
  parts: EdgeParts,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return createEdge<ServerResponse>(
    {
      side: 'proxy',
      decide: (call) => decide(ownQuestion(call, 'request'), parts.decide),
      carryOut: (call, decision) => carryOut(call, decision, parts),
      answerError: (call, error, known) => answerError(call, error, known, parts.config),
      method: ({ request }) => request.method,
      status: ({ output }, error) =>
        output.headersSent ? output.statusCode : (error?.row.status ?? output.statusCode),
    },
    parts,
  )
}

async function carryOut(
  call: Call<ServerResponse>,
  decision: Preflight | Forward,
  parts: EdgeParts,
): Promise<TokenHandlerError | undefined> {
  const { output: response, requestId } = call
  if (decision.kind === 'preflight') {
    response.writeHead(204, { ...decision.headers, 'x-request-id': requestId }).end()
    return undefined
  }
  const { setting, slots } = decision.route
  const sessionId = decision.session?.sessionId
  if (decision.head.contentLength !== undefined && decision.head.contentLength > setting.maxBodyBytes) {
    throw new TokenHandlerError('payload_too_large')
  }
  slots.take(sessionId)
  const startedMs = parts.clock.nowMs()
  try {
    if (decision.head.expectsContinue) response.writeContinue()
    const outcome = await callApi(call, decision, parts)
    reportCall(outcome, requestId, decision.route, startedMs, parts)
    return outcome.outcome === 'server_stopping' ? new TokenHandlerError('server_stopping') : undefined
  } catch (thrown) {
    const failure = asTokenHandlerError(thrown)
    reportFailedCall(failure, requestId, decision.route, startedMs, parts)
    return failure
  } finally {
    slots.release(sessionId)
  }
}

function callApi(
  { request, output: response, requestId }: Call<ServerResponse>,
  decision: Forward,
  parts: EdgeParts,
): Promise<CallOutcome> {
  const { head, target, route, session } = decision
  const { setting } = route
  const path = forwardPath(target, setting)
  const proved = proving(decision, parts.proofs)
  const mayStream = head.fields.accept?.includes('text/event-stream') === true
  return send({
    request,
    response,
    upstreams: route.upstreams,
    method: head.method,
    path,
    headers: upstreamRequestHeaders(head, ownRequestFields(decision, requestId)),
    proof: proved?.prove,
    hasBody: head.hasBody,
    maxBodyBytes: setting.maxBodyBytes,
    idleTimeoutMs: mayStream ? setting.streamIdleTimeoutMs : setting.idleTimeoutMs,
    clock: parts.clock,
    onUnreachable: (upstream, failure) => reportUnreachable(failure, upstream, requestId, route, parts),
    onHead: browserHead(decision, path, proved, requestId, parts),
    isCutting: parts.isCutting,
    onEndless(kind, cut) {
      const end = (cause: StreamEnd) => {
        parts.observe.emit('stream.closed', { request_id: requestId, route: route.path, cause })
        cut()
      }
      return kind === 'stream' ? parts.streams.watch(session, end) : parts.streams.watchAnswer(session, setting, end)
    },
  })
}

function answerError(
  { request, output: response, requestId }: Call<ServerResponse>,
  error: TokenHandlerError,
  known: Known,
  config: CorsSettings,
): void {
  if (response.headersSent || response.destroyed) {
    breakOff(response)
    return
  }
  const { status, headers, body } = refusalAnswer(error, requestId, known, config)
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(request.method === 'HEAD' ? undefined : body)
}
