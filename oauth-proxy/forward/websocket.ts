import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { createProxyServer } from 'http-proxy'
import type { Clock } from '../../shared/clock.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { endSocket, letGo } from '../../shared/http/end-socket.ts'
import { upstreamRefusal } from './challenge.ts'
import { isConnectFailure, upstreamFailure } from './failure.ts'
import { closeFrame, createFrameBoundary } from './frame-boundary.ts'
import type { Target } from './upstream.ts'

/** One handshake with an API, ready to go. */
export interface WebSocketCall {
  readonly request: IncomingMessage
  readonly socket: Socket
  readonly target: Target
  /** Target of the API's handshake, byte for byte. */
  readonly path: string
  /** The whole header of the API's handshake. */
  readonly headers: Readonly<Record<string, string>>
  readonly connectTimeoutMs: number
  readonly responseTimeoutMs: number
  /** Longest silence in both directions. */
  readonly idleTimeoutMs: number
  readonly requestId: string
  readonly clock: Pick<Clock, 'after'>
}

/** A WebSocket between the browser and the API. */
export interface OpenWebSocket {
  /** Sends a close frame where a frame may stand, then ends both sides; calling it again does nothing. */
  close(code: number, reason: string): void
  /** Resolves when the connection to the browser is gone. */
  readonly closed: Promise<void>
}

/** Fields of the API's 101 that belong to the handshake; nothing else of it reaches the browser (HX-23). */
const handshakeFields = ['sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions']

const nothing = Buffer.alloc(0)

/** How long a frame of the API may take to end before a close frame has to cut it. */
const frameGraceMs = 1000

/**
 * Shakes hands with the API and joins the two connections.
 *
 * Rejects with TokenHandlerError as long as the browser has seen nothing; the library's own answers are kept from it.
 */
export function openWebSocket(call: WebSocketCall): Promise<OpenWebSocket> {
  const { request, socket, target, headers, path } = call
  // The library copies these two; nothing else of the browser's request may reach the API.
  request.headers = { ...headers }
  request.url = path
  return new Promise((resolve, reject) => {
    const library = createProxyServer()
    let outgoing: ClientRequest | undefined
    const fail = (error: unknown) => {
      stopWatching()
      outgoing?.destroy()
      if (isConnectFailure(error)) target.report(false)
      reject(upstreamFailure(error))
    }
    const onGone = () => fail(new TokenHandlerError('invalid_request', { detail: { check: 'aborted' } }))
    // Nobody else reads the socket yet. A client has to wait for the answer (RFC 6455 §4.1), and bytes that nobody takes
    // would hide that it has gone.
    const onReadable = () => {
      if (socket.read() !== null)
        fail(new TokenHandlerError('upgrade_not_allowed', { detail: { check: 'early_bytes' } }))
    }
    socket.once('close', onGone).once('end', onGone).on('readable', onReadable)
    const stopWatching = () => {
      cancel()
      socket.off('close', onGone).off('end', onGone).off('readable', onReadable)
    }
    const cancel = call.clock.after(call.responseTimeoutMs, () =>
      fail(new TokenHandlerError('upstream_response_timeout')),
    )
    if (socket.destroyed) {
      onGone()
      return
    }
    library.on('proxyReqWs', (clientRequest) => {
      outgoing = clientRequest
      // Parsing a URL may spell the query anew; the bytes that were decided on are sent (HX-11).
      clientRequest.path = path
      clientRequest.prependListener('upgrade', (answer: IncomingMessage) => {
        answer.headers = handshakeAnswer(answer, call.requestId)
      })
    })
    library.on('error', fail)
    library.on('open', (upstreamSocket) => {
      stopWatching()
      target.report(true)
      resolve(join(call, upstreamSocket))
    })
    library.ws(request, socket, nothing, {
      target: { ...place(target.origin), ...target.tls },
      connectTimeout: call.connectTimeoutMs,
    })
    // Failures before the handshake are answered by us; the library would write what the API said, or hang up.
    outgoing?.removeAllListeners('error')
    outgoing?.on('error', fail)
    outgoing?.removeAllListeners('response')
    outgoing?.once('response', (answer: IncomingMessage) => {
      answer.resume()
      fail(
        upstreamRefusal(answer.statusCode ?? 0, answer.headers) ??
          new TokenHandlerError('upstream_invalid_response', { detail: { check: 'no_upgrade' } }),
      )
    })
  })
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

function join({ socket, idleTimeoutMs, clock }: WebSocketCall, upstreamSocket: Socket): OpenWebSocket {
  const boundary = createFrameBoundary()
  let closing = false
  const finish = (code: number, reason: string) => {
    endSocket(socket, closeFrame(code, reason), clock)
    upstreamSocket.destroy()
  }
  upstreamSocket.on('data', (chunk: Buffer) => {
    if (!closing) boundary.feed(chunk)
  })
  const close = (code: number, reason: string) => {
    if (closing) return
    closing = true
    upstreamSocket.unpipe(socket)
    if (boundary.atBoundary) {
      finish(code, reason)
      return
    }
    // A close frame in the middle of another would be read as its payload.
    const cancel = clock.after(frameGraceMs, () => socket.destroy())
    upstreamSocket.on('data', (chunk: Buffer) => {
      const end = boundary.feed(chunk)
      socket.write(end === undefined ? chunk : chunk.subarray(0, end))
      if (end === undefined) return
      cancel()
      finish(code, reason)
    })
    upstreamSocket.resume()
  }
  // Once the API has ended nobody takes what the browser still sends, and behind it stands that the browser has closed.
  socket.once('finish', () => {
    socket.unpipe(upstreamSocket)
    letGo(socket, clock)
  })
  socket.setTimeout(idleTimeoutMs, () => close(1001, 'idle'))
  return {
    close,
    closed: new Promise((resolve) => {
      if (socket.destroyed) resolve()
      else socket.once('close', () => resolve())
    }),
  }
}
