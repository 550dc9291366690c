import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { safeMethods } from './guard.ts'

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
export function inTurn(
  before: ServerResponse | undefined,
  request: IncomingMessage,
  run: () => void,
  cut: () => void,
): void {
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
export function endTogether(socket: Socket, response: ServerResponse): void {
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

function isSafe({ method = '' }: IncomingMessage): boolean {
  return safeMethods.has(method)
}
