import type { Cancel, Clock } from '../clock.ts'
import { createEndedList } from './ended.ts'
import type { Store } from './store.ts'
import { createTrim } from './trim.ts'

interface Kept {
  readonly value: string
  readonly untilMs: number
}

interface Counted {
  count: number
  readonly untilMs: number
}

/**
 * The store of a single process: the same promises as a shared one, kept in bounded maps.
 *
 * Beyond `maxEntries` the oldest entry of a map goes first; what is lost then costs a repeated refresh or a fresh
 * counter, or leaves a replaced session to its own limits, but never costs a session. Lives are counted by the steady
 * clock, so that one that is set forward and back neither ends them nor lets what should live for seconds live for a day.
 */
export function createMemoryStore(parts: { clock: Pick<Clock, 'steadyMs' | 'after'>; maxEntries?: number }): Store {
  const { clock, maxEntries = 100_000 } = parts
  const locks = new Map<string, Cancel>()
  const values = new Map<string, Kept>()
  const counters = new Map<string, Counted>()
  const ended = createEndedList({ clock, maxEntries })
  const trimValues = trim(values)
  const trimCounters = trim(counters)

  function trim<T extends { readonly untilMs: number }>(map: Map<string, T>): () => void {
    const hasExpired = ({ untilMs }: T) => untilMs <= clock.steadyMs()
    return createTrim({ map, maxEntries, hasExpired, remove: (key) => map.delete(key) })
  }

  return {
    available: true,
    reachedSinceMs: Number.NEGATIVE_INFINITY,
    acquire(key, holdMs) {
      if (locks.has(key)) return Promise.resolve(undefined)
      const forget = () => {
        if (locks.get(key) === cancel) locks.delete(key)
      }
      const cancel = clock.after(holdMs, forget)
      locks.set(key, cancel)
      return Promise.resolve({
        release() {
          cancel()
          forget()
          return Promise.resolve()
        },
      })
    },
    get: (key) => Promise.resolve(unexpired(values, key, clock.steadyMs())?.value),
    put(key, value, ttlSeconds) {
      values.delete(key)
      values.set(key, { value, untilMs: clock.steadyMs() + ttlSeconds * 1000 })
      trimValues()
      return Promise.resolve()
    },
    count(key, ttlSeconds) {
      const present = unexpired(counters, key, clock.steadyMs())
      if (present !== undefined) return Promise.resolve(++present.count)
      counters.set(key, { count: 1, untilMs: clock.steadyMs() + ttlSeconds * 1000 })
      trimCounters()
      return Promise.resolve(1)
    },
    end(entry) {
      ended.add(entry)
      return Promise.resolve()
    },
    hasEnded: (session) => ended.has(session),
    close() {
      for (const cancel of locks.values()) cancel()
      locks.clear()
      return Promise.resolve()
    },
  }
}

function unexpired<T extends { readonly untilMs: number }>(map: Map<string, T>, key: string, atMs: number) {
  const entry = map.get(key)
  if (entry === undefined || entry.untilMs > atMs) return entry
  map.delete(key)
  return undefined
}
