import { describe, expect, it } from 'vitest'
import { createEndedList, endedName } from '../../../shared/store/ended.ts'

function listAt(nowSeconds: number, maxEntries = 100) {
  const time = { nowSeconds }
  const clock = { nowMs: () => time.nowSeconds * 1000, nowSeconds: () => time.nowSeconds, after: () => () => {} }
  return { time, list: createEndedList({ clock, maxEntries }) }
}
const ended = (sessionId: string) => ({ kind: 'session', sessionId, ttlSeconds: 60 }) as const

describe('list of ended sessions', () => {
  it('is bounded: the entry that was added first gives way', () => {
    const { list } = listAt(1000, 3)
    for (const id of ['a', 'b', 'c', 'd']) list.add(ended(id))
    expect(['a', 'b', 'c', 'd'].map((sessionId) => list.has({ sessionId, subject: 'alice', createdAt: 1 }))).toEqual([
      false,
      true,
      true,
      true,
    ])
    expect(list.size).toBe(3)
  })

  it('forgets what has expired when something new is added, so that a quiet process does not stay large', () => {
    const { list, time } = listAt(1000)
    for (let index = 0; index < 50; index += 1) list.add(ended(`s${index}`))
    time.nowSeconds = 1060
    list.add(ended('last'))
    expect(list.size).toBe(1)
  })

  it('forgets what has expired also behind what lives for longer', () => {
    const { list, time } = listAt(1000, 200)
    list.add({ ...ended('long'), ttlSeconds: 28_800 })
    for (let index = 0; index < 50; index += 1) list.add(ended(`short${index}`))
    time.nowSeconds = 1060
    for (let index = 0; index < 100; index += 1) list.add(ended(`new${index}`))
    expect(list.size).toBe(101)
    expect(list.has({ sessionId: 'long', subject: 'alice', createdAt: 1 })).toBe(true)
  })

  it('finds names of the authorization server after all of its other entries are gone', () => {
    const { list, time } = listAt(1000)
    list.add({ kind: 'provider-session', providerSessionId: 'p1', ttlSeconds: 10 })
    time.nowSeconds = 1020
    expect(list.has({ sessionId: 'x', providerSessionId: 'p1', subject: 'alice', createdAt: 1 })).toBe(false)
    list.add({ kind: 'provider-session', providerSessionId: 'p2', ttlSeconds: 10 })
    expect(list.has({ sessionId: 'x', providerSessionId: 'p2', subject: 'alice', createdAt: 1 })).toBe(true)
  })

  it('keeps no name of a person or of a session of the authorization server in the clear', () => {
    expect(endedName({ kind: 'subject', subject: 'alice@example.com', notBefore: 1, ttlSeconds: 1 }).name).toMatch(
      /^u\.[\w-]{43}$/,
    )
    expect(endedName({ kind: 'provider-session', providerSessionId: 'sid 1', ttlSeconds: 1 }).name).toMatch(
      /^p\.[\w-]{43}$/,
    )
  })
})
