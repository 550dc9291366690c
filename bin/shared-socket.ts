import type { Clock } from '../shared/clock.ts'
import { eventCount, nextTurn } from '../shared/http/stop-listening.ts'

/** How often it is asked whether a connection is on its way; under a flood there always is one. */
const mostRounds = 1000
/** A worker that hangs is not waited for any longer. */
const answerMs = 1000
/** On a machine with too much to do each round takes long, and what is cut short here resets connections. */
const quietMs = 3000

/** What is needed of a worker of node:cluster. */
export interface SharingWorker {
  readonly process: { emit(event: 'disconnect'): boolean }
}

/** What closing the socket that workers share takes. */
export interface SharedSocketParts<W> {
  /** Resolves when the worker has answered, and so has taken all connections that were handed to it before. */
  readonly ping: (worker: W) => Promise<void>
  /** Called for each worker once it gets no more connections. */
  readonly onReleased: (worker: W) => void
  readonly clock: Pick<Clock, 'after'>
}

/**
 * Closes the listening socket that `workers` share, from their primary, and loses none of the connections handed to them.
 *
 * Node closes it when the last worker says that it has closed its own server. What was handed over meanwhile would be
 * reset, with a POST that a gateway must not send twice. So all but one are released, and the last as soon as no
 * connection waits or is on its way.
 */
export async function closeSharedSocket<W extends SharingWorker>(
  workers: readonly W[],
  { ping, onReleased, clock }: SharedSocketParts<W>,
): Promise<void> {
  const answered: W[] = []
  const all = Promise.all(workers.map((worker) => ping(worker).then(() => answered.push(worker))))
  await within(answerMs, all, clock)
  const last = answered[0] ?? workers[0]
  const release = (worker: W): void => {
    handOverNoMore(worker)
    onReleased(worker)
  }
  for (const worker of workers) if (worker !== last) release(worker)
  if (last === undefined) return
  await within(quietMs, untilNothingIsOnItsWay(last, ping), clock)
  release(last)
}

/**
 * Has node:cluster give a worker no more connections, and close the socket if it was the last.
 *
 * The event is that of a channel that has closed, which this one has not. `disconnect` of the worker does the same, but
 * only after a message that wakes it: on a busy machine the primary then waits for a processor, often for 2 ms, and all
 * that comes in them is reset. Should Node no longer act on the event, the last worker's own close does it, a little later.
 */
function handOverNoMore({ process }: SharingWorker): void {
  process.emit('disconnect')
}

/**
 * A round in which the primary got an answer and nothing else brought no connection. Two in a row say that none waits
 * either: in the first, Node may have learned that the worker is free, and handed the next one over.
 */
async function untilNothingIsOnItsWay<W>(worker: W, ping: (worker: W) => Promise<void>): Promise<void> {
  for (let round = 0, quiet = 0; round < mostRounds && quiet < 2; round += 1) {
    const before = eventCount()
    await ping(worker)
    await nextTurn()
    // So that the socket is closed straight after a look at it, and not after the work for the answer.
    await nextTurn()
    quiet = eventCount() - before > 1 ? 0 : quiet + 1
  }
}

function within(ms: number, work: Promise<unknown>, clock: Pick<Clock, 'after'>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve)
    void work.then(() => {
      cancel()
      resolve()
    })
  })
}
