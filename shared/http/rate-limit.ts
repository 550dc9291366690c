import { hash } from 'node:crypto'
// The index of the package loads its adapters for a dozen databases as well.
import RateLimiterMemory from 'rate-limiter-flexible/lib/RateLimiterMemory.js'
import RateLimiterRes from 'rate-limiter-flexible/lib/RateLimiterRes.js'
import type { Clock } from '../clock.ts'
import { TokenHandlerError } from '../errors.ts'
import { networkOf } from './client-address.ts'
import { type Store, StoreUnavailable } from '../store/store.ts'

/** How many requests one caller may make in a window. */
export interface RateLimit {
  readonly requests: number
  readonly windowSeconds: number
}

/** Counts requests and refuses those beyond a limit. */
export interface RateLimiter {
  /**
   * Counts one request of `caller`, a session id or a client address; whoever has one IPv6 address has all of its
   * network, so these count as one.
   *
   * Throws `too_many_requests` with the seconds until the window ends (RFC 9110 §10.2.3).
   */
  consume(caller: string): Promise<void>
}

/**
 * Creates the limit called `name`; all replicas that share the store count together, in windows aligned to the clock.
 *
 * While a shared store is away each process counts for itself: its outage neither refuses everybody nor lifts the limit.
 */
export function createRateLimiter(parts: {
  name: string
  limit: RateLimit
  store: Pick<Store, 'count'>
  clock: Pick<Clock, 'nowMs'>
}): RateLimiter {
  const { name, limit, store, clock } = parts
  const { requests, windowSeconds } = limit
  const windowMs = windowSeconds * 1000
  const alone = new RateLimiterMemory({ keyPrefix: '', points: requests, duration: windowSeconds })

  /** Milliseconds until the caller may come again; 0 if this request may pass. */
  async function countTogether(key: string): Promise<number> {
    const now = clock.nowMs()
    const window = Math.floor(now / windowMs)
    const count = await store.count(`rate:${key}:${window}`, windowSeconds)
    return count > requests ? (window + 1) * windowMs - now : 0
  }

  async function countAlone(key: string): Promise<number> {
    try {
      await alone.consume(key)
      return 0
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return Math.max(1, refusal.msBeforeNext)
      throw refusal
    }
  }

  return {
    async consume(caller) {
      const key = hash('sha256', `${name}\0${networkOf(caller)}`, 'base64url')
      const waitMs = await countTogether(key).catch((error: unknown) => {
        if (error instanceof StoreUnavailable) return countAlone(key)
        throw error
      })
      if (waitMs === 0) return
      throw new TokenHandlerError('too_many_requests', {
        fields: { retry_after: Math.ceil(waitMs / 1000) },
        detail: { check: 'rate_limit' },
      })
    },
  }
}
