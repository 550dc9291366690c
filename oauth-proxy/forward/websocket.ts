import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent } from 'node:https'
import type { Socket } from 'node:net'
import { createProxyServer } from 'http-proxy'
import type { Clock } from '../../shared/clock.ts'
import { tlsDemands } from '../../shared/crypto/tls-demands.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import { isConnectFailure, upstreamFailure } from './failure.ts'
import { joinSockets, type JoinedSockets } from './joined-sockets.ts'
import { type MakeProof, NonceDemand } from './proofs.ts'
import type { ResponseHeaders, UpstreamFields } from './response-headers.ts'
import type { Target, Upstream } from './upstream.ts'

/** One handshake with an API, ready to go. */
export interface WebSocketCall {
  readonly request: IncomingMessage
  readonly socket: Socket
  readonly upstream: Pick<Upstream, 'pick' | 'other'>
  /** Target of the API's handshake, byte for byte. */
  readonly path: string
  /** The whole header of the API's handshake. */
  readonly headers: Readonly<Record<string, string>>
  /** Undefined for a credential that proves nothing. */
  readonly proof: MakeProof | undefined
  /** Looks at the head with which the API agrees; throws what refuses it. */
  readonly onOpen: ((status: number, fields: UpstreamFields, target: Target) => void) | undefined
  /** Makes the head for the browser out of one with which the API does not; a throw is what the call fails with. */
  readonly onHead: (status: number, fields: UpstreamFields, target: Target) => ResponseHeaders
  /** Longest time until a place is connected to, with TLS where it speaks that. */
  readonly connectTimeoutMs: number
  /** Longest time from then until its answer. */
  readonly responseTimeoutMs: number
  /** Longest silence in both directions. */
  readonly idleTimeoutMs: number
  readonly requestId: string
  readonly clock: Pick<Clock, 'after'>
  /** Told of a place that could not be connected to while another is tried. */
  readonly onUnreachable: (target: Target, failure: TokenHandlerError) => void
}

/** A WebSocket between the browser and the API. */
export interface OpenWebSocket extends JoinedSockets {
  readonly kind: 'open'
  /** True when the handshake was tried before, at another place or without a nonce. */
  readonly retried: boolean
}

/** What an API answers that does not agree, which is a usual answer of HTTP then (RFC 6455 §4.2.2). */
export interface DeclinedWebSocket {
  readonly kind: 'declined'
  readonly status: number
  readonly headers: ResponseHeaders
  readonly body: Buffer
  readonly retried: boolean
}

/** Fields of the API's 101 that belong to the handshake; nothing else of it reaches the browser (HX-23). */
const handshakeFields = ['sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions']

const nothing = Buffer.alloc(0)

const none: readonly Target[] = []

/** Longest body of an API that does not agree, and how long it may take to come. */
const declinedLimitBytes = 65_536
const declinedLimitMs = 1000

/**
 * Shakes hands with the API and joins the two connections; where one place cannot be connected to, another is tried.
 *
 * Rejects with TokenHandlerError as long as the browser has seen nothing; the library's own answers are kept from it.
 */
export function openWebSocket(call: WebSocketCall): Promise<OpenWebSocket | DeclinedWebSocket> {
  const { request, socket, upstream, headers, path, proof } = call
  // The library copies these two; nothing else of the browser's request may reach the API.
  request.url = path
  return new Promise((resolve, reject) => {
    let handshake: Handshake | undefined
    const fail = (error: unknown) => {
      stopWatching()
      reject(upstreamFailure(error))
    }
    const stopWatching = watchBrowser(socket, (error) => {
      handshake?.abandon()
      fail(error)
    })
    if (socket.destroyed) fail(browserGone())
    else attempt({ target: upstream.pick(), unreachable: none, demand: undefined })

    function attempt({ target, unreachable, demand }: Attempt): void {
      request.headers = { ...headers, ...(proof === undefined ? undefined : { dpop: proof(target, demand) }) }
      const retried = demand !== undefined || unreachable.length > 0
      handshake = shakeHands(call, target, {
        onOpen(upstreamSocket) {
          stopWatching()
          target.report(true)
          resolve({ kind: 'open', ...joinSockets(call, upstreamSocket), retried })
        },
        onDeclined(answer) {
          stopWatching()
          target.report(true)
          resolve({ kind: 'declined', ...answer, retried })
        },
        onFailure(error, connected) {
          if (error instanceof NonceDemand && demand === undefined) {
            handshake?.forget()
            attempt({ target, unreachable, demand: error })
            return
          }
          if (error instanceof NonceDemand) error.release()
          const isAway = isConnectFailure(error, connected)
          if (isAway) target.report(false)
          const away = [...unreachable, target]
          // Only a place that heard nothing may be followed by another.
          const other = isAway && !connected ? upstream.other(away) : undefined
          if (other === undefined) {
            fail(error)
            return
          }
          call.onUnreachable(target, upstreamFailure(error))
          handshake?.forget()
          attempt({ target: other, unreachable: away, demand })
        },
      })
    }
  })
}

/**
 * Tells once that the browser has gone or does not wait, unless the answered function was called before.
 *
 * Nobody else reads the socket yet. A client has to wait for the answer (RFC 6455 §4.1), and bytes that nobody takes
 * would hide that it has gone.
 */
function watchBrowser(socket: Socket, onEnd: (error: TokenHandlerError) => void): () => void {
  const onGone = () => onEnd(browserGone())
  const onReadable = () => {
    if (socket.read() !== null)
      onEnd(new TokenHandlerError('upgrade_not_allowed', { detail: { check: 'early_bytes' } }))
  }
  socket.once('close', onGone).once('end', onGone).on('readable', onReadable)
  return () => void socket.off('close', onGone).off('end', onGone).off('readable', onReadable)
}

function browserGone(): TokenHandlerError {
  return new TokenHandlerError('invalid_request', { detail: { check: 'aborted' } })
}

/** One try of a handshake. */
interface Attempt {
  readonly target: Target
  /** Where no connection could be made before. */
  readonly unreachable: readonly Target[]
  /** Why it is sent again with the nonce that the API asked for. */
  readonly demand: NonceDemand | undefined
}

/** A handshake with one place. */
interface Handshake {
  /** Ends it without a word. */
  abandon(): void
  /**
   * Takes from the browser's socket what the library has left on it.
   *
   * Only before another handshake: the library counts the socket until it closes, and without a listener for ever.
   */
  forget(): void
}

/** Told once how a handshake with one place went. */
interface HandshakeEnd {
  onOpen(upstreamSocket: Socket): void
  onDeclined(answer: Pick<DeclinedWebSocket, 'status' | 'headers' | 'body'>): void
  /** `connected` says whether the place can have seen anything. */
  onFailure(error: unknown, connected: boolean): void
}

function shakeHands(call: WebSocketCall, target: Target, { onOpen, onDeclined, onFailure }: HandshakeEnd): Handshake {
  const { request, socket, path, clock } = call
  const library = createProxyServer()
  let outgoing: ClientRequest | undefined
  let connected = false
  let over = false
  let cancel = clock.after(call.connectTimeoutMs, () => fail(new TokenHandlerError('upstream_connect_timeout')))
  const abandon = () => {
    over = true
    cancel()
    outgoing?.destroy()
  }
  const fail = (error: unknown) => {
    if (over) return
    abandon()
    onFailure(error, connected)
  }
  library.on('proxyReqWs', (clientRequest) => {
    outgoing = clientRequest
    // Parsing a URL may spell the query anew; the bytes that were decided on are sent.
    clientRequest.path = path
    // The default, but one that command line flags and NODE_OPTIONS change (HX-3); the library passes no option on.
    Object.assign(clientRequest, { insecureHTTPParser: false })
    clientRequest.once('socket', (upstreamSocket: Socket) => {
      // What is written before this event waits in the socket.
      upstreamSocket.once(target.origin.startsWith('https:') ? 'secureConnect' : 'connect', () => {
        connected = true
        cancel()
        if (!over)
          cancel = clock.after(call.responseTimeoutMs, () => fail(new TokenHandlerError('upstream_response_timeout')))
      })
    })
    clientRequest.prependListener('upgrade', (answer: IncomingMessage) => {
      call.onOpen?.(101, answer.headers, target)
      answer.headers = handshakeAnswer(answer, call.requestId)
    })
  })
  // Those of the request to the API are taken from the library below, so this one is about the browser's socket.
  library.on('error', () => fail(browserGone()))
  library.on('open', (upstreamSocket) => {
    over = true
    cancel()
    onOpen(upstreamSocket)
  })
  const forget = listening(socket, () => {
    try {
      const secured = target.origin.startsWith('https:') ? { agent: new Agent(tlsDemands()) } : undefined
      library.ws(request, socket, nothing, { target: { ...place(target.origin), ...target.tls }, ...secured })
    } catch (error) {
      fail(asTokenHandlerError(error))
    }
  })
  // Failures before the handshake are answered by us; the library would write what the API said, or hang up.
  outgoing?.removeAllListeners('error')
  outgoing?.on('error', fail)
  outgoing?.removeAllListeners('response')
  outgoing?.once('response', (answer: IncomingMessage) => {
    const { statusCode: status = 0, headers: fields } = answer
    try {
      if (status < 200 || status > 599) throw notAgreed()
      const headers = call.onHead(status, fields, target)
      cancel()
      cancel = clock.after(declinedLimitMs, () => fail(notAgreed()))
      const onBody = (body: Buffer) => {
        if (over) return
        abandon()
        onDeclined({ status, headers, body })
      }
      wholeBody(answer).then(onBody, fail)
    } catch (error) {
      fail(error)
    }
  })
  return { abandon, forget }
}

/** Half an answer must never look complete (I13), so a long one is none. */
async function wholeBody(answer: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of answer as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > declinedLimitBytes) throw notAgreed()
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function notAgreed(): TokenHandlerError {
  return new TokenHandlerError('upstream_invalid_response', { detail: { check: 'no_upgrade' } })
}

/** Runs something that listens to a socket; the answered function takes these listeners away again. */
function listening(socket: Socket, run: () => void): () => void {
  const added: (readonly [string, (...values: unknown[]) => void])[] = []
  const note = (event: string, listener: (...values: unknown[]) => void) => void added.push([event, listener])
  socket.on('newListener', note)
  run()
  socket.off('newListener', note)
  return () => {
    for (const [event, listener] of added) socket.off(event, listener)
  }
}

/** The target in the form that accepts certificates as well. */
function place(origin: string): { protocol: string; host: string; hostname: string; port: number } {
  const { protocol, host, hostname, port } = new URL(origin)
  return { protocol, host, hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) }
}

function handshakeAnswer(answer: IncomingMessage, requestId: string): IncomingMessage['headers'] {
  const kept: IncomingMessage['headers'] = { connection: 'Upgrade', upgrade: 'websocket', 'x-request-id': requestId }
  for (const name of handshakeFields) {
    const value = answer.headers[name]
    if (value !== undefined) kept[name] = value
  }
  return kept
}
