import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'

/** How long a client may take to close its side. */
const closeGraceMs = 2000

/**
 * Sends the last bytes on a socket whose time limits nobody watches any more, and lets go of it even if the client never
 * does.
 *
 * Closing at once could take the bytes back: unread input turns the close into a reset (RFC 9112 §9.6).
 */
export function endSocket(socket: Duplex, bytes: string | Buffer, clock: Pick<Clock, 'after'>): void {
  letGo(socket, clock)
  socket.end(bytes)
}

/**
 * Ends a connection whose last answer came before the whole request in two steps, where Node would close it at once: what
 * still comes of the request would turn that into a reset, which takes the answer back (RFC 9112 §9.6).
 */
export function endInTwoSteps(request: IncomingMessage, response: ServerResponse, clock: Pick<Clock, 'after'>): void {
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

/** Lets go of a socket whose own side is ended: what still comes is not kept, and the other side gets a moment to close. */
export function letGo(socket: Duplex, clock: Pick<Clock, 'after'>): void {
  const cancel = clock.after(closeGraceMs, () => socket.destroy())
  socket.once('close', cancel)
  socket.resume()
}
