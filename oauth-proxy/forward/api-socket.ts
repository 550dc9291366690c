import type { Socket } from 'node:net'
import { isHungUp, isReset } from './failure.ts'

type Done = (error?: Error | null) => void

/**
 * Keeps what an API has answered readable although it hung up on the rest of the request, as many do with a body that is
 * too long for them, and makes a truncated answer detectable.
 *
 * Node drops a connection as soon as a write fails, with the answer that has arrived before. Here such a write is let
 * go: the reading side finds the answer, and behind it the end of the connection, which fails a call that got none.
 *
 * The client library takes an answer without a length for whole when ECONNRESET ends it, though only an orderly end says
 * that (RFC 9112 §8). Under another code it fails, and is cut off for the browser (I13). The system tells of a reset
 * once: where a write hears of it, reading finds what looks like an orderly end.
 */
export function apiSocket(socket: Socket): Socket {
  const unlessHungUp =
    (done: Done): Done =>
    (error) => {
      if (isReset(error)) breakAtEnd(socket, error)
      done(isHungUp(error) ? null : error)
    }
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, done) => write(chunk, encoding, unlessHungUp(done))
  const writev = socket._writev?.bind(socket)
  if (writev !== undefined) socket._writev = (chunks, done) => writev(chunks, unlessHungUp(done))
  const destroy = socket._destroy.bind(socket)
  socket._destroy = (error, done) => destroy(error !== null && isHungUp(error) ? aborted(error) : error, done)
  return socket
}

/** Lets nobody take the end of what has arrived for an orderly one. */
function breakAtEnd(socket: Socket, cause: Error): void {
  socket.removeAllListeners('end').once('end', () => socket.destroy(aborted(cause)))
}

function aborted(cause: Error): Error {
  return Object.assign(new Error('the connection was reset', { cause }), { code: 'ECONNABORTED' })
}
