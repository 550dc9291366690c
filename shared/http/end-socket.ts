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

/** Lets go of a socket whose own side is ended: what still comes is not kept, and the other side gets a moment to close. */
export function letGo(socket: Duplex, clock: Pick<Clock, 'after'>): void {
  const cancel = clock.after(closeGraceMs, () => socket.destroy())
  socket.once('close', cancel)
  socket.resume()
}
