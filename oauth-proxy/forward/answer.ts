import type { ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Cancel, Clock } from '../../shared/clock.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { breakOff } from '../../shared/http/break-off.ts'
import { upstreamFailure } from './failure.ts'
import { type ResponseHeaders, type UpstreamFields, isEventStream } from './response-headers.ts'
import type { Upstream } from './upstreams.ts'

/** What passing an answer on takes. */
export interface AnswerParts {
  readonly response: ServerResponse
  /** Longest silence within the body of the answer. */
  readonly idleTimeoutMs: number
  /** Makes the head for the browser out of the API's; a throw refuses the answer and is what the call fails with. */
  readonly onHead: (status: number, fields: UpstreamFields, upstream: Upstream) => ResponseHeaders
  /**
   * Called for an answer of unknown length, with a function that ends it: an event stream in good order, any other so that
   * it looks like the half that it is. Returns what to call when it is over.
   */
  readonly onEndless: (kind: 'stream' | 'answer', cut: () => void) => () => void
  /** True once a stop cuts what is in flight. */
  readonly isCutting: () => boolean
  readonly clock: Pick<Clock, 'after'>
}

/**
 * How an answer ended: how much of it the browser got, or that it got none because we refused it, none came, or the API
 * was never asked. What a stop cuts ends as `server_stopping`, wherever it was.
 */
export type Ending =
  | 'complete'
  | 'client_gone'
  | 'truncated'
  | 'cut'
  | 'refused'
  | 'unanswered'
  | 'unasked'
  | 'server_stopping'

/** Told once how an answer ended, with the API's status (0 if none came) and why, where the browser got nothing of it. */
export type OnEnd = (ending: Ending, status: number, error: unknown) => void

/** Thrown into the client library to end a call whose browser has gone. */
class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

/** Thrown into the client library to end an answer that we ended for the browser. */
class StreamCut extends Error {
  override readonly name = 'StreamCut'
}

/** Longest body that is joined with the head into one piece; for longer ones a second piece costs less than the joining. */
const joinLimitBytes = 16_384

/** Rest of a refused answer that is read so that its connection can be used again. */
const discardLimitBytes = 65_536
/** How long it may take to come; the browser waits for our answer meanwhile. */
const discardLimitMs = 1000

/**
 * Passes the answer of an upstream on to the browser as it comes, at the pace of the slower side.
 *
 * Half an answer is cut off, so that it is never taken for a whole one (I13).
 */
export function answerHandler(parts: AnswerParts, upstream: Upstream, onEnd: OnEnd): Dispatcher.DispatchHandler {
  const { response } = parts
  let running: Dispatcher.DispatchController | undefined
  let status = 0
  let refusal: TokenHandlerError | undefined
  let discardedBytes = 0
  let wholeBytes: number | undefined
  let cancelStall: Cancel | undefined
  let onDrain: (() => void) | undefined
  let afterStream: (() => void) | undefined
  let isOver = false

  const onClientClose = () => running?.abort(new ClientGone())
  response.on('close', onClientClose)

  function end(error: Error | undefined): void {
    isOver = true
    cancelStall?.()
    afterStream?.()
    response.off('close', onClientClose)
    if (onDrain !== undefined) response.off('drain', onDrain)
    const ending = endingOf(status, refusal, error, { asked: running !== undefined, isCutting: parts.isCutting() })
    if (ending === 'complete' && !response.writableEnded) response.end()
    if (ending === 'truncated') breakOff(response)
    onEnd(ending, status, refusal ?? error)
  }

  return {
    // Called when the connection is ready, just before the first byte of the request is written.
    onRequestStart(controller) {
      running = controller
      if (response.destroyed) controller.abort(new ClientGone())
    },
    onResponseStart(controller, upstreamStatus, fields) {
      // Interim answers end here; the one that matters to a client, 100, was ours to give (RFC 9110 §15.2).
      if (upstreamStatus >= 100 && upstreamStatus < 200) return
      status = upstreamStatus
      upstream.report(true)
      try {
        wholeBytes = writeHead(response, status, parts.onHead(status, fields, upstream))
        const kind = isEventStream(fields) ? 'stream' : 'answer'
        if (kind === 'answer' && fields['content-length'] !== undefined) return
        const cut = () => {
          if (kind === 'stream') response.end()
          else breakOff(response)
          controller.abort(new StreamCut())
        }
        // What came with the head is read by then: most answers are whole, as are all without a body, and cost no watch.
        queueMicrotask(() => {
          if (!isOver) afterStream = parts.onEndless(kind, cut)
        })
      } catch (error) {
        const refused = upstreamFailure(error)
        refusal = refused
        cancelStall = parts.clock.after(discardLimitMs, () => controller.abort(refused))
      }
    },
    onResponseData(controller, chunk) {
      if (refusal !== undefined) {
        discardedBytes += chunk.length
        if (discardedBytes > discardLimitBytes) controller.abort(refusal)
        return
      }
      if (chunk.length === wholeBytes) {
        // As text it goes out in one piece with the head; Latin-1 keeps every byte as it is.
        response.end(chunk.toString('latin1'), 'latin1')
        return
      }
      if (response.write(chunk)) return
      controller.pause()
      onDrain ??= () => {
        cancelStall?.()
        cancelStall = undefined
        running?.resume()
      }
      response.once('drain', onDrain)
      // A reader that stops for good would hold the connection to the API for ever.
      cancelStall ??= parts.clock.after(parts.idleTimeoutMs, () => breakOff(response))
    },
    onResponseEnd: () => end(undefined),
    onResponseError: (_controller, error) => end(error),
  }
}

/** Judges an end by how far the answer had come and by what ended it. */
function endingOf(
  status: number,
  refusal: TokenHandlerError | undefined,
  error: Error | undefined,
  { asked, isCutting }: { readonly asked: boolean; readonly isCutting: boolean },
): Ending {
  if (error instanceof StreamCut) return 'cut'
  // The cut reaches us from both sides, as a browser that has gone or a connection that broke.
  if (error !== undefined && isCutting) return 'server_stopping'
  if (error instanceof ClientGone) return 'client_gone'
  if (refusal !== undefined) return 'refused'
  // 304 and 204 have no body; the client library takes their Content-Length for a promise of one (RFC 9110 §8.6).
  if (error === undefined || status === 304 || status === 204) return 'complete'
  if (status !== 0) return 'truncated'
  return asked ? 'unanswered' : 'unasked'
}

/** Writes the head; returns the length of a body that is short enough to go out in one piece with it. */
function writeHead(response: ServerResponse, status: number, headers: ResponseHeaders): number | undefined {
  if (status < 200 || status > 599)
    throw new TokenHandlerError('upstream_invalid_response', { detail: { check: 'status' } })
  // RFC 9110 §8.6: no length with 204, whatever the API said.
  if (status === 204) delete headers['content-length']
  response.writeHead(status, headers)
  // An event stream may stay silent for long; its head must not wait for the first event.
  if (headers['content-length'] === undefined) queueMicrotask(() => response.flushHeaders())
  const length = Number(headers['content-length'])
  // The client library may hand over empty pieces, so an empty body is not recognised by its length.
  return length > 0 && length <= joinLimitBytes ? length : undefined
}
