import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EndedEntry } from '../../shared/store/store.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { sessionCookies } from '../support/installation.ts'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { errorCode } from '../support/raw-http.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

/** A clock that is set a day forward and back, by a time server that is wrong or by somebody who can be one. */

const day = 86_400
const { access } = sessionCookies()

describe('N06 a session that was ended stays ended', () => {
  let api: Upstream
  let world: ProxyWorld
  beforeAll(async () => {
    api = await startUpstream()
    world = await startProxy(`
    - { path: /api/**, upstream: '${api.origin}' }
`)
  })
  afterAll(async () => {
    await world.close()
    await api.close()
  })

  it.each<[string, EndedEntry]>([
    ['by signing out', { kind: 'session', sessionId: access.sessionId, ttlSeconds: 28_800 }],
    [
      'at the authorization server',
      { kind: 'subject', subject: access.subject, notBefore: access.createdAt, ttlSeconds: 28_800 },
    ],
  ])('%s', async (_, entry) => {
    const cookies = world.cookies()
    await world.store.end(entry)
    world.clock.set(day)
    // Whatever is asked and ended meanwhile looks through what is known.
    await world.call('GET', '/api/x', { cookies })
    await world.store.end({ kind: 'session', sessionId: 'another', ttlSeconds: 1 })
    world.clock.set(-day)
    expect(errorCode(await world.call('GET', '/api/x', { cookies }))).toBe('session_expired')
  })
})

describe('N06 what one process keeps for seconds', () => {
  it.each([
    ['is there after the clock was set forward', 0, day],
    ['is gone after them, where the clock was set back', day, -day],
  ])('%s', async (_, before, after) => {
    const clock = createManualClock()
    const store = createMemoryStore({ clock })
    clock.set(before)
    await store.put('successor', 'sealed', 30)
    clock.set(after)
    clock.pass(29)
    expect(await store.get('successor')).toBe('sealed')
    clock.pass(1)
    expect(await store.get('successor')).toBeUndefined()
  })
})
