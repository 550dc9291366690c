import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTokenCache, type ObtainedToken } from '../../../oauth-proxy/credentials/token-cache.ts'
import { createManualClock } from '../../support/manual-clock.ts'

function cacheWith(maxEntries = 100) {
  const clock = createManualClock()
  const cache = createTokenCache({ clock, maxEntries })
  const gives = (token: string, lifeSeconds: number) => (): Promise<ObtainedToken> =>
    Promise.resolve({ token, expiresAt: clock.nowSeconds() + lifeSeconds })
  return { cache, clock, gives }
}

describe('token cache', () => {
  it('keeps a token until 30 s before it expires', async () => {
    const { cache, clock, gives } = cacheWith()
    await cache.obtain('a', gives('token', 300))
    clock.pass(269)
    expect(cache.find('a')).toBe('token')
    clock.pass(1)
    expect(cache.find('a')).toBeUndefined()
  })

  it('keeps a short-lived token for four fifths of its life', async () => {
    const { cache, clock, gives } = cacheWith()
    await cache.obtain('a', gives('token', 10))
    clock.pass(7)
    expect(cache.find('a')).toBe('token')
    clock.pass(1)
    expect(cache.find('a')).toBeUndefined()
  })

  it.each([
    ['a clock that was a day ahead is set back', 86_400, -86_400],
    ['a clock that was right is set back', 0, -86_400],
  ])('keeps no token for longer because %s', async (_, ahead, back) => {
    const { cache, clock, gives } = cacheWith()
    clock.set(ahead)
    await cache.obtain('a', gives('token', 300))
    clock.set(back)
    clock.pass(269)
    expect(cache.find('a')).toBe('token')
    clock.pass(1)
    expect(cache.find('a')).toBeUndefined()
  })

  it('hands out a token that has already expired to those who waited, and keeps it for nobody', async () => {
    const { cache, gives } = cacheWith()
    expect(await cache.obtain('a', gives('token', 0))).toBe('token')
    expect(cache.find('a')).toBeUndefined()
  })

  it('makes one flight for all who ask at the same time', async () => {
    const { cache } = cacheWith()
    let loads = 0
    const landed: ((token: ObtainedToken) => void)[] = []
    const load = () => {
      loads += 1
      return new Promise<ObtainedToken>((resolve) => landed.push(resolve))
    }
    const waiting = Array.from({ length: 50 }, () => cache.obtain('a', load))
    for (const land of landed) land({ token: 'token', expiresAt: 2_000_000_000 })
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['token']))
    expect(loads).toBe(1)
  })

  it('gives a failure to all who waited and asks again for the next', async () => {
    const { cache, gives } = cacheWith()
    const failed = [1, 2].map(() => cache.obtain('a', () => Promise.reject(new Error('refused'))))
    for (const { status } of await Promise.allSettled(failed)) expect(status).toBe('rejected')
    expect(await cache.obtain('a', gives('second', 300))).toBe('second')
  })

  it('L08 holds no more entries than it may, and drops the one that was not asked for longest', async () => {
    const { cache, gives } = cacheWith(3)
    for (const key of ['a', 'b', 'c']) await cache.obtain(key, gives(key, 300))
    cache.find('a')
    await cache.obtain('d', gives('d', 300))
    expect(['a', 'b', 'c', 'd'].map((key) => cache.find(key))).toEqual(['a', undefined, 'c', 'd'])
  })

  it.each([
    ['another token of a key that has one', 300, 'second'],
    ['a token that has already expired', 0, 'c'],
  ])('%s makes nobody give way', async (_, lifeSeconds, kept) => {
    const { cache, gives } = cacheWith(3)
    for (const key of ['a', 'b', 'c']) await cache.obtain(key, gives(key, 300))
    await cache.obtain(lifeSeconds === 0 ? 'd' : 'c', gives('second', lifeSeconds))
    expect(['a', 'b', 'c'].map((key) => cache.find(key))).toEqual(['a', 'b', kept])
  })

  it('forgets a refused token but not its successor', async () => {
    const { cache, clock, gives } = cacheWith()
    await cache.obtain('a', gives('second', 300))
    clock.pass(5)
    cache.evict('a', 'first')
    expect(cache.find('a')).toBe('second')
    cache.evict('a', 'second')
    expect(cache.find('a')).toBeUndefined()
  })

  it('forgets a refused token also where the clock was set back since it came', async () => {
    const { cache, clock, gives } = cacheWith()
    await cache.obtain('a', gives('first', 300))
    clock.pass(-3600)
    cache.evict('a', 'first')
    expect(cache.find('a')).toBeUndefined()
  })

  it('an API that refuses everything costs one token in five seconds', async () => {
    const { cache, clock, gives } = cacheWith()
    let loads = 0
    for (let call = 0; call < 100; call += 1) {
      const load = () => {
        loads += 1
        return gives(`t${loads}`, 300)()
      }
      cache.evict('a', cache.find('a') ?? (await cache.obtain('a', load)))
      clock.pass(0.2)
    }
    expect(loads).toBeLessThanOrEqual(5)
  })

  it('never gives the token of one key for another', async () => {
    const step = fc.record({ key: fc.nat(9), pass: fc.nat(40), evict: fc.boolean(), life: fc.nat(120) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { cache, clock, gives } = cacheWith(4)
        for (const { key, pass, evict, life } of steps) {
          clock.pass(pass)
          const token = cache.find(`k${key}`) ?? (await cache.obtain(`k${key}`, gives(`t${key}`, life)))
          expect(token).toBe(`t${key}`)
          if (evict) cache.evict(`k${key}`, token)
        }
      }),
      { numRuns: 100 },
    )
  })
})
