import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent } from 'node:https'
import type { Socket } from 'node:net'
import { createProxyServer } from 'http-proxy'
import type { Clock } from '../../shared/clock.ts'
import { tlsDemands } from '../../shared/crypto/tls-demands.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import { browserGone } from './failure.ts'
import type { ResponseHeaders, UpstreamFields } from './response-headers.ts'
import type { Upstream } from './upstreams.ts'

/** What a handshake for a WebSocket takes. */
export interface HandshakeCall {
  /** The browser's, of which the library copies method and headers. */
  readonly request: IncomingMessage
  readonly socket: Socket
  /** Target of the API's handshake, byte for byte. */
  readonly path: string
  /** Looks at the head with which the API agrees; throws what refuses it. */
  readonly onOpen: ((status: number, fields: UpstreamFields, upstream: Upstream) => void) | undefined
  /** Makes the head for the browser out of one with which the API does not; a throw is what the call fails with. */
  readonly onHead: (status: number, fields: UpstreamFields, upstream: Upstream) => ResponseHeaders
  /** Longest time until an upstream is connected to, with TLS where it speaks that. */
  readonly connectTimeoutMs: number
  /** Longest time from then until its answer. */
  readonly responseTimeoutMs: number
  readonly requestId: string
  readonly clock: Pick<Clock, 'after'>
}

/** What an API answers that does not agree, which is a usual answer of HTTP then (RFC 6455 §4.2.2). */
export interface DeclinedHandshake {
  readonly status: number
  readonly headers: ResponseHeaders
  readonly body: Buffer
}

/** Told once how a handshake with one upstream went. */
export interface HandshakeEnd {
  onOpen(upstreamSocket: Socket): void
  onDeclined(answer: DeclinedHandshake): void
  /** `connected` says whether the upstream can have seen anything. */
  onFailure(error: unknown, connected: boolean): void
}

/** A handshake with one upstream. */
export interface Handshake {
  /** Ends it without a word. */
  abandon(): void
  /**
   * Takes from the browser's socket what the library has left on it.
   *
   * Only before another handshake: the library counts the socket until it closes, and without a listener for ever.
   */
  forget(): void
}

/** Fields of the API's 101 that belong to the handshake; nothing else of it reaches the browser (HX-23). */
const handshakeFields = ['sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions']

const nothing = Buffer.alloc(0)

/** Longest body of an API that does not agree, and how long it may take to come. */
const declinedLimitBytes = 65_536
const declinedLimitMs = 1000

/** Shakes hands with one upstream; when it agrees, the library has joined both connections and answered the browser. */
export function shakeHands(call: HandshakeCall, upstream: Upstream, told: HandshakeEnd): Handshake {
  const { request, socket, path, clock } = call
  const isTls = upstream.origin.startsWith('https:')
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
    told.onFailure(error, connected)
  }
  const onConnected = () => {
    connected = true
    cancel()
    if (!over)
      cancel = clock.after(call.responseTimeoutMs, () => fail(new TokenHandlerError('upstream_response_timeout')))
  }
  const onDeclined = (answer: IncomingMessage) => {
    const { statusCode: status = 0, headers: fields } = answer
    try {
      if (status < 200 || status > 599) throw notAgreed()
      const headers = call.onHead(status, fields, upstream)
      cancel()
      cancel = clock.after(declinedLimitMs, () => fail(notAgreed()))
      const onBody = (body: Buffer) => {
        if (over) return
        abandon()
        told.onDeclined({ status, headers, body })
      }
      wholeBody(answer).then(onBody, fail)
    } catch (error) {
      fail(error)
    }
  }

  library.on('proxyReqWs', (clientRequest) => {
    outgoing = clientRequest
    // Parsing a URL may spell the query anew; the bytes that were decided on are sent.
    clientRequest.path = path
    // The default, but one that command line flags and NODE_OPTIONS change (HX-3); the library passes no option on.
    Object.assign(clientRequest, { insecureHTTPParser: false })
    clientRequest.once('socket', (upstreamSocket: Socket) => {
      // What is written before this event waits in the socket.
      upstreamSocket.once(isTls ? 'secureConnect' : 'connect', onConnected)
    })
    clientRequest.prependListener('upgrade', (answer: IncomingMessage) => {
      call.onOpen?.(101, answer.headers, upstream)
      answer.headers = handshakeAnswer(answer, call.requestId)
    })
  })
  // Those of the request to the API are taken from the library below, so this one is about the browser's socket.
  library.on('error', () => fail(browserGone()))
  library.on('open', (upstreamSocket) => {
    over = true
    cancel()
    told.onOpen(upstreamSocket)
  })
  const forget = listening(socket, () => {
    try {
      const secured = isTls ? { agent: new Agent(tlsDemands()) } : undefined
      library.ws(request, socket, nothing, { target: { ...addressOf(upstream.origin), ...upstream.tls }, ...secured })
    } catch (error) {
      fail(asTokenHandlerError(error))
    }
  })
  // Failures before the handshake are answered by us; the library would write what the API said, or hang up.
  outgoing?.removeAllListeners('error')
  outgoing?.on('error', fail)
  outgoing?.removeAllListeners('response')
  outgoing?.once('response', onDeclined)
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

/** An origin in the form of the library that accepts certificates as well. */
function addressOf(origin: string): { protocol: string; host: string; hostname: string; port: number } {
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
