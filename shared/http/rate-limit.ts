import { hash } from 'node:crypto'
import { RateLimiterMemory, RateLimiterRes, RateLimiterStoreAbstract } from 'rate-limiter-flexible'
import type { Clock } from '../clock.ts'
import { TokenHandlerError } from '../errors.ts'
import { type Store, StoreUnavailable } from '../store/store.ts'

/** How many requests one caller may make in a window. */
export interface RateLimit {
  readonly requests: number
  readonly windowSeconds: number
}

export interface RateLimiter {
  /**
   * Counts one request of `caller`, a session id or a client address.
   *
   * Throws `too_many_requests` with the seconds until the window ends (RFC 9110 §10.2.3).
   */
  consume(caller: string): Promise<void>
}

/**
 * Creates the limit called `name`; all replicas that share the store count together.
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
  const options = { keyPrefix: '', points: limit.requests, duration: limit.windowSeconds }
  const counter = new StoreCounter({
    ...options,
    storeClient: { store, clock },
    insuranceLimiter: new RateLimiterMemory(options),
  })
  return {
    async consume(caller) {
      try {
        await counter.consume(hash('sha256', `${name}\0${caller}`, 'base64url'))
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal
        const retryAfter = Math.max(1, Math.ceil(refusal.msBeforeNext / 1000))
        throw new TokenHandlerError('too_many_requests', {
          fields: { retry_after: retryAfter },
          detail: { check: name },
        })
      }
    },
  }
}

interface Counted {
  readonly count: number
  readonly msLeft: number
}

/** The library's limiter over the counters of our store; windows are aligned to the clock, so all know when one ends. */
class StoreCounter extends RateLimiterStoreAbstract {
  readonly #store: Pick<Store, 'count'>
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #windowMs: number

  constructor(options: ConstructorParameters<typeof RateLimiterStoreAbstract>[0]) {
    super(options)
    this.#store = options.storeClient.store
    this.#clock = options.storeClient.clock
    this.#windowMs = options.duration * 1000
  }

  async _upsert(key: string): Promise<Counted> {
    const now = this.#clock.nowMs()
    const window = Math.floor(now / this.#windowMs)
    const count = await this.#store.count(`rate:${key}:${window}`, this.#windowMs / 1000)
    return { count, msLeft: (window + 1) * this.#windowMs - now }
  }

  _getRateLimiterRes(_key: string, _points: number, { count, msLeft }: Counted): RateLimiterRes {
    return new RateLimiterRes(Math.max(0, this.points - count), msLeft, count, count === 1)
  }
}

/**
 * Counts one request of `who` against a limit, on all replicas that share the store.
 *
 * Throws `too_many_requests` with `retry_after` beyond the limit. While the shared store is down nobody is limited: an
 * outage of the counters must not become one of the service.
 */
export async function checkRateLimit(
  store: Pick<Store, 'count'>,
  name: string,
  who: string,
  limit: RateLimit,
): Promise<void> {
  const key = `rate:${name}:${hash('sha256', who, 'base64url')}`
  const count = await store.count(key, limit.windowSeconds).catch((error: unknown) => {
    if (error instanceof StoreUnavailable) return 0
    throw error
  })
  if (count > limit.requests) {
    throw new TokenHandlerError('too_many_requests', {
      fields: { retry_after: limit.windowSeconds },
      detail: { check: name },
    })
  }
}
