import * as published from 'rate-limiter-flexible'
import RateLimiterMemory from 'rate-limiter-flexible/lib/RateLimiterMemory.js'
import RateLimiterRes from 'rate-limiter-flexible/lib/RateLimiterRes.js'
import { describe, expect, it } from 'vitest'
import { createRateLimiter } from '../../../shared/http/rate-limit.ts'
import { createMemoryStore } from '../../../shared/store/memory.ts'
import { StoreUnavailable } from '../../../shared/store/store.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const limit = { requests: 3, windowSeconds: 60 }
const windowStart = 1_800_000_000

async function answers(times: number, call: () => Promise<void>): Promise<string[]> {
  const all: string[] = []
  for (let n = 0; n < times; n += 1) {
    all.push(
      await call().then(
        () => 'passed',
        (error: { code: string; fields: { retry_after: number } }) => `${error.code} ${error.fields.retry_after}`,
      ),
    )
  }
  return all
}

describe('rate limit', () => {
  it('lets the allowed number pass and tells the rest when to come back', async () => {
    const clock = createManualClock(windowStart + 20)
    const limiter = createRateLimiter({ name: 'api', limit, store: createMemoryStore({ clock }), clock })
    expect(await answers(5, () => limiter.consume('10.0.0.1'))).toEqual([
      'passed',
      'passed',
      'passed',
      'too_many_requests 40',
      'too_many_requests 40',
    ])
    clock.pass(39)
    expect(await answers(1, () => limiter.consume('10.0.0.1'))).toEqual(['too_many_requests 1'])
    clock.pass(1)
    expect(await answers(1, () => limiter.consume('10.0.0.1'))).toEqual(['passed'])
  })

  it('counts callers and limits apart', async () => {
    const clock = createManualClock(windowStart)
    const store = createMemoryStore({ clock })
    const one = createRateLimiter({ name: 'one', limit, store, clock })
    const two = createRateLimiter({ name: 'two', limit, store, clock })
    await answers(3, () => one.consume('alice'))
    expect(await answers(1, () => one.consume('bob'))).toEqual(['passed'])
    expect(await answers(1, () => two.consume('alice'))).toEqual(['passed'])
    expect(await answers(1, () => one.consume('alice'))).toEqual(['too_many_requests 60'])
  })

  it('counts an IPv6 client once, whichever of its addresses it takes', async () => {
    const clock = createManualClock(windowStart)
    const limiter = createRateLimiter({ name: 'api', limit, store: createMemoryStore({ clock }), clock })
    const outcomes: string[] = []
    for (const address of ['2001:db8:0:7::1', '2001:db8:0:7::2', '2001:db8:0:7:a:b:c:d', '2001:db8:0:7:ffff::']) {
      outcomes.push(...(await answers(1, () => limiter.consume(address))))
    }
    expect(outcomes).toEqual(['passed', 'passed', 'passed', 'too_many_requests 60'])
    expect(await answers(1, () => limiter.consume('2001:db8:0:8::1'))).toEqual(['passed'])
  })

  it('counts together over replicas that share a store', async () => {
    const clock = createManualClock(windowStart)
    const store = createMemoryStore({ clock })
    const replicas = [1, 2].map(() => createRateLimiter({ name: 'api', limit, store, clock }))
    const all = await Promise.all(replicas.map((replica) => answers(2, () => replica.consume('alice'))))
    expect(all.flat().filter((answer) => answer === 'passed')).toHaveLength(3)
  })

  it('goes on counting alone while the shared store is away', async () => {
    const clock = createManualClock(windowStart)
    const store = { count: () => Promise.reject(new StoreUnavailable('away')) }
    const limiter = createRateLimiter({ name: 'api', limit, store, clock })
    const told = await answers(5, () => limiter.consume('alice'))
    expect(told.map((answer) => answer.split(' ')[0])).toEqual([
      'passed',
      'passed',
      'passed',
      'too_many_requests',
      'too_many_requests',
    ])
    // By the clock of the machine, on which the window has just begun.
    for (const answer of told.slice(3)) {
      const seconds = Number(answer.split(' ')[1])
      expect(seconds).toBeGreaterThan(limit.windowSeconds / 2)
      expect(seconds).toBeLessThanOrEqual(limit.windowSeconds)
    }
  })

  it('counts nothing alone for a failure that nobody expected: the call fails', async () => {
    const failure = new TypeError('x is not a function')
    const store = { count: () => Promise.reject(failure) }
    const limiter = createRateLimiter({ name: 'api', limit, store, clock: createManualClock(windowStart) })
    await expect(limiter.consume('alice')).rejects.toBe(failure)
  })

  it('never shows a session id or an address to the store', async () => {
    const keys: string[] = []
    const store = {
      count(key: string) {
        keys.push(key)
        return Promise.resolve(1)
      },
    }
    const limiter = createRateLimiter({ name: 'api', limit, store, clock: createManualClock(windowStart) })
    await limiter.consume('192.0.2.77')
    expect(keys).toHaveLength(1)
    expect(keys[0]).not.toContain('192.0.2.77')
  })
})

it('takes from single files what the package exports', () => {
  expect(RateLimiterMemory).toBe(published.RateLimiterMemory)
  expect(RateLimiterRes).toBe(published.RateLimiterRes)
})
