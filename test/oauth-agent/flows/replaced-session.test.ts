import { describe, expect, it } from 'vitest'
import {
  endReplaced,
  endWithFollowers,
  endWithPredecessors,
  keepPredecessors,
  wasFollowed,
} from '../../../oauth-agent/flows/replaced-session.ts'
import { createMemoryStore } from '../../../shared/store/memory.ts'
import type { EndedEntry } from '../../../shared/store/store.ts'
import { parse, settingsFile } from '../../shared/config/settings.ts'
import { sessionFacts } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const config = parse(settingsFile())

/** A store that is slow, above all at first, and knows that `new` replaced `old`; `taken` is what it took, in that order. */
async function slowStore() {
  const clock = createManualClock()
  const memory = createMemoryStore({ clock })
  await memory.put('predecessors:new', 'old', 600)
  const taken: string[] = []
  let turns = 9
  const slowly = async (what: string, take: () => Promise<void>) => {
    for (let left = turns--; left > 0; left--) await new Promise(setImmediate)
    await take()
    taken.push(what)
  }
  const store = {
    ...memory,
    put: (key: string, value: string, ttlSeconds: number) =>
      slowly(`${key} for ${ttlSeconds} s`, () => memory.put(key, value, ttlSeconds)),
    end: (entry: EndedEntry) =>
      slowly(`end of ${entry.kind === 'session' ? entry.sessionId : entry.kind}`, () => memory.end(entry)),
  }
  return { parts: { config, store, clock }, taken }
}

const session = { sessionId: 'new', subject: 'alice', absoluteExpiresAt: 1_800_000_600 }

it('a session and what it replaced have ended when that is said', async () => {
  const { parts, taken } = await slowStore()
  await endWithPredecessors(parts, session)
  expect(taken).toEqual(['end of new', 'end of old'])
})

it('what another user took the place of is known as such before it ends, or a refresh of it would clear their cookies', async () => {
  const { parts, taken } = await slowStore()
  await endReplaced(parts, session)
  expect(taken).toEqual(['replaced:new for 60 s', 'end of new', 'replaced:old for 60 s', 'end of old'])
})

describe('a session that begins where others were', () => {
  const begun = sessionFacts({ sessionId: 'begun', absoluteExpiresAt: 1_800_000_600, providerSessionId: 'sid' })
  const earlier = [{ sessionId: 'new' }, { sessionId: 'other' }]
  const all = ['begun', 'new', 'other', 'old'].map((sessionId) => `end of ${sessionId}`)

  it('is linked to each of them, and to what that replaced, when that is said, and to no `sid` that nobody asks for', async () => {
    const { parts, taken } = await slowStore()
    await keepPredecessors(
      { ...parts, config: { ...config, logout: { ...config.logout, backchannel: false } } },
      begun,
      earlier,
    )
    expect(taken).toEqual(['followed:new for 60 s', 'followed:other for 60 s', 'predecessors:begun for 600 s'])
    taken.length = 0
    await endWithPredecessors(parts, begun)
    expect(taken).toEqual(all)
  })

  it.each([
    [-1, true],
    [10, true],
    [11, false],
  ])(
    'has crossed with what began %i s after it, as long as requests without its cookies arrive: %s',
    async (s, crossed) => {
      const { parts } = await slowStore()
      await keepPredecessors(parts, begun, earlier)
      expect(await wasFollowed(parts, { sessionId: 'other' }, parts.clock.nowSeconds() + s)).toBe(crossed)
      expect(await wasFollowed(parts, { sessionId: 'begun' }, parts.clock.nowSeconds() + s)).toBe(false)
    },
  )

  it('ends with any of them, and so does all else that began there, as long as it can last', async () => {
    const { parts, taken } = await slowStore()
    await keepPredecessors(parts, begun, earlier)
    await keepPredecessors(parts, { ...begun, sessionId: 'next' }, [{ sessionId: 'other' }])
    expect(await wasFollowed(parts, { sessionId: 'other' }, parts.clock.nowSeconds())).toBe(true)
    taken.length = 0
    await endWithFollowers(parts, { ...session, sessionId: 'other' })
    expect(taken).toEqual(['other', 'next', 'other', 'begun', 'new', 'other', 'old'].map((id) => `end of ${id}`))
    parts.clock.pass(config.session.absoluteSeconds - 1)
    const facts = { subject: 'alice', createdAt: 0 }
    expect(['next', 'begun'].map((sessionId) => parts.store.hasEnded({ ...facts, sessionId }))).toEqual([true, true])
  })

  it('and that a logout token has ended meanwhile ends them all', async () => {
    const { parts, taken } = await slowStore()
    await parts.store.end({ kind: 'session', sessionId: 'begun', ttlSeconds: 600 })
    taken.length = 0
    await keepPredecessors(
      { ...parts, config: { ...config, logout: { ...config.logout, backchannel: true } } },
      begun,
      earlier,
    )
    expect(taken.filter((each) => each.startsWith('end'))).toEqual(all)
  })
})
