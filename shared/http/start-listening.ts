import { chmodSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { unixPeer } from '../config/values.ts'

/** Where a server listens: at `socket`, or at host and port without one. */
export interface Listen {
  readonly host: string
  readonly port: number
  /** Path of a Unix socket. */
  readonly socket?: string | undefined
}

/** Owner and group may connect, which takes the right to write (unix(7)). */
const socketMode = 0o660

/** Starts to listen; resolves with the port, 0 for a Unix socket, and rejects with the error of `listen` (EADDRINUSE, EACCES, …). */
export async function startListening(server: Server, { host, port, socket }: Listen): Promise<number> {
  if (socket !== undefined) server.on('connection', namePeer)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socket === undefined ? { host, port } : { path: socket }, () => {
      server.off('error', reject)
      if (socket !== undefined) chmodSync(socket, socketMode)
      resolve()
    })
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Names the peer of a Unix socket: it has no address, and without a name it would look like a client that has gone. */
function namePeer(socket: Socket): void {
  Object.defineProperty(socket, 'remoteAddress', { value: unixPeer })
}
