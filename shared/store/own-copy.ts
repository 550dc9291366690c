import type { Clock } from '../clock.ts'
import { createMemoryStore } from './memory.ts'
import type { Store } from './store.ts'

/** So many values stay in a process beside the store. */
const maxEntries = 10_000

/**
 * Creates a store by which this process finds what it has put also while the shared store is away, or has lost it.
 *
 * What the shared store has comes first, for another replica may have put it since. Whoever puts is told as before whether
 * the others can find it.
 */
export function withOwnCopy(parts: {
  readonly store: Store
  readonly clock: Pick<Clock, 'steadyMs' | 'after'>
}): Store {
  const { store, clock } = parts
  const own = createMemoryStore({ clock, maxEntries })
  return {
    get available() {
      return store.available
    },
    get reachedSinceMs() {
      return store.reachedSinceMs
    },
    acquire: (key, holdMs) => store.acquire(key, holdMs),
    async get(key) {
      const found = await store.get(key).catch(async (error: unknown) => {
        const kept = await own.get(key)
        if (kept === undefined) throw error
        return kept
      })
      return found ?? (await own.get(key))
    },
    async put(key, value, ttlSeconds) {
      await own.put(key, value, ttlSeconds)
      await store.put(key, value, ttlSeconds)
    },
    count: (key, ttlSeconds) => store.count(key, ttlSeconds),
    end: (entry) => store.end(entry),
    hasEnded: (session) => store.hasEnded(session),
    close: () => store.close(),
  }
}
