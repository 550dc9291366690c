import { describe, expect, it } from 'vitest'
import { createEndedList, endedName } from '../../../shared/store/ended.ts'

function listAt(nowSeconds: number, maxEntries = 100) {
  const time = { nowSeconds }
  const clock = { steadyMs: () => time.nowSeconds * 1000 }
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

  it('an entry that is added again is young again', () => {
    const { list } = listAt(1000, 3)
    for (const id of ['a', 'b', 'c', 'a', 'd']) list.add(ended(id))
    expect(['a', 'b', 'c', 'd'].map((sessionId) => list.has({ sessionId, subject: 'bob', createdAt: 1 }))).toEqual([
      true,
      false,
      true,
      true,
    ])
  })

  it('hands on what has not expired, with the rest of its time, so that another list ends the same sessions', () => {
    const { list, time } = listAt(1000)
    list.add({ kind: 'subject', subject: 'alice', createdUntil: 900, ttlSeconds: 60 })
    list.add({ kind: 'provider-session', providerSessionId: 'p1', ttlSeconds: 30 })
    list.add({ kind: 'session', sessionId: 's1', ttlSeconds: 31 })
    time.nowSeconds = 1030
    expect([...list.entries()].map(({ ttlSeconds }) => ttlSeconds)).toEqual([30, 1])
    const other = listAt(1030)
    for (const entry of list.entries()) other.list.add(entry)
    const ends = (sessionId: string, subject: string, createdAt: number) =>
      other.list.has({ sessionId, subject, providerSessionId: 'p1', createdAt })
    expect([ends('x', 'alice', 900), ends('x', 'alice', 901), ends('x', 'bob', 900), ends('s1', 'bob', 2000)]).toEqual([
      true,
      false,
      false,
      true,
    ])
    other.time.nowSeconds = 1031
    expect([ends('x', 'alice', 900), ends('s1', 'bob', 900)]).toEqual([true, false])
    other.time.nowSeconds = 1060
    expect(ends('x', 'alice', 900)).toBe(false)
  })

  it('finds names of the authorization server after sessions of our own have expired', () => {
    const { list, time } = listAt(1000)
    list.add({ kind: 'provider-session', providerSessionId: 'p1', ttlSeconds: 600 })
    for (const id of ['a', 'b']) list.add(ended(id))
    time.nowSeconds = 1060
    for (const sessionId of ['a', 'b']) expect(list.has({ sessionId, subject: 'bob', createdAt: 1 })).toBe(false)
    expect(list.has({ sessionId: 'x', providerSessionId: 'p1', subject: 'bob', createdAt: 1 })).toBe(true)
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
    expect(endedName({ kind: 'subject', subject: 'alice@example.com', createdUntil: 1, ttlSeconds: 1 }).name).toMatch(
      /^u\.[\w-]{43}$/,
    )
    expect(endedName({ kind: 'provider-session', providerSessionId: 'sid 1', ttlSeconds: 1 }).name).toMatch(
      /^p\.[\w-]{43}$/,
    )
  })
})
