import type { ChildProcess } from 'node:child_process'

/** What is needed of the process of a worker of node:cluster. */
export type HandingProcess = Pick<ChildProcess, 'connected' | 'send' | 'on'>

/** A message of Node's own; with `act: 'newconn'` a connection goes along, and `ack` is the `seq` that is answered. */
interface Handover {
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

/**
 * Closes the connections that were handed to a worker that dies before it has taken them.
 *
 * Node (lib/internal/cluster/) keeps each open in the primary until the worker answers for it, and forgets those of a dead
 * one: their clients would wait for as long as they care to, and the primary would be short of a descriptor for good.
 * They are not handed to another worker: what a dying one has read of a request is gone, and the rest of it must not
 * be taken for the beginning of the next.
 */
export function closeWhatIsNotTaken(worker: HandingProcess): void {
  // A process that the system could not start has no channel.
  if (!worker.connected) return
  const handed = new Map<number, { close(): void }>()
  const { send } = worker
  worker.send = (message: Handover, ...more: unknown[]): boolean => {
    const [connection] = more
    if (message.act === 'newconn' && message.seq !== undefined && isConnection(connection))
      handed.set(message.seq, connection)
    const sent: unknown = Reflect.apply(send, worker, [message, ...more])
    return sent === true
  }
  worker.on('internalMessage', ({ ack }: Handover) => {
    if (ack !== undefined) handed.delete(ack)
  })
  // The event disconnect does not come while a connection is on its way to a worker.
  worker.on('exit', () => {
    for (const connection of handed.values()) connection.close()
    handed.clear()
  })
}

function isConnection(value: unknown): value is { close(): void } {
  return typeof value === 'object' && value !== null && 'close' in value && typeof value.close === 'function'
}
