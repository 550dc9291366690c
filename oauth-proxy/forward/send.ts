import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Cancel, Clock } from '../../shared/clock.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { isBrokenConnection, isConnectFailure, upstreamFailure } from './failure.ts'
import { requestBody } from './request-body.ts'
import type { ResponseHeaders, UpstreamFields } from './response-headers.ts'
import type { Target, Upstream } from './upstream.ts'

/** One call to an API, ready to go. */
export interface UpstreamCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upstream: Upstream
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly hasBody: boolean
  readonly maxBodyBytes: number
  /** Longest silence within the body of the answer. */
  readonly idleTimeoutMs: number
  /** Makes the head for the browser out of the API's; a throw refuses the answer and is what the call fails with. */
  readonly onHead: (status: number, fields: UpstreamFields, target: Target) => ResponseHeaders
  /** Called when a body begins, with the way to end a stream in good order; returns what to call when the body is over. */
  readonly onBody: (fields: UpstreamFields, cut: () => void) => (() => void) | undefined
  /** Told of a place that could not be connected to while another is tried. */
  readonly onUnreachable: (target: Target, failure: TokenHandlerError) => void
  readonly clock: Pick<Clock, 'after'>
}

/** How a call that was answered came to its end. */
export interface CallOutcome {
  /** Status of the API, 0 when the client went before there was one. */
  readonly status: number
  readonly outcome: 'complete' | 'client_gone' | 'truncated' | 'cut'
  readonly retried: boolean
}

/** Thrown into the client library to end a call whose browser has gone. */
class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

/** Thrown into the client library to end a stream that we ended for the browser. */
class StreamCut extends Error {
  override readonly name = 'StreamCut'
}

/** Longest body that is joined with the head into one piece; for longer ones a second piece costs less than the joining. */
const joinLimitBytes = 16_384

/** Rest of a refused answer that is read so that its connection can be used again. */
const discardLimitBytes = 65_536

/**
 * Sends a request to the API and its answer to the browser as it comes, at the pace of the slower side.
 *
 * Rejects with TokenHandlerError as long as nothing was answered. After that a failure cuts the connection to the
 * browser, so that half an answer is never taken for a whole one (I13); resolves when all is over.
 */
export function send(call: UpstreamCall): Promise<CallOutcome> {
  return new Promise((resolve, reject) =>
    attempt({
      call,
      body: call.hasBody ? requestBody(call.request, call.maxBodyBytes) : null,
      target: call.upstream.pick(),
      unreachable: none,
      retried: false,
      resolve,
      reject,
    }),
  )
}

/** One try of a call. */
interface Attempt {
  readonly call: UpstreamCall
  readonly body: Readable | null
  readonly target: Target
  /** Where no connection could be made before. */
  readonly unreachable: readonly Target[]
  readonly retried: boolean
  readonly resolve: (outcome: CallOutcome) => void
  readonly reject: (error: TokenHandlerError) => void
}

const none: readonly Target[] = []

function attempt(current: Attempt): void {
  const { call, body, target, retried, resolve, reject } = current
  const { response, method } = call
  let running: Dispatcher.DispatchController | undefined
  let status = 0
  let refusal: TokenHandlerError | undefined
  let discarded = 0
  let wholeBytes: number | undefined
  let cancelStall: Cancel | undefined
  let afterBody: (() => void) | undefined

  const onClientClose = () => running?.abort(new ClientGone())
  const onDrain = () => {
    cancelStall?.()
    cancelStall = undefined
    running?.resume()
  }
  const settle = () => {
    cancelStall?.()
    afterBody?.()
    response.off('close', onClientClose)
    response.off('drain', onDrain)
  }
  response.on('close', onClientClose)

  target.pool.dispatch(
    {
      method,
      path: call.path,
      headers: call.headers,
      body,
      bodyTimeout: call.idleTimeoutMs,
    },
    {
      onRequestStart(controller) {
        running = controller
        if (response.destroyed) controller.abort(new ClientGone())
      },
      onResponseStart(_controller, upstreamStatus, fields) {
        // Interim answers end here; the one that matters to a client, 100, was ours to give (RFC 9110 §15.2).
        if (upstreamStatus >= 100 && upstreamStatus < 200) return
        status = upstreamStatus
        target.report(true)
        try {
          const headers = call.onHead(status, fields, target)
          writeHead(response, status, headers)
          const length = Number(headers['content-length'])
          // The client library may hand over empty pieces, so an empty body is not recognised by its length.
          if (length > 0 && length <= joinLimitBytes) wholeBytes = length
          afterBody = call.onBody(fields, () => {
            response.off('close', onClientClose)
            response.end()
            running?.abort(new StreamCut())
          })
        } catch (error) {
          refusal = upstreamFailure(error)
        }
      },
      onResponseData(controller, chunk) {
        if (refusal !== undefined) {
          discarded += chunk.length
          if (discarded > discardLimitBytes) controller.abort(refusal)
          return
        }
        if (chunk.length === wholeBytes) {
          // As text it goes out in one piece with the head; Latin-1 keeps every byte as it is.
          response.end(chunk.toString('latin1'), 'latin1')
          return
        }
        if (response.write(chunk)) return
        controller.pause()
        response.once('drain', onDrain)
        // A reader that stops for good would hold the connection to the API for ever.
        cancelStall ??= call.clock.after(call.idleTimeoutMs, () => response.destroy())
      },
      onResponseEnd() {
        settle()
        if (refusal !== undefined) {
          reject(refusal)
          return
        }
        if (!response.writableEnded) response.end()
        resolve({ status, outcome: 'complete', retried })
      },
      onResponseError(_controller, error) {
        settle()
        if (error instanceof ClientGone || error instanceof StreamCut) {
          resolve({ status, outcome: error instanceof StreamCut ? 'cut' : 'client_gone', retried })
        } else if (refusal !== undefined) {
          reject(refusal)
        } else if (status === 304 || status === 204) {
          // Never has a body; the client library takes its Content-Length for a promise of one (RFC 9110 §8.6).
          response.end()
          resolve({ status, outcome: 'complete', retried })
        } else if (status !== 0) {
          response.destroy()
          resolve({ status, outcome: 'truncated', retried })
        } else {
          if (isConnectFailure(error)) target.report(false)
          const next = nextAttempt(current, error)
          if (next === undefined) reject(upstreamFailure(error))
          else attempt(next)
        }
      },
    },
  )
}

/** A place that was never connected to has seen nothing, so another may have the request, whatever it is. */
function nextAttempt(failed: Attempt, error: unknown): Attempt | undefined {
  const { call, body, target, retried } = failed
  if (isConnectFailure(error)) {
    const unreachable = [...failed.unreachable, target]
    const other = body?.readableDidRead === true ? undefined : call.upstream.other(unreachable)
    if (other === undefined) return undefined
    call.onUnreachable(target, upstreamFailure(error))
    return { ...failed, target: other, unreachable, retried: true }
  }
  const mayRepeat = !retried && isRepeatable(call) && isBrokenConnection(error)
  return mayRepeat ? { ...failed, target: call.upstream.pick(), retried: true } : undefined
}

/** Asking again without a body changes nothing at the API (RFC 9110 §9.2.2); anything else is never sent twice. */
function isRepeatable({ method, hasBody }: UpstreamCall): boolean {
  return (method === 'GET' || method === 'HEAD') && !hasBody
}

function writeHead(response: ServerResponse, status: number, headers: ResponseHeaders): void {
  if (status < 200 || status > 599)
    throw new TokenHandlerError('upstream_invalid_response', { detail: { check: 'status' } })
  // RFC 9110 §8.6: no length with 204, whatever the API said.
  if (status === 204) delete headers['content-length']
  response.writeHead(status, headers)
  // An event stream may stay silent for long; its head must not wait for the first event.
  if (headers['content-length'] === undefined) queueMicrotask(() => response.flushHeaders())
}
