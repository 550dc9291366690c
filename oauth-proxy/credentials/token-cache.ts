import { type Clock, isWithin } from '../../shared/clock.ts'

/** A token obtained for an API. */
export interface ObtainedToken {
  readonly token: string
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** Tokens obtained for APIs, kept in memory until shortly before they expire. */
export interface TokenCache {
  /** The kept token of `key`, or undefined if there is none that will live a little longer. */
  find(key: string): string | undefined
  /** Obtains the token of `key` and keeps it; callers that come meanwhile wait for the same answer. */
  obtain(key: string, load: () => Promise<ObtainedToken>): Promise<string>
  /**
   * Forgets `token`, because the API refused it; a newer token of the same key stays.
   *
   * A token obtained within the last 5 seconds is kept, too: another one would not fare better, and an API that refuses
   * everything must not turn each of its calls into one to the authorization server.
   */
  evict(key: string, token: string): void
}

interface Entry {
  readonly token: string
  readonly obtainedAt: number
  readonly usableUntil: number
  /** The same moment by the steady clock. */
  readonly usableUntilSteadyMs: number
}

/** Least age in seconds at which a refused token is replaced. */
const refusedAfterSeconds = 5

/** A token is given up this long before it expires, so that it does not expire on its way to the API. */
const earlySeconds = 30
/** ... but never more than this part of its life, or short-lived tokens would not be kept at all. */
const earlyPart = 0.2

/**
 * Creates an empty cache of at most `maxEntries` tokens; the one not asked for for the longest time makes room (L08).
 *
 * A failure reaches every caller that waits, and is not kept. The end of a token is judged by both clocks: the steady one
 * stands while a machine sleeps, and one that was a day ahead would have a token live for that day when it is set back.
 */
export function createTokenCache({ clock, maxEntries }: { clock: Clock; maxEntries: number }): TokenCache {
  const entries = new Map<string, Entry>()
  const flights = new Map<string, Promise<string>>()

  function keep(key: string, { token, expiresAt }: ObtainedToken): void {
    const now = clock.nowSeconds()
    const usableUntil = expiresAt - Math.min(earlySeconds, (expiresAt - now) * earlyPart)
    if (usableUntil <= now) return
    entries.delete(key)
    const oldest = entries.size < maxEntries ? undefined : entries.keys().next().value
    if (oldest !== undefined) entries.delete(oldest)
    const usableUntilSteadyMs = clock.steadyMs() + (usableUntil - now) * 1000
    entries.set(key, { token, obtainedAt: now, usableUntil, usableUntilSteadyMs })
  }

  async function fly(key: string, load: () => Promise<ObtainedToken>): Promise<string> {
    try {
      const obtained = await load()
      keep(key, obtained)
      return obtained.token
    } finally {
      flights.delete(key)
    }
  }

  return {
    find(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.usableUntil <= clock.nowSeconds() || entry.usableUntilSteadyMs <= clock.steadyMs()) return undefined
      entries.set(key, entry)
      return entry.token
    },
    obtain(key, load) {
      const present = flights.get(key)
      if (present !== undefined) return present
      const flight = fly(key, load)
      flights.set(key, flight)
      return flight
    },
    evict(key, token) {
      const entry = entries.get(key)
      if (entry?.token !== token) return
      const isYoung = isWithin(clock, entry.obtainedAt * 1000, refusedAfterSeconds * 1000)
      if (!isYoung) entries.delete(key)
    },
  }
}
