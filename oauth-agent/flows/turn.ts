import { type Clock, isWithin } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type Lock, type Store, StoreUnavailable } from '../../shared/store/store.ts'

/** What taking turns needs. */
export interface TurnParts {
  readonly config: Pick<Config, 'authorizationServer'>
  readonly store: Pick<Store, 'acquire'>
  readonly clock: Clock
}

/** The turn of a request: the lock, or `no lock` while the shared store is away and each replica is on its own. */
export type Turn = Lock | 'no lock'

/** What another request has left behind, or what `work` gave. */
export type TurnOutcome<Found, Done> = { readonly found: Found } | { readonly done: Done }

/** How long a request waits for another that does the same. */
const longestWaitMs = 3000
const pollMs = 50

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
    // A lock that cannot be given back ends by itself.
    if (turn !== 'no lock') await turn.release().catch(() => {})
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
    const turn = await store.acquire(key, holdMs).catch((error: unknown) => {
      ignoreUnavailable(error)
      return 'no lock' as const
    })
    if (turn !== undefined) return { turn }
    if (!isWithin(clock, sinceMs, longestWaitMs)) return undefined
    await new Promise<void>((resolve) => {
      clock.after(pollMs, resolve)
    })
  }
}

/** Nothing for a store that is away; throws any other failure. */
export function ignoreUnavailable(error: unknown): undefined {
  if (!(error instanceof StoreUnavailable)) throw error
  return undefined
}
