import { describe, expect, it } from 'vitest'
import { createStreams, type StreamEnd, type Streams } from '../../oauth-proxy/streams.ts'
import type { Route } from '../../shared/config/schema.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { sessionCookies } from '../support/installation.ts'
import { proxyConfig } from '../support/proxy-world.ts'
import { createManualClock } from '../support/manual-clock.ts'

function start() {
  const clock = createManualClock()
  const store = createMemoryStore({ clock })
  const ends: StreamEnd[] = []
  const streams = createStreams({ store, clock })
  return { clock, store, streams, ends, end: (cause: StreamEnd) => void ends.push(cause) }
}

const { access } = sessionCookies()

describe('K06 a stream ends', () => {
  it('at the latest five seconds after its access token', () => {
    const { clock, streams, ends, end } = start()
    streams.watch(access, end)
    clock.pass(299)
    expect(ends).toEqual([])
    clock.pass(5)
    expect(ends).toEqual(['token_expired'])
    clock.pass(600)
    expect(ends).toHaveLength(1)
  })

  it.each([
    ['idle limit', { idleExpiresAt: 1_800_000_020 }],
    ['absolute limit', { absoluteExpiresAt: 1_800_000_020 }],
  ])('at the %s of its session', (_, change) => {
    const { clock, streams, ends, end } = start()
    streams.watch({ ...access, ...change }, end)
    clock.pass(25)
    expect(ends).toEqual(['session_over'])
  })

  it('when its session is ended elsewhere', async () => {
    const { clock, store, streams, ends, end } = start()
    streams.watch(access, end)
    await store.end({ kind: 'subject', subject: access.subject, createdUntil: access.createdAt + 1, ttlSeconds: 600 })
    clock.pass(5)
    expect(ends).toEqual(['session_over'])
  })

  it('also one that begins when all others are over', () => {
    const { clock, streams, ends, end } = start()
    streams.watch(access, end)()
    streams.watch(access, end)
    clock.pass(305)
    expect(ends).toEqual(['token_expired'])
  })

  it('when the process stops, also one that begins later', () => {
    const { clock, streams, ends, end } = start()
    streams.watch(access, end)
    streams.watch(undefined, end)
    streams.stop()
    streams.watch(access, end)
    clock.pass(600)
    expect(ends).toEqual(['stopping', 'stopping', 'stopping'])
  })
})

describe('an answer without a length ends', () => {
  const [route, other] = proxyConfig(`
    - { path: /a, upstream: 'https://a.internal' }
    - { path: /b, upstream: 'https://b.internal' }
`).proxy.routes as [Route, Route]

  it('at the latest five seconds after its session was ended, and not when its access token expires', async () => {
    const { clock, store, streams, ends, end } = start()
    streams.watchAnswer(access, route, end)
    clock.pass(600)
    expect(ends).toEqual([])
    await store.end({ kind: 'session', sessionId: access.sessionId, ttlSeconds: 600 })
    clock.pass(5)
    expect(ends).toEqual(['session_over'])
  })

  it('at the absolute limit of its session', () => {
    const { clock, streams, ends, end } = start()
    streams.watchAnswer({ ...access, absoluteExpiresAt: 1_800_000_020 }, route, end)
    clock.pass(19)
    expect(ends).toEqual([])
    clock.pass(6)
    expect(ends).toEqual(['session_over'])
  })

  it('at the idle limit of the newest cookie that came meanwhile', () => {
    const { clock, streams, ends, end } = start()
    const cookie = (idleExpiresAt: number) => ({ ...access, idleExpiresAt })
    streams.watchAnswer(cookie(1_800_000_020), route, end)
    streams.renew(cookie(1_800_000_100))
    // Of another tab, which has not heard of the refresh yet.
    streams.renew(cookie(1_800_000_020))
    streams.renew({ ...cookie(1_800_000_900), sessionId: 'of somebody else' })
    clock.pass(99)
    expect(ends).toEqual([])
    clock.pass(6)
    expect(ends).toEqual(['session_over'])
  })

  it('at the newest idle limit of its session also when another of its answers is over', () => {
    const { clock, streams, ends, end } = start()
    const cookie = (idleExpiresAt: number) => ({ ...access, idleExpiresAt })
    const forget = streams.watchAnswer(cookie(1_800_000_020), route, end)
    streams.watchAnswer(cookie(1_800_000_020), route, end)
    forget()
    streams.renew(cookie(1_800_000_100))
    clock.pass(99)
    expect(ends).toEqual([])
    clock.pass(6)
    expect(ends).toEqual(['session_over'])
  })

  it('by no cookie of a session of which it was the last answer', () => {
    const { clock, streams, ends, end } = start()
    const cookie = (idleExpiresAt: number) => ({ ...access, idleExpiresAt })
    const forget = [1, 2].map(() => streams.watchAnswer(cookie(1_800_000_020), route, end))
    streams.renew(cookie(1_800_000_100))
    for (const each of forget) each()
    streams.watchAnswer(cookie(1_800_000_020), route, end)
    clock.pass(25)
    expect(ends).toEqual(['session_over'])
  })

  it('when its route is in force no more, also one that begins later', () => {
    const { streams } = start()
    const ends: string[] = []
    const note = (name: string) => (cause: StreamEnd) => void ends.push(`${name} ${cause}`)
    streams.watchAnswer(undefined, route, note('stays'))
    streams.watchAnswer(undefined, other, note('goes'))
    streams.watch(undefined, note('stream'))
    const isInForce = (each: Route) => each === route
    streams.giveWay(isInForce)
    expect(ends).toEqual(['goes stopping'])
    streams.watchAnswer(undefined, other, note('later'))
    expect(ends).toEqual(['goes stopping', 'later stopping'])
    streams.giveWay(isInForce)
    expect(ends).toHaveLength(2)
  })

  it.each([
    ['a session', access],
    ['a visitor', undefined],
  ])('unless it was over before: that of %s is unwatched then', (_, session) => {
    const { clock, streams, ends, end } = start()
    streams.watchAnswer(session, route, end)()
    streams.giveWay(() => false)
    clock.pass(100_000)
    expect(ends).toEqual([])
  })

  it('not at the begin of a stop, and is looked at until it is over', async () => {
    const { clock, store, streams, ends, end } = start()
    streams.watchAnswer(access, route, end)
    streams.stop()
    streams.watchAnswer(access, route, end)
    expect(ends).toEqual([])
    await store.end({ kind: 'session', sessionId: access.sessionId, ttlSeconds: 600 })
    clock.pass(5)
    expect(ends).toEqual(['session_over', 'session_over'])
  })
})

describe('all streams are looked at together', () => {
  it.each<[string, (streams: Streams, forget: readonly (() => void)[], pass: (seconds: number) => void) => void]>([
    [
      'all are over',
      (_, forget) => {
        for (const each of forget) each()
      },
    ],
    ['the process stops', (streams) => streams.stop()],
    ['their access tokens have expired', (_streams, _forget, pass) => pass(300)],
  ])('by one timer, and by none once %s', (_, finish) => {
    const manual = createManualClock()
    const waiting = new Set<object>()
    const clock = {
      nowSeconds: manual.nowSeconds,
      after(delayMs: number, run: () => void) {
        const timer = {}
        waiting.add(timer)
        const cancel = manual.after(delayMs, () => {
          waiting.delete(timer)
          run()
        })
        return () => {
          waiting.delete(timer)
          cancel()
        }
      },
    }
    const streams = createStreams({ store: createMemoryStore({ clock: manual }), clock })
    const forget = [1, 2, 3].map(() => streams.watch(access, () => {}))
    manual.pass(12)
    expect(waiting.size).toBe(1)
    finish(streams, forget, manual.pass)
    expect(waiting.size).toBe(0)
    streams.watch(access, () => {})()
    expect(waiting.size).toBe(0)
  })
})

describe('a stream goes on', () => {
  it('of a visitor, who has nothing that could expire', () => {
    const { clock, streams, ends, end } = start()
    streams.watch(undefined, end)
    clock.pass(100_000)
    expect(ends).toEqual([])
  })

  it('unwatched once it is over', () => {
    const { clock, streams, ends, end } = start()
    const forget = streams.watch(access, end)
    forget()
    clock.pass(600)
    streams.stop()
    expect(ends).toEqual([])
  })

  it('while another one ends', () => {
    const { clock, streams, ends, end } = start()
    const forget = streams.watch(access, end)
    streams.watch({ ...access, accessTokenExpiresAt: 1_800_000_900 }, (cause) => ends.push(cause))
    forget()
    clock.pass(899)
    expect(ends).toEqual([])
    clock.pass(6)
    expect(ends).toEqual(['token_expired'])
  })
})
