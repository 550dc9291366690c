import type { Clock } from '../../shared/clock.ts'
import { createEndedList, endedName, type EndedName } from '../../shared/store/ended.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { type Lock, type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { turns } from './turns.ts'

/**
 * What happens to one command: its connection breaks before or after the server has carried it out, and comes back in time
 * for the second try (`lost`) or not (`gone`).
 */
export const faults = ['none', 'slow', 'lost before', 'lost after', 'gone before', 'gone after'] as const
export type Fault = (typeof faults)[number]

/** The store of one replica, as shared/store/valkey.ts behaves towards it. */
export interface BreakableStore extends Store {
  /** What happens to its next commands, in their order. */
  faults: Fault[]
  /** Whether the server can be reached from here. */
  reach(isReached: boolean): void
  /** How many commands have failed. */
  readonly failures: number
}

/** One server in memory and the stores of all replicas before it. */
export interface BreakableServer {
  readonly stores: readonly BreakableStore[]
  /** Loses all that it has, and all its connections. */
  restart(): void
}

/** In turns of the event loop: a way between replica and server, one that is slow, a new connection, one that takes too long. */
const [wayTurns, slowTurns, connectTurns, goneTurns] = [1, 8, 3, 25]

/**
 * Creates a server and `replicas` stores before it. `whileLocked` is called when somebody did not get a lock, and will wait
 * for it by the clock.
 */
export function createBreakableServer(parts: {
  clock: Clock
  replicas: number
  whileLocked: () => void
}): BreakableServer {
  const { clock, replicas, whileLocked } = parts
  const newEndedList = () => createEndedList({ clock, maxEntries: 10_000 })
  let kept = createMemoryStore({ clock })
  let ended = newEndedList()
  const connections: { push(entry: EndedName): void; lose(turnsUntilBack: number): void }[] = []

  function end(entry: EndedName): void {
    ended.add(entry)
    for (const connection of connections) connection.push(entry)
  }

  function open(): BreakableStore {
    const known = newEndedList()
    let isReached = true
    let available = true
    let reachedSinceMs = clock.steadyMs()
    let losses = 0
    let failures = 0
    let settled = Promise.resolve()
    // What goes one way on a connection arrives in the order in which it was sent.
    let outbound = Promise.resolve()
    let inbound = Promise.resolve()
    const sent = (count: number) => (outbound = inOrder(outbound, turns(count)))
    const arrived = (count: number) => (inbound = inOrder(inbound, turns(count)))

    function connect(): void {
      const held = new Set<string>()
      for (const entry of ended.entries()) {
        known.add(entry)
        held.add(memberOf(entry))
      }
      for (const entry of known.entries()) if (!held.has(memberOf(entry))) end(entry)
      outbound = Promise.resolve()
      inbound = Promise.resolve()
      reachedSinceMs = clock.steadyMs()
      available = true
    }

    function lose(turnsUntilBack: number): void {
      available = false
      losses += 1
      const loss = losses
      const back = turns(turnsUntilBack).then(() => {
        if (loss === losses && isReached && !available) connect()
      })
      // Nobody waits longer for it than one time limit.
      settled = turnsUntilBack > connectTurns ? Promise.resolve() : back
    }

    function fail(): never {
      failures += 1
      throw new StoreUnavailable('CLOSED')
    }

    async function run<T>(command: () => Promise<T>): Promise<T> {
      for (let attempt = 1; ; attempt += 1) {
        if (!available) await settled
        if (!available) fail()
        const fault = store.faults.shift() ?? 'none'
        const used = losses
        const count = fault === 'slow' ? slowTurns : wayTurns
        await sent(count)
        if (used === losses && !fault.endsWith('before')) {
          const value = await command()
          await arrived(count)
          if (used === losses && !fault.endsWith('after')) return value
        }
        const isGone = fault.startsWith('gone')
        if (used === losses) lose(isGone ? goneTurns : connectTurns)
        if (attempt === 2 || isGone) fail()
      }
    }

    connections.push({
      push(entry) {
        const used = losses
        if (available) void arrived(wayTurns).then(() => used === losses && known.add(entry))
      },
      lose,
    })

    const store: BreakableStore = {
      faults: [],
      reach(now) {
        if (now === isReached) return
        isReached = now
        if (now) connect()
        else lose(goneTurns)
      },
      get failures() {
        return failures
      },
      get available() {
        return available
      },
      get reachedSinceMs() {
        return reachedSinceMs
      },
      async acquire(key, holdMs) {
        // A second try finds the lock that the first one took, unless the server has lost it.
        let taken: { readonly from: Store; readonly lock: Lock } | undefined
        const lock = await run(async () => {
          if (taken?.from === kept) return taken.lock
          const fresh = await kept.acquire(key, holdMs)
          if (fresh !== undefined) taken = { from: kept, lock: fresh }
          return fresh
        })
        if (lock === undefined) {
          whileLocked()
          return undefined
        }
        return {
          async release() {
            await run(() => lock.release()).catch(() => {})
          },
        }
      },
      get: (key) => run(() => kept.get(key)),
      put: (key, value, ttlSeconds) => run(() => kept.put(key, value, ttlSeconds)),
      count: (key, ttlSeconds) => run(() => kept.count(key, ttlSeconds)),
      async end(entry) {
        const named = endedName(entry)
        known.add(named)
        await run(() => Promise.resolve(end(named))).catch(() => {})
      },
      hasEnded: (session) => known.has(session),
      close: () => kept.close(),
    }
    return store
  }

  const stores = Array.from({ length: replicas }, open)
  return {
    stores,
    restart() {
      kept = createMemoryStore({ clock })
      ended = newEndedList()
      connections.forEach((connection, index) => connection.lose(connectTurns - (index % 3)))
    },
  }
}

function memberOf({ name, createdUntil }: EndedName): string {
  return `${name} ${createdUntil}`
}

/** Resolves with `own`, but not before what was sent before it. */
async function inOrder(before: Promise<void>, own: Promise<void>): Promise<void> {
  await before
  await own
}
