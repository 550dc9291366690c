import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { TokenHandlerError } from '../../shared/errors.ts'
import { type MakeProof, NonceDemand } from './proofs.ts'
import { type AnswerParts, type Ending, answerHandler } from './answer.ts'
import { isBrokenConnection, isConnectFailure, upstreamFailure } from './failure.ts'
import { type BodyCopy, copyBody, requestBody } from './request-body.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/** One call to an API, ready to go. */
export interface UpstreamCall extends AnswerParts {
  readonly request: IncomingMessage
  readonly upstreams: Upstreams
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Undefined for a credential that proves nothing. */
  readonly proof: MakeProof | undefined
  readonly hasBody: boolean
  readonly maxBodyBytes: number
  /** Told of an upstream that could not be connected to while another is tried. */
  readonly onUnreachable: (upstream: Upstream, failure: TokenHandlerError) => void
}

/** How a call that was answered came to its end. */
export interface CallOutcome {
  /** Status of the API, 0 when the client went before there was one. */
  readonly status: number
  readonly outcome: Exclude<Ending, 'refused' | 'unanswered' | 'unasked'>
  readonly retried: boolean
}

/** One try of a call. */
interface Attempt {
  readonly upstream: Upstream
  /** Those to which no connection could be made before. */
  readonly unreachable: readonly Upstream[]
  readonly retried: boolean
  /** What is sent: the stream, or the copy of what it held. */
  readonly body: Readable | Buffer | null
  /** Why it is sent again with the nonce that the API asked for. */
  readonly demand: NonceDemand | undefined
}

const none: readonly Upstream[] = []

/**
 * Sends a request to the API and its answer to the browser; tries again where that can have no effect twice.
 *
 * Rejects with TokenHandlerError as long as nothing was answered; resolves when all is over.
 */
export function send(call: UpstreamCall): Promise<CallOutcome> {
  const { method, path, headers, idleTimeoutMs: bodyTimeout } = call
  return new Promise((resolve, reject) => {
    // Kept where the API may want to see it a second time, with a nonce in the proof.
    const copy = call.hasBody && call.proof !== undefined ? copyBody(call.request, call.maxBodyBytes) : undefined
    const body = call.hasBody ? requestBody(call.request, call.maxBodyBytes) : null
    const answer = copy === undefined ? call : droppingWhenTaken(call, copy)
    attempt({ upstream: call.upstreams.pick(), unreachable: none, body, retried: false, demand: undefined })

    function attempt(current: Attempt): void {
      const { upstream, retried } = current
      const handler = answerHandler(answer, upstream, (ending, status, error) => {
        if (ending === 'refused') {
          if (error instanceof NonceDemand) prove(current, status, error).catch(reject)
          else reject(error)
        } else if (ending !== 'unanswered' && ending !== 'unasked') {
          resolve({ status, outcome: ending, retried })
        } else {
          const wasAsked = ending === 'unanswered'
          const isAway = isConnectFailure(error, wasAsked)
          if (isAway) upstream.report(false)
          const other = isAway && !wasAsked ? elsewhere(current, error, call) : undefined
          const next = other ?? onceMore(current, error, call)
          if (next === undefined) reject(upstreamFailure(error))
          else attempt(next)
        }
      })
      // An API takes each proof once, so every try has its own (RFC 9449 §11.1).
      const own = call.proof === undefined ? headers : { ...headers, dpop: call.proof(upstream, current.demand) }
      upstream.pool.dispatch({ method, path, headers: own, body: current.body, bodyTimeout }, handler)
    }

    /** Once more, and no oftener, to an API that has refused a proof, and so has done nothing, whatever the method. */
    async function prove(current: Attempt, status: number, demand: NonceDemand): Promise<void> {
      const again = call.hasBody ? await copy?.whole() : null
      const isGone = call.response.destroyed
      if (!isGone && again !== undefined && current.demand === undefined) {
        attempt({ ...current, body: again, retried: true, demand })
        return
      }
      demand.release()
      if (isGone) resolve({ status, outcome: 'client_gone', retried: current.retried })
      else throw demand
    }
  })
}

/** An upstream that was never connected to has seen nothing, so another may have the request, whatever it is. */
function elsewhere(current: Attempt, error: unknown, call: UpstreamCall): Attempt | undefined {
  const { upstream, unreachable, body } = current
  const away = [...unreachable, upstream]
  const other = body instanceof Readable && body.readableDidRead ? undefined : call.upstreams.other(away)
  if (other === undefined) return undefined
  call.onUnreachable(upstream, upstreamFailure(error))
  return { ...current, upstream: other, unreachable: away, retried: true }
}

/** A connection that broke may have been one that the API was about to close. */
function onceMore(current: Attempt, error: unknown, call: UpstreamCall): Attempt | undefined {
  const mayRepeat = !current.retried && isRepeatable(call) && isBrokenConnection(error)
  return mayRepeat ? { ...current, upstream: call.upstreams.pick(), retried: true } : undefined
}

/** An answer that the browser gets is the last: nothing is held for its whole length, which may be hours. */
function droppingWhenTaken(call: UpstreamCall, copy: BodyCopy): AnswerParts {
  return {
    ...call,
    onHead(status, fields, upstream) {
      const head = call.onHead(status, fields, upstream)
      copy.drop()
      return head
    },
  }
}

/** Asking again without a body changes nothing at the API (RFC 9110 §9.2.2); anything else is never sent twice. */
function isRepeatable({ method, hasBody }: UpstreamCall): boolean {
  return (method === 'GET' || method === 'HEAD') && !hasBody
}
