import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { KeySource } from '../../shared/crypto/key-ring.ts'
import type { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { HeaderFields } from '../../shared/http/request-gate.ts'
import { requestIdOf } from '../../shared/http/request-id.ts'
import { parseTraceParent } from '../../shared/observe/trace-context.ts'
import type { Observe } from '../../shared/observe/events.ts'
import type { Credentials } from '../credentials/credentials.ts'
import type { DecideParts, Decision, Forward, Known, Preflight, Question } from '../decide.ts'
import type { MakeProof, NonceDemand, Proofs } from '../forward/proofs.ts'
import type { OwnRequestFields } from '../forward/request-headers.ts'
import type { UpstreamFields } from '../forward/response-headers.ts'
import type { Upstream } from '../forward/upstreams.ts'
import { forwardPath } from '../routes/forward-path.ts'
import type { Streams } from '../streams.ts'
import { type ProxySide, reportRefusal } from './refusal.ts'

/** What every edge needs to decide, to carry out and to report. */
export interface EdgeParts {
  readonly decide: DecideParts
  readonly config: Pick<Config, 'publicOrigin' | 'cors' | 'observability'>
  readonly keys: KeySource
  readonly credentials: Pick<Credentials, 'refused'>
  /** Undefined where access tokens are bound to no key. */
  readonly proofs: Proofs | undefined
  readonly streams: Streams
  /** True once a stop cuts what is in flight. */
  readonly isCutting: () => boolean
  readonly clock: Clock
  readonly observe: Observe
}

/** One request at an edge. */
export interface Call<Output> {
  readonly request: IncomingMessage
  /** What the answer is written to. */
  readonly output: Output
  readonly requestId: string
  readonly startedMs: number
}

/** What makes one edge different from the others. */
export interface Edge<Output> {
  readonly side: ProxySide
  /** Decides on a call; throws what refuses it before anything is known of the request that it is about. */
  decide(call: Call<Output>): Promise<Decision>
  /**
   * Carries out what was not refused; throws what refuses it after all.
   *
   * Resolves with the failure of a call of the API, if there was one: it has been reported as such, but not yet answered.
   */
  carryOut(call: Call<Output>, decision: Preflight | Forward): Promise<TokenHandlerError | undefined> | undefined
  /** Answers with an error. */
  answerError(call: Call<Output>, error: TokenHandlerError, known: Known): void
  /** Method of the request that was decided on. */
  method(call: Call<Output>, known: Known): string | undefined
  /** Status of the answer that was given. */
  status(call: Call<Output>, error: TokenHandlerError | undefined): number
}

const nothing: Known = {}

/** Takes calls through an edge, from the decision to the report that they were answered. */
export function createEdge<Output>(
  edge: Edge<Output>,
  parts: Pick<EdgeParts, 'config' | 'keys' | 'streams' | 'clock' | 'observe'>,
): (request: IncomingMessage, output: Output) => Promise<void> {
  const { streams, clock, observe } = parts
  return async (request, output) => {
    const call = { request, output, requestId: requestIdOf(request), startedMs: clock.nowMs() }
    let known = nothing
    let refusal: TokenHandlerError | undefined
    let failure: TokenHandlerError | undefined
    try {
      const decision = await edge.decide(call)
      known = decision
      // Whatever became of the request, its cookie was judged to be good.
      if (decision.session !== undefined) streams.renew(decision.session)
      if (decision.kind === 'refused') refusal = decision.error
      else failure = await edge.carryOut(call, decision)
    } catch (thrown) {
      refusal = asTokenHandlerError(thrown)
    }
    if (refusal !== undefined) reportRefusal(refusal, call.requestId, known, edge.side, parts)
    const error = refusal ?? failure
    if (error !== undefined) edge.answerError(call, error, known)
    observe.emit('request.answered', {
      request_id: call.requestId,
      side: edge.side,
      route: known.route?.path,
      method: edge.method(call, known),
      status: edge.status(call, error),
      duration_ms: clock.nowMs() - call.startedMs,
      error_code: error?.code,
    })
  }
}

/** A request that speaks for itself, as something to decide on. */
export function ownQuestion({ request, requestId }: Call<unknown>, kind: 'request' | 'upgrade'): Question {
  const { method = '', url: target = '', httpVersion, rawHeaders, socket } = request
  return {
    method,
    target,
    httpVersion,
    rawHeaders,
    upgrade: kind === 'upgrade',
    requestId,
    peer: socket.remoteAddress,
  }
}

/** What we tell the API about a request in our own name. */
export function ownRequestFields(
  { head, route, cookies, credential, clientAddress }: Forward,
  requestId: string,
): OwnRequestFields {
  const { fields } = head
  return {
    credential,
    credentialHeader: route.credentialHeader,
    clientAddress: clientAddress(),
    publicHost: route.publicHost,
    publicProtocol: route.publicProtocol,
    requestId,
    cookies: route.visibleCookies(cookies.others),
    ...traceContext(fields),
  }
}

/** How the calls of a decision are proved, and what their answers say of it; undefined where there is nothing to prove. */
export function proving({ head, target, route, credential }: Forward, proofs: Proofs | undefined): Proving | undefined {
  const possession = credential?.possession
  if (possession === undefined) return undefined
  if (proofs === undefined) throw new RangeError('a credential is bound to a key that nobody proves')
  const { setting } = route
  const path = forwardPath({ path: target.path, query: '' }, setting)
  // Behind one gateway there may be several APIs, each with nonces of its own.
  const nameOf = ({ origin }: Pick<Upstream, 'origin'>) =>
    setting.dpopBaseUrl === undefined ? origin : `${setting.dpopBaseUrl} through ${origin}`
  let answered: NonceDemand | undefined
  return {
    prove(upstream, demand) {
      answered = demand
      const url = `${setting.dpopBaseUrl ?? upstream.origin}${path}`
      return proofs.prove(possession, { method: head.method, url, server: nameOf(upstream), demand })
    },
    check(status, fields, upstream) {
      proofs.check(nameOf(upstream), status, fields)
      answered?.release()
    },
  }
}

/** The proofs of one call. */
export interface Proving {
  readonly prove: MakeProof
  /** Looks at the head of an answer; throws what refuses it. */
  readonly check: (status: number, fields: UpstreamFields, upstream: Pick<Upstream, 'origin'>) => void
}

/** The trace of the caller, if it is well formed (W3C Trace Context §3.2); tracestate means nothing without it. */
function traceContext({ traceparent, tracestate }: HeaderFields): Pick<OwnRequestFields, 'traceparent' | 'tracestate'> {
  return parseTraceParent(traceparent) === undefined
    ? { traceparent: undefined, tracestate: undefined }
    : { traceparent, tracestate }
}
