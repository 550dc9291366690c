import { createServer, Server } from 'node:net'
import { performance } from 'node:perf_hooks'

/** How often a quiet turn of the event loop is waited for; under a flood there is none. */
const mostTurns = 100

/**
 * Closes the listening socket of `server` and none of its connections.
 *
 * What the kernel has accepted for us and we have not taken yet is reset with that socket, and a gateway must not send a
 * POST twice that it believes delivered. So this happens straight after a turn in which nothing arrived.
 */
export async function stopListening(server: Server): Promise<void> {
  // Not the close of node:http, which looks through all connections first.
  const { close } = Server.prototype
  // Compiled by a first call, which takes several times as long as the call that matters.
  close.call(createServer())
  for (let turn = 0, before = -1; turn < mostTurns && before !== eventCount(); turn += 1) {
    before = eventCount()
    await nextTurn()
  }
  close.call(server)
}

/** How many events of sockets and the like this process has had; those of a turn are in it at its end. */
export function eventCount(): number {
  return performance.nodeTiming.uvMetricsInfo.events
}

/** Resolves when the events of this turn have been dealt with. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
