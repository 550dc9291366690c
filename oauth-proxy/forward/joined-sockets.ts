import type { Socket } from 'node:net'
import type { Clock } from '../../shared/clock.ts'
import { endSocket, letGo } from '../../shared/http/end-socket.ts'
import { closeFrame, createFrameBoundary } from './frame-boundary.ts'

/** The connection to the browser. */
export interface BrowserSide {
  readonly socket: Socket
  /** Longest silence in both directions. */
  readonly idleTimeoutMs: number
  readonly clock: Pick<Clock, 'after'>
}

/** Two connections that are one WebSocket. */
export interface JoinedSockets {
  /**
   * Sends a close frame where a frame may stand, then ends both sides; calling it again does nothing.
   *
   * True if it was the first call.
   */
  close(code: number, reason: string): boolean
  /** Calls `listener` when neither side has said anything for `idleTimeoutMs`. */
  onIdle(listener: () => void): void
  /** Resolves when the connection to the browser is gone. */
  readonly closed: Promise<void>
}

/** How long a frame of the API may take to end before a close frame has to cut it. */
const frameGraceMs = 1000

/** Watches over the two connections of a WebSocket, which the library has joined, and ends them in good order. */
export function joinSockets({ socket, idleTimeoutMs, clock }: BrowserSide, upstreamSocket: Socket): JoinedSockets {
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
    if (closing) return false
    closing = true
    upstreamSocket.unpipe(socket)
    if (boundary.atBoundary) {
      finish(code, reason)
      return true
    }
    // A close frame in the middle of another would be read as its payload.
    const cancel = clock.after(frameGraceMs, () => socket.destroy())
    upstreamSocket.on('data', (chunk: Buffer) => {
      const end = boundary.feed(chunk)
      socket.write(chunk.subarray(0, end))
      if (end === undefined) return
      cancel()
      finish(code, reason)
    })
    upstreamSocket.resume()
    return true
  }
  // Once the API has ended nobody takes what the browser still sends, and behind it stands that the browser has closed.
  socket.once('finish', () => {
    socket.unpipe(upstreamSocket)
    letGo(socket, clock)
  })
  // The library only ends this side then; an API that never ends its own would keep a connection that no place counts.
  socket.once('close', () => letGo(upstreamSocket, clock))
  return {
    close,
    onIdle: (listener) => void socket.setTimeout(idleTimeoutMs, listener),
    closed: new Promise((resolve) => {
      if (socket.destroyed) resolve()
      else socket.once('close', () => resolve())
    }),
  }
}
