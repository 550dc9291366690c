import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import { errorName, TokenHandlerError } from '../errors.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import { breakOff } from './break-off.ts'
import { type Connections, createConnections } from './connections.ts'
import { endSocket, letGo } from './end-socket.ts'
import { asTokenHandlerError, errorAnswer } from './error-answer.ts'
import { safeMethods } from './guard.ts'
import { createNodeServer } from './node-server.ts'
import { parserRefusal } from './parser-refusal.ts'
import { requestIdOf } from './request-id.ts'
import type { ServerCertificateSource } from './server-certificate.ts'
import { defaultLimits, type ServerLimits } from './server-limits.ts'
import { cutStalledReader } from './stalled-reader.ts'
import { type Listen, startListening } from './start-listening.ts'
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
  /** The time for what is in flight is over: what has not ended is cut now, and whoever tells of it has to say why. */
  beforeCut?(): void
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
  const server = createNodeServer(parts.certificate, limits, parts.observe)
  const connections = createConnections(server)
  answerRequests(server, { ...parts, connections, stalledMs: limits.stalledMs })
  const port = await startListening(server, parts.listen)
  return {
    port,
    retire: () => connections.retire(),
    async stop(drainMs) {
      connections.drain()
      parts.handler.endStreams?.()
      const cancel = parts.clock.after(drainMs, () => {
        parts.handler.beforeCut?.()
        connections.cut()
      })
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

/** What answering takes. */
interface Answering extends Pick<ServeParts, 'handler' | 'around' | 'clock' | 'observe'> {
  readonly connections: Connections
  readonly stalledMs: number
}

const isSafe = ({ method = '' }: IncomingMessage): boolean => safeMethods.has(method)
/** How many requests of a connection have not begun. */
const waiting = new WeakMap<Socket, number>()
/** More than clients send ahead, and of heads no more memory than of a body. */
const mostWaiting = 100

/**
 * Runs a request at once, unless it was sent behind one that is not answered yet and either changes something: a DELETE
 * that overtakes its POST would find nothing (RFC 9112 §9.3.2). Then it begins when that answer is out.
 *
 * Node holds a client back where answers pile up. What waits makes none, so beyond `mostWaiting` the connection is cut.
 */
function inTurn(before: ServerResponse | undefined, request: IncomingMessage, run: () => void, cut: () => void): void {
  const { socket } = request
  const ahead = waiting.get(socket) ?? 0
  if (before === undefined || (isSafe(request) && isSafe(before.req) && ahead === 0)) return run()
  if (ahead === mostWaiting) return cut()
  waiting.set(socket, ahead + 1)
  before.once('close', () => {
    waiting.set(socket, (waiting.get(socket) ?? 1) - 1)
    // The connection may have ended with that answer, or end in its place.
    if (socket.writable && before.writableFinished) run()
  })
}

/**
 * Ends an answer that was behind another with its connection. Node 22 does so with the first alone; a call to an API would go
 * on for nobody, and hold its place for good.
 */
function endTogether(socket: Socket, response: ServerResponse): void {
  const end = (): void => {
    response.destroy()
    // From Node 24 on the answer says so itself.
    setImmediate(() => {
      if (!response.closed) response.emit('close')
    })
  }
  socket.setMaxListeners(0).once('close', end)
  response.once('close', () => socket.off('close', end))
}

/**
 * Ends a connection whose last answer came before the whole request in two steps, where Node would close it at once: what
 * still comes of the request would turn that into a reset, which takes the answer back (RFC 9112 §9.6).
 */
function endInTwoSteps(request: IncomingMessage, response: ServerResponse, clock: Pick<Clock, 'after'>): void {
  const { headers, socket } = request
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return
  // Before Node's own listener, which closes the connection by this function.
  response.prependOnceListener('finish', () => {
    if (request.complete || response.shouldKeepAlive) return
    socket.destroySoon = () => {
      letGo(socket, clock)
      socket.end()
    }
  })
}

/** Has everything that comes to `server` answered: by the handler, or by us where that throws or nobody could parse it. */
function answerRequests(server: Server, parts: Answering): void {
  const { connections, handler, around = (_, run) => run() } = parts
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    // The connection was ended with a refusal; what still arrives on it must have no effect.
    if (request.socket.writableEnded) return
    const before = connections.begin(request.socket, response)
    if (before !== undefined) endTogether(request.socket, response)
    endInTwoSteps(request, response, parts.clock)
    const run = (): void => around(request, () => void settle(parts, request, response))
    inTurn(before, request, run, () => connections.cutOne(request.socket))
  }
  server.on('request', onRequest)
  server.on('checkContinue', onRequest)
  server.on('checkExpectation', onRequest)
  server.on('clientError', (error: Error, socket: Socket) => {
    if (connections.isAnswering(socket)) return connections.cutOne(socket)
    const isLost = failureCode(error) === 'ECONNRESET' || !socket.writable
    // A refusal of what came behind it would be taken for its answer.
    if (!isLost && connections.endAfterOwed(socket)) return
    refuse(error, socket, parts)
  })
  if (handler.upgrade === undefined) return
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

async function settle(parts: Answering, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { socket } = request
  try {
    await parts.handler.handle(request, response)
  } catch (cause) {
    reportFailure(parts.observe, request, cause)
    if (response.headersSent) {
      breakOff(response)
    } else {
      const { status, headers, body } = errorAnswer(asTokenHandlerError(cause), requestIdOf(request))
      response.shouldKeepAlive = false
      response.writeHead(status, headers).end(body)
    }
  }
  parts.connections.end(socket, response)
  const cut = (): void => parts.connections.cutOne(socket)
  cutStalledReader(socket, response, parts.stalledMs, parts.clock, cut)
}

async function settleUpgrade(parts: Answering, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
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
function refuse(error: Error, socket: Socket, { clock, observe }: Answering): void {
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
