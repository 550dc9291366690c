import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import { errorName, TokenHandlerError } from '../errors.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import { breakOff } from './break-off.ts'
import type { Connections } from './connections.ts'
import { endInTwoSteps } from './end-socket.ts'
import { asTokenHandlerError, errorAnswer } from './error-answer.ts'
import type { HttpHandler } from './http-handler.ts'
import { refuseUnparsed } from './parser-refusal.ts'
import { endTogether, inTurn } from './pipelining.ts'
import { requestIdOf } from './request-id.ts'
import { cutStalledReader } from './stalled-reader.ts'

/** What answering takes. */
export interface Answering {
  readonly handler: HttpHandler
  readonly connections: Connections
  readonly stalledMs: number
  readonly clock: Pick<Clock, 'after'>
  readonly observe: Observe
  /** Runs the work of every request, and may set the trace headers that go on to an API. */
  readonly around?: (request: IncomingMessage, run: () => void) => void
}

/** Has everything that comes to `server` answered: by the handler, or by us where that throws or nobody could parse it. */
export function answerRequests(server: Server, parts: Answering): void {
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
    const parserCode = failureCode(error) ?? ''
    if (parserCode === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    // A refusal of what came behind it would be taken for its answer.
    if (!connections.endAfterOwed(socket)) refuseUnparsed(parserCode, socket, parts)
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
