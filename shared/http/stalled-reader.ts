import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'

/**
 * Cuts a connection on which bytes of an answer wait and none has left for `stalledMs`.
 *
 * A client that asks and never reads would otherwise hold its connection, and the memory of what it asked for, for as long
 * as it likes: Node limits the time of a request, not that of an answer. Costs nothing where the answer has left already.
 */
export function cutStalledReader(
  socket: Pick<Socket, 'bytesWritten' | 'writableLength' | 'destroyed'>,
  response: Pick<ServerResponse, 'writableLength'> & { once(event: 'close', listener: () => void): unknown },
  stalledMs: number,
  clock: Pick<Clock, 'after'>,
  cut: () => void,
): void {
  if (response.writableLength === 0 || socket.destroyed) return
  const sent = () => socket.bytesWritten - socket.writableLength
  let before = sent()
  const look = () => {
    const now = sent()
    if (now === before) {
      cut()
      return
    }
    before = now
    cancel = clock.after(stalledMs, look)
  }
  let cancel = clock.after(stalledMs, look)
  response.once('close', () => cancel())
}
