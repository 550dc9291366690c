import { type Clock, isWithin } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { ignoreUnavailable, type Store } from '../../shared/store/store.ts'

/** What taking turns needs. */
export interface TurnParts {
  readonly config: Pick<Config, 'authorizationServer'>
  readonly store: Pick<Store, 'acquire' | 'available' | 'reachedSinceMs'>
  readonly clock: Clock
}

/** The turn of a request. */
export interface Turn {
  /**
   * True when nobody else is doing the same, or has done so a moment ago without leaving what came of it.
   *
   * False without a lock, while the shared store is away and each replica is on its own, and with one of a store that was
   * away a moment ago: it may have lost the lock of another replica, or never have got what that one left. From true it
   * turns to false where the store goes away or is started anew during the turn, for it may have lost this lock.
   */
  readonly isCertain: boolean
  release(): Promise<void>
}

/** What another request has left behind, or what `work` gave. */
export type TurnOutcome<Found, Done> = { readonly found: Found } | { readonly done: Done }

/** How long a request waits for another that does the same. */
const longestWaitMs = 3000
const pollMs = 50

/** For how long what came of a turn is kept; longer than any tab sleeps between sending and reading. */
export const outcomeSeconds = 30

/**
 * Creates a function that does the same `work` only once at a time in this process: whoever comes with the same key
 * while it is under way gets its outcome, too, marked as `joined`.
 */
export function createSingleFlight<T extends { readonly joined: boolean }>(): (
  key: string,
  work: () => Promise<T>,
) => Promise<T> {
  const flights = new Map<string, Promise<T>>()

  return async (key, work) => {
    const present = flights.get(key)
    if (present !== undefined) return { ...(await present), joined: true }
    const flight = work().finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }
}

/**
 * Does `work` while no other replica does the same, unless `find` shows that it has been done already.
 *
 * Undefined when another replica holds the turn for longer than a request can wait.
 */
export async function inTurn<Found, Done>(
  parts: TurnParts,
  { key, find }: { readonly key: string; readonly find: () => Promise<Found | undefined> },
  work: (turn: Turn) => Promise<Done>,
): Promise<TurnOutcome<Found, Done> | undefined> {
  const taken = await takeTurn(parts, key, find)
  if (taken === undefined || 'found' in taken) return taken
  const { turn } = taken
  try {
    // The replica that held the lock a moment ago may have finished in between.
    const found = await find()
    return found === undefined ? { done: await work(turn) } : { found }
  } finally {
    // A lock that cannot be given back ends by itself; nothing may cost what `work` gave.
    await turn.release().catch(() => {})
  }
}

async function takeTurn<Found>(
  { config, store, clock }: TurnParts,
  key: string,
  find: () => Promise<Found | undefined>,
): Promise<{ readonly found: Found } | { readonly turn: Turn } | undefined> {
  // Long enough for metadata, the call for tokens and the keys of an ID token, each at its slowest.
  const holdMs = 4 * config.authorizationServer.timeoutMs + longestWaitMs
  const sinceMs = clock.nowMs()
  for (;;) {
    const found = await find()
    if (found !== undefined) return { found }
    const lock = await store.acquire(key, holdMs).catch((error: unknown) => {
      ignoreUnavailable(error)
      return noLock
    })
    if (lock !== undefined) {
      const takenMs = clock.steadyMs()
      const turn = {
        get isCertain() {
          const wasReached = takenMs - store.reachedSinceMs >= holdMs + outcomeSeconds * 1000
          return lock !== noLock && store.available && wasReached
        },
        release: () => lock.release(),
      }
      return { turn }
    }
    if (!isWithin(clock, sinceMs, longestWaitMs)) return undefined
    await new Promise<void>((resolve) => {
      clock.after(pollMs, resolve)
    })
  }
}

const noLock = { release: () => Promise.resolve() }
