import { describe, expect, it } from 'vitest'
import { createStreams, type StreamEnd, type Streams } from '../../oauth-proxy/streams.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { sessionCookies } from '../support/installation.ts'
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
    await store.end({ kind: 'subject', subject: access.subject, notBefore: access.createdAt + 1, ttlSeconds: 600 })
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

describe('all streams are looked at together', () => {
  it.each<[string, (streams: Streams, forget: readonly (() => void)[]) => void]>([
    [
      'all are over',
      (_, forget) => {
        for (const each of forget) each()
      },
    ],
    ['the process stops', (streams) => streams.stop()],
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
    finish(streams, forget)
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
