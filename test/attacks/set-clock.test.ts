import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { EndedEntry } from '../../shared/store/store.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { sessionCookies } from '../support/installation.ts'
import { isSignedIn, refresh, statusAndCode } from '../support/page.ts'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { errorCode } from '../support/raw-http.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
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
      { kind: 'subject', subject: access.subject, createdUntil: access.createdAt, ttlSeconds: 28_800 },
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

describe('FI-10 a process whose clock is an hour off', () => {
  let world: ScriptedWorld
  let trueSeconds = 0
  beforeEach(async () => {
    world = await startScriptedWorld({ settings: 'session: { idle_seconds: 14400 }' })
    trueSeconds = world.clock.nowSeconds()
    world.server.now = () => trueSeconds
  })
  afterEach(() => world.close())

  it.each([3600, -3600])(
    'by %d seconds signs nobody in, since all its limits would be wrong, and tells',
    async (off) => {
      // Long enough that it is not the end of the ID token that refuses.
      world.server.script.token = (form) => world.server.tokens(form, {}, { exp: trueSeconds + 7200 })
      world.clock.pass(off)
      const page = world.browser()
      expect(statusAndCode(await world.signIn(page))).toEqual([502, 'id_token_invalid'])
      const skewSeconds = Number(world.told('provider.clock_skew')[0]?.fields['skew_seconds'])
      expect(Math.sign(skewSeconds)).toBe(-Math.sign(off))
      world.clock.pass(-off)
      expect(await isSignedIn(page)).toBe(false)
      expect((await world.signIn(page)).status).toBe(200)
    },
  )

  it.each([3600, -3600])('by %d seconds refreshes a session without moving its end', async (off) => {
    const page = world.browser()
    await world.signIn(page)
    const before = world.open(page)
    world.clock.pass(off)
    expect((await refresh(page)).status).toBe(200)
    world.clock.pass(-off)
    const { generation, absoluteExpiresAt, createdAt } = world.open(page)
    expect([generation, absoluteExpiresAt, createdAt]).toEqual([2, before.absoluteExpiresAt, before.createdAt])
    expect(await isSignedIn(page)).toBe(true)
  })
})
