import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SessionKey, Store } from '../../shared/store/store.ts'

/** What the contract needs to know about one implementation. */
export interface StoreUnderTest {
  /** Two replicas of one application; a store in memory is one process and answers the same store twice. */
  open(): Promise<readonly [Store, Store]>
  /** Lets `seconds` pass, for everything the store keeps. */
  pass(seconds: number): Promise<void>
}

const session = (change: Partial<SessionKey>): SessionKey => ({
  sessionId: 'AAAAAAAAAAAAAAAAAAAAAA',
  subject: 'alice',
  providerSessionId: 'provider-1',
  createdAt: 1000,
  ...change,
})

const unnamed = (change: Partial<SessionKey>): SessionKey => {
  const { providerSessionId: _none, ...rest } = session(change)
  return rest
}

/** The promises of the port, the same for every implementation. */
export function describeStore(name: string, under: StoreUnderTest): void {
  describe(`${name} keeps the promises of the store`, () => {
    let one: Store
    let two: Store
    beforeEach(async () => {
      const replicas = await under.open()
      one = replicas[0]
      two = replicas[1]
    })
    afterEach(async () => {
      await one.close()
      if (two !== one) await two.close()
    })

    it('gives a lock to one replica at a time', async () => {
      const held = await one.acquire('lock', 5000)
      expect(held).toBeDefined()
      expect(await two.acquire('lock', 5000)).toBeUndefined()
      await held?.release()
      expect(await two.acquire('lock', 5000)).toBeDefined()
    })

    it('gives one of twenty that ask at once the lock', async () => {
      const asked = Array.from({ length: 20 }, (_, index) => (index % 2 ? one : two).acquire('race', 5000))
      expect((await Promise.all(asked)).filter((lock) => lock !== undefined)).toHaveLength(1)
    })

    it('frees a lock whose holder has died, and a late release does not free the lock of the next holder', async () => {
      const late = await one.acquire('slow', 1000)
      await under.pass(2)
      expect(await two.acquire('slow', 60_000)).toBeDefined()
      await late?.release()
      expect(await one.acquire('slow', 1000)).toBeUndefined()
    })

    it('shares values until they expire', async () => {
      await one.put('successor', 'sealed\u0000value', 1)
      expect(await two.get('successor')).toBe('sealed\u0000value')
      await under.pass(2)
      expect(await two.get('successor')).toBeUndefined()
      expect(await one.get('never')).toBeUndefined()
    })

    it('keeps locks, values and counters of one name apart', async () => {
      await one.put('same', 'value', 60)
      expect(await one.acquire('same', 5000)).toBeDefined()
      expect(await one.count('same', 60)).toBe(1)
      expect(await two.get('same')).toBe('value')
    })

    it('counts over all replicas, from the first use for the length of the window', async () => {
      expect(await one.count('requests', 1)).toBe(1)
      expect(await two.count('requests', 1)).toBe(2)
      await under.pass(2)
      expect(await one.count('requests', 1)).toBe(1)
    })

    const ending = [
      {
        by: 'its own id',
        entry: { kind: 'session', sessionId: 'AAAAAAAAAAAAAAAAAAAAAA', ttlSeconds: 60 },
        ended: session({ subject: 'other', providerSessionId: 'other', createdAt: 9000 }),
        kept: session({ sessionId: 'BBBBBBBBBBBBBBBBBBBBBB' }),
      },
      {
        by: 'the id of the authorization server',
        entry: { kind: 'provider-session', providerSessionId: 'provider-1', ttlSeconds: 60 },
        ended: session({ sessionId: 'BBBBBBBBBBBBBBBBBBBBBB', createdAt: 9000 }),
        kept: session({ providerSessionId: 'provider-2' }),
      },
      {
        by: 'its subject',
        entry: { kind: 'subject', subject: 'alice', createdUntil: 2000, ttlSeconds: 60 },
        ended: session({ createdAt: 2000 }),
        kept: session({ createdAt: 2001 }),
      },
      {
        by: 'its subject, where the authorization server gave it no id',
        entry: { kind: 'subject-without-provider-session', subject: 'alice', createdUntil: 2000, ttlSeconds: 60 },
        ended: unnamed({ createdAt: 2000 }),
        kept: session({ createdAt: 2000 }),
      },
      {
        by: 'its subject, where the authorization server gave it no id, unless it is younger',
        entry: { kind: 'subject-without-provider-session', subject: 'alice', createdUntil: 2000, ttlSeconds: 60 },
        ended: unnamed({ createdAt: 2000 }),
        kept: unnamed({ createdAt: 2001 }),
      },
    ] as const

    it.each(ending)('ends a session by $by on every replica', async ({ entry, ended, kept }) => {
      expect(one.hasEnded(ended)).toBe(false)
      await one.end(entry)
      expect(one.hasEnded(ended)).toBe(true)
      await expect.poll(() => two.hasEnded(ended), { interval: 5 }).toBe(true)
      expect([one.hasEnded(kept), two.hasEnded(kept)]).toEqual([false, false])
    })

    it('never shortens what was ended: the later limit and the longer life win', async () => {
      await one.end({ kind: 'subject', subject: 'alice', createdUntil: 2000, ttlSeconds: 60 })
      await one.end({ kind: 'subject', subject: 'alice', createdUntil: 1000, ttlSeconds: 1 })
      await expect.poll(() => two.hasEnded(session({ createdAt: 2000 })), { interval: 5 }).toBe(true)
      await under.pass(2)
      expect(one.hasEnded(session({ createdAt: 2000 }))).toBe(true)
    })

    it('takes names of any shape', async () => {
      const subject = 'auth0|ä\r\n* {x}'
      await one.end({ kind: 'subject', subject, createdUntil: 2000, ttlSeconds: 60 })
      await expect.poll(() => two.hasEnded(session({ subject })), { interval: 5 }).toBe(true)
    })

    it('is available', () => {
      expect(one.available).toBe(true)
    })
  })
}
