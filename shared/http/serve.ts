import { chmodSync } from 'node:fs'
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../clock.ts'
import { unixPeer } from '../config/values.ts'
import { errorName, TokenHandlerError } from '../errors.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import { type Connections, createConnections } from './connections.ts'
import { endSocket } from './end-socket.ts'
import { asTokenHandlerError, errorAnswer } from './error-answer.ts'
import { Incoming } from './incoming.ts'
import { createServer, createTlsServer } from './node-http.ts'
import { parserRefusal } from './parser-refusal.ts'
import { requestIdOf } from './request-id.ts'
import { secureContextOptions, type ServerCertificateSource } from './server-certificate.ts'
import { socketBufferBytes } from './socket-buffer.ts'
import { cutStalledReader } from './stalled-reader.ts'
import { stopListening } from './stop-listening.ts'

/** What agent and proxy offer to a server. */
export interface HttpHandler {
  /**
   * Answers one request, and names `requestIdOf(request)` in x-request-id.
   *
   * Also called for `Expect: 100-continue`, before anything was answered: the handler decides whether the body may come.
   * No header is set beforehand: Node writes a head that is given in one piece at much less cost.
   */
  handle(request: IncomingMessage, response: ServerResponse): void | Promise<void>
  /** Takes over the socket of a protocol upgrade; without it upgrades are read as plain requests. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void | Promise<void>
  /** The server takes no more requests: end what has no end of its own (event streams, WebSockets) with a reason. */
  endStreams?(): void
}

/** Where a server listens: at `socket`, or at host and port without one. */
export interface Listen {
  readonly host: string
  readonly port: number
  /** Path of a Unix socket. */
  readonly socket?: string | undefined
}

/** What a server is made of. */
export interface ServeParts {
  readonly handler: HttpHandler
  readonly listen: Listen
  /** With it the server speaks TLS and nothing else; not for a Unix socket. */
  readonly certificate?: ServerCertificateSource | undefined
  readonly limits?: Partial<ServerLimits>
  readonly clock: Pick<Clock, 'after'>
  readonly observe: Observe
  /** Runs the work of every request, and may set the trace headers that go on to an API. */
  readonly around?: (request: IncomingMessage, run: () => void) => void
}

/** Limits of time and size for connections and requests. */
export interface ServerLimits {
  /** Longer than load balancers keep idle connections (60 to 75 s), so that we never close under a request (K02). */
  readonly keepAliveMs: number
  /** Longest time for a TLS handshake; slow ones are cut. */
  readonly handshakeMs: number
  /** Longest time for a whole request head; slow senders are cut. */
  readonly headersMs: number
  /** Longest time for a whole request with its body. */
  readonly requestMs: number
  readonly maxHeaderBytes: number
  /** Longest time in which a client takes nothing of an answer that waits for it. */
  readonly stalledMs: number
  /** How often `headersMs` and `requestMs` are checked. */
  readonly checkMs: number
}

/** The limits that hold unless others are given. */
export const defaultLimits: ServerLimits = {
  keepAliveMs: 90_000,
  handshakeMs: 15_000,
  headersMs: 15_000,
  requestMs: 300_000,
  maxHeaderBytes: 16_384,
  stalledMs: 60_000,
  checkMs: 5000,
}

/** A server that listens. */
export interface RunningServer {
  /** 0 for a Unix socket. */
  readonly port: number
  /**
   * Ends each connection with its next answer, and still takes new ones, so that a gateway holds no idle connection when
   * the server stops: a request sent just as its connection is closed is lost if it may not be sent twice.
   */
  retire(): void
  /** Takes no new connections and lets requests in flight finish; what still runs after `drainMs` is cut. */
  stop(drainMs: number): Promise<void>
}

/** Starts an HTTP server; rejects with the error of `listen` (EADDRINUSE, EACCES, …) or of a certificate that cannot be used. */
export async function serve(parts: ServeParts): Promise<RunningServer> {
  const limits: ServerLimits = { ...defaultLimits, ...parts.limits }
  const server =
    parts.certificate === undefined
      ? createServer(serverOptions(limits))
      : secureServer(parts.certificate, limits, parts)
  const connections = createConnections(server)
  const around = parts.around ?? ((_, run) => run())
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    // The connection was ended with a refusal; what still arrives on it must have no effect.
    if (request.socket.writableEnded) return
    connections.begin(request.socket, response)
    around(request, () => void settle(parts, connections, request, response, limits.stalledMs))
  }
  server.on('request', onRequest)
  server.on('checkContinue', onRequest)
  server.on('checkExpectation', onRequest)
  server.on('clientError', (error: Error, socket: Socket) => {
    if (connections.isAnswering(socket)) socket.destroy()
    else refuse(error, socket, parts)
  })
  if (parts.handler.upgrade !== undefined) {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (socket.writableEnded) return
      // Whatever we said now would be taken for the answer to a request before it, and that answer for a frame.
      if (connections.isBusy(request.socket)) {
        socket.destroy()
        return
      }
      socket.on('error', () => socket.destroy())
      around(request, () => void settleUpgrade(parts, request, socket, head))
    })
  }

  if (parts.listen.socket !== undefined) server.on('connection', namePeer)
  await listening(server, parts.listen)
  return {
    port: portOf(server),
    retire: () => connections.retire(),
    async stop(drainMs) {
      connections.drain()
      parts.handler.endStreams?.()
      const cancel = parts.clock.after(drainMs, () => connections.cut())
      const closed = new Promise<void>((resolve) => server.once('close', resolve))
      await stopListening(server)
      connections.closeIdle()
      await closed
      // Ends Node's watch over time limits; before, it would close connections whose first request is on its way.
      server.close()
      // Upgraded sockets no longer belong to the server, so its close does not wait for them.
      await connections.gone()
      cancel()
    },
  }
}

function serverOptions(limits: ServerLimits): ServerOptions {
  return {
    // Set although they are the defaults, because command line flags and NODE_OPTIONS change the defaults.
    insecureHTTPParser: false,
    maxHeaderSize: limits.maxHeaderBytes,
    keepAliveTimeout: limits.keepAliveMs,
    // A head is part of its request, and Node throws where it is given more time than the whole.
    headersTimeout: Math.min(limits.headersMs, limits.requestMs),
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkMs,
    // A missing Host is refused by the request gate, in our own words.
    requireHostHeader: false,
    // A request without Content-Length and Transfer-Encoding has no body (RFC 9112 §6.3), so nothing need be set up for one.
    optimizeEmptyRequests: true,
    highWaterMark: socketBufferBytes,
    IncomingMessage: Incoming,
  }
}

/** A server over TLS, which takes the next certificate for the handshakes that begin from then on. */
function secureServer(
  certificate: ServerCertificateSource,
  limits: ServerLimits,
  { observe }: Pick<ServeParts, 'observe'>,
): Server {
  const current = certificate.current()
  const server = createTlsServer({
    ...serverOptions(limits),
    ...secureContextOptions(current),
    requestCert: current.clientCa !== undefined,
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: limits.handshakeMs,
  })
  certificate.onChange((next) => {
    // Whether clients are asked cannot change any more, and without authorities of ours every public one would do.
    if ((next.clientCa === undefined) !== (current.clientCa === undefined)) throw new Error('other clients')
    server.setSecureContext(secureContextOptions(next))
  })
  // Before the listener of Node, which would have this answered in plain text as a request that could not be parsed.
  server.prependListener('tlsClientError', (error: Error, socket: TLSSocket) => {
    socket.destroy()
    observe.emit('handshake.failed', { reason: handshakeFailure(error, socket) })
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    // As without TLS, so that an upgraded connection can end one side after the other.
    socket.allowHalfOpen = true
  })
  return server
}

/** Node names a certificate that it does not accept on the socket alone: the error says that the connection ended. */
function handshakeFailure(error: Error, { authorizationError }: TLSSocket): string {
  const code = failureCode(error) ?? 'unknown'
  const name = authorizationError === null ? code : String(authorizationError)
  return name.replace(/^ERR_(?:SSL|TLS)_/, '').toLowerCase()
}

async function settle(
  parts: ServeParts,
  connections: Connections,
  request: IncomingMessage,
  response: ServerResponse,
  stalledMs: number,
): Promise<void> {
  const { socket } = request
  try {
    await parts.handler.handle(request, response)
  } catch (cause) {
    reportFailure(parts.observe, request, cause)
    if (response.headersSent) {
      response.destroy()
    } else {
      const { status, headers, body } = errorAnswer(asTokenHandlerError(cause), requestIdOf(request))
      response.shouldKeepAlive = false
      response.writeHead(status, headers).end(body)
    }
  }
  connections.end(socket, response)
  cutStalledReader(socket, response, stalledMs, parts.clock)
}

async function settleUpgrade(parts: ServeParts, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  try {
    await parts.handler.upgrade?.(request, socket, head)
  } catch (cause) {
    reportFailure(parts.observe, request, cause)
    socket.destroy()
  }
}

function reportFailure(observe: Observe, request: IncomingMessage, cause: unknown): void {
  observe.emit('internal.failed', {
    request_id: requestIdOf(request),
    where: 'serve',
    error_name: cause instanceof TokenHandlerError ? cause.code : errorName(cause),
  })
}

/** Answers what the parser refused, in our own words, unless the client is gone already. */
function refuse(error: Error, socket: Socket, { clock, observe }: Pick<ServeParts, 'clock' | 'observe'>): void {
  const parserCode = failureCode(error) ?? ''
  if (parserCode === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { requestId, code, status, bytes } = parserRefusal(parserCode)
  endSocket(socket, bytes, clock)
  // Whose request it was nobody knows; anybody can cause this, so no event at a level that is always logged tells of it.
  observe.emit('request.answered', { request_id: requestId, side: 'none', route: 'none', status, error_code: code })
}

/** Owner and group may connect, which takes the right to write (unix(7)). */
const socketMode = 0o660

function listening(server: Server, { host, port, socket }: Listen): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(socket === undefined ? { host, port } : { path: socket }, () => {
      server.off('error', reject)
      if (socket !== undefined) chmodSync(socket, socketMode)
      resolve()
    })
  })
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Names the peer of a Unix socket: it has no address, and without a name it would look like a client that has gone. */
function namePeer(socket: Socket): void {
  Object.defineProperty(socket, 'remoteAddress', { value: unixPeer })
}
