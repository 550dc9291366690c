import { EventEmitter, once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../shared/clock.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { endLogin, type Page, refresh, statusAndCode } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { worldTimeoutMs } from '../support/world.ts'

let world: ScriptedWorld
afterEach(() => world.close())

/** Two replicas before one store, of which a test decides what happens when somebody asks for a lock. */
async function start() {
  const memory = createMemoryStore({ clock: systemClock })
  const locks = { acquire: (key: string, holdMs: number): ReturnType<Store['acquire']> => memory.acquire(key, holdMs) }
  world = await startScriptedWorld({
    replicas: 2,
    store: { ...memory, acquire: (key, holdMs) => locks.acquire(key, holdMs) },
  })
  /** Lets `before` happen when the next lock of this kind is asked for, ahead of everything that the asking replica does with it. */
  const beforeNextLock = (kind: string, before: () => Promise<unknown>) => {
    const { acquire } = locks
    locks.acquire = async (key, holdMs) => {
      if (!key.startsWith(`${kind}:`)) return acquire(key, holdMs)
      locks.acquire = acquire
      await before()
      return acquire(key, holdMs)
    }
  }
  return { locks, beforeNextLock }
}

const tabOf = (page: Page) => world.tab({ ...page, jar: page.jar.copy() })
const refreshCalls = () => world.tap.grants('refresh_token').length

describe('a replica that gets the lock when another has just finished', () => {
  it('refreshes no second time (D01)', async () => {
    const { beforeNextLock } = await start()
    const page = world.browser()
    await world.signIn(page)
    const other = tabOf(page)
    beforeNextLock('refresh', () => refresh(other))
    expect((await refresh(page)).status).toBe(200)
    expect([refreshCalls(), world.open(page).generation, world.open(other).generation]).toEqual([1, 2, 2])
  })

  it('uses the code of a sign-in no second time', async () => {
    const { beforeNextLock } = await start()
    const page = world.browser()
    const query = await world.start(page)
    const other = tabOf(page)
    beforeNextLock('login', () => endLogin(other, query))
    expect((await endLogin(page, query)).status).toBe(200)
    expect(world.server.count('token')).toBe(1)
    expect(world.open(page).sessionId).toBe(world.open(other).sessionId)
  })
})

it('without locks, whose refresh token is spent looks for what the winner got before it gives up (D02)', async () => {
  const { locks } = await start()
  const page = world.browser()
  await world.signIn(page)
  const late = tabOf(page)
  locks.acquire = () => Promise.reject(new StoreUnavailable('no locks'))
  const happened = new EventEmitter()
  const [lateArrives, winnerEnds] = [once(happened, 'late arrives'), once(happened, 'winner ends')]
  let calls = 0
  world.server.script.token = async (form) => {
    calls += 1
    if (calls === 1) await lateArrives
    else {
      happened.emit('late arrives')
      await winnerEnds
    }
    return world.server.tokens(form)
  }
  const winning = refresh(page).finally(() => happened.emit('winner ends'))
  await expect.poll(() => calls).toBe(1)
  const losing = refresh(late)
  expect(statusAndCode(await winning)[0]).toBe(200)
  expect(statusAndCode(await losing)).toEqual([200, undefined])
  expect([calls, world.open(late).generation]).toEqual([2, 2])
})

describe('a refusal by the authorization server, to whoever has the lock', () => {
  /** Four calls at their slowest, and a wait for the lock; what a turn leaves lives for 30 seconds more. */
  const longestTurnSeconds = (4 * worldTimeoutMs) / 1000 + 3

  /**
   * Two replicas before a store that has been reached for this long; the refresh token was used up by somebody else, and
   * `meanwhile` happens to the store before the server says so.
   */
  async function startAfter(seconds: number, meanwhile: Partial<Pick<Store, 'available' | 'reachedSinceMs'>> = {}) {
    const memory = createMemoryStore({ clock: systemClock })
    const store = { ...memory, reachedSinceMs: systemClock.steadyMs() - seconds * 1000 }
    world = await startScriptedWorld({ replicas: 2, store })
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = () => {
      Object.assign(store, meanwhile)
      return { status: 400, body: { error: 'invalid_grant' } }
    }
    world.balance = () => 0
    return page
  }

  it('ends the session', async () => {
    const answer = await refresh(await startAfter(longestTurnSeconds + 30))
    expect([...statusAndCode(answer), answer.setCookies.length > 0]).toEqual([401, 'session_expired', true])
  })

  it('is in doubt once, where the store was away a moment ago: another replica may have had the lock (D02)', async () => {
    const page = await startAfter(longestTurnSeconds)
    const answer = await refresh(page)
    expect([...statusAndCode(answer), answer.setCookies]).toEqual([503, 'refresh_in_progress', []])
    world.clock.pass(1)
    expect(statusAndCode(await refresh(page))).toEqual([401, 'session_expired'])
  })

  it.each<[string, () => Parameters<typeof startAfter>[1]]>([
    ['was started anew', () => ({ reachedSinceMs: systemClock.steadyMs() })],
    ['went away', () => ({ available: false })],
  ])(
    'is in doubt where the store %s while it had the lock: another replica may have won since',
    async (_what, meanwhile) => {
      const answer = await refresh(await startAfter(longestTurnSeconds + 30, meanwhile()))
      expect([...statusAndCode(answer), answer.setCookies]).toEqual([503, 'refresh_in_progress', []])
    },
  )
})

it('a sign-out wins over a refresh also when the store was being asked whether a step-up followed', async () => {
  const memory = createMemoryStore({ clock: systemClock })
  let sessionId = ''
  const get: Store['get'] = async (key) => {
    const value = await memory.get(key)
    if (key.startsWith('followed:')) await memory.end({ kind: 'session', sessionId, ttlSeconds: 60 })
    return value
  }
  world = await startScriptedWorld({ store: { ...memory, get } })
  const page = world.browser()
  await world.signIn(page)
  ;({ sessionId } = world.open(page))
  const answer = await refresh(page)
  expect([...statusAndCode(answer), answer.setCookies]).toEqual([401, 'session_expired', []])
})

it('a response for which another replica takes too long may come again, with the login cookie it needs', async () => {
  const { locks } = await start()
  const { acquire } = locks
  const page = world.browser()
  const query = await world.start(page)
  locks.acquire = () => {
    world.clock.pass(4)
    return Promise.resolve(undefined)
  }
  const answer = await endLogin(page, query)
  expect([...statusAndCode(answer), answer.setCookies]).toEqual([503, 'overloaded', []])
  locks.acquire = acquire
  expect((await endLogin(page, query)).status).toBe(200)
})

it('who waits for another replica does not wait for the old time, when the clock is set back', async () => {
  const { locks } = await start()
  const page = world.browser()
  await world.signIn(page)
  locks.acquire = () => {
    world.clock.pass(-3600)
    return Promise.resolve(undefined)
  }
  expect(statusAndCode(await refresh(page))).toEqual([503, 'refresh_in_progress'])
})

it('tokens that fit in no cookie are revoked once, however often their response came', async () => {
  await start()
  world.server.script.token = (form) => world.server.tokens(form, { access_token: 'x'.repeat(12_000) })
  const page = world.browser()
  const query = await world.start(page)
  const tabs = Array.from({ length: 4 }, () => tabOf(page))
  // One process, so that all but one join.
  world.balance = () => 0
  const answers = await Promise.all(tabs.map((tab) => endLogin(tab, query)))
  expect(answers.map((answer) => statusAndCode(answer))).toEqual(tabs.map(() => [502, 'token_too_large']))
  expect(world.server.count('token')).toBe(1)
  const revoked = () =>
    world.server.requests.filter(({ endpoint }) => endpoint === 'revocation').map(({ form }) => form.get('token'))
  await expect.poll(() => revoked().length).toBeGreaterThan(0)
  // Whatever else was sent with those answers has arrived when a whole sign-in has come and gone.
  world.server.script.token = (form) => world.server.tokens(form)
  await world.signIn(world.browser())
  expect(new Set(revoked()).size).toBe(revoked().length)
})
