import type { Clock } from '../clock.ts'
import { createMemoryStore } from './memory.ts'
import type { Store } from './store.ts'

/** So many values stay in a process beside the store. */
const maxEntries = 10_000

/**
 * Creates a store for values that are put once: what this process has put, it finds again also while the shared store is
 * away or has lost it. What others have put, and whether `put` has reached them, is as the shared store says.
 */
export function withOwnCopy(parts: {
  readonly store: Pick<Store, 'get' | 'put'>
  readonly clock: Pick<Clock, 'steadyMs' | 'after'>
}): Pick<Store, 'get' | 'put'> {
  const { store, clock } = parts
  const own = createMemoryStore({ clock, maxEntries })
  return {
    get: async (key) => (await own.get(key)) ?? (await store.get(key)),
    async put(key, value, ttlSeconds) {
      await own.put(key, value, ttlSeconds)
      await store.put(key, value, ttlSeconds)
    },
  }
}
