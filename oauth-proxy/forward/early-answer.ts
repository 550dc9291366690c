import type { Socket } from 'node:net'
import { isHungUp } from './failure.ts'

type Done = (error?: Error | null) => void

/**
 * Keeps what an API has answered readable although it hung up on the rest of the request, as many do with a body that is
 * too long for them.
 *
 * Node drops a connection as soon as a write fails, with the answer that has arrived before. Here such a write is let
 * go: the reading side finds the answer, and behind it the end of the connection, which fails a call that got none.
 */
export function keepReadable(socket: Socket): Socket {
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, done) => write(chunk, encoding, unlessHungUp(done))
  const writev = socket._writev?.bind(socket)
  if (writev !== undefined) socket._writev = (chunks, done) => writev(chunks, unlessHungUp(done))
  return socket
}

function unlessHungUp(done: Done): Done {
  return (error) => done(isHungUp(error) ? null : error)
}
