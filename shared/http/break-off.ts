import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Ends half an answer so that it shows.
 *
 * HTTP/1.0 has no chunks: an answer without a length ends with its connection (RFC 9112 §6.3), so only a reset tells half
 * of it from the whole, which a gateway would else pass on as such. TLS tells by itself, for want of its closing alert.
 *
 * One that waits for those before it on its connection ends the connection when its turn comes: Node would give the
 * connection to an answer that never ends, and the client would wait for good.
 */
export function breakOff(response: ServerResponse): void {
  const { req, socket } = response
  // A head may wait for the first piece of its body. Browsers that get no byte on a connection that they used before send
  // the request once more, even a POST that has taken effect.
  if (response.headersSent && !response.destroyed) response.flushHeaders()
  if (socket === null) response.once('socket', (next: Socket) => next.destroy())
  const isPlainTcp = socket?.remoteFamily !== undefined && !('encrypted' in socket)
  if (req.httpVersion === '1.0' && isPlainTcp) socket.resetAndDestroy()
  else response.destroy()
}
