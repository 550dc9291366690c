import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMemoryStore } from '../../shared/store/memory.ts'
import type { EndedEntry } from '../../shared/store/store.ts'
import { endLogin, isSignedIn, refresh, statusAndCode } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { createShiftedClock } from '../support/shifted-clock.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings })
})
afterAll(() => world.close())
beforeEach(() => world.server.reset())

const settings = `
agent: { rate_limits: { login: { requests: 99999 } } }
login: { scope: openid profile }
`
describe('a second sign-in replaces the first wholly', () => {
  it('also its refresh token, when the second user has none', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, { refresh_token: undefined })
    await world.signIn(page, {}, 'bob')
    expect([...page.jar.names('localhost')].sort()).toEqual(['__Host-Http-th-at', '__Host-Http-th-id'])
    expect(statusAndCode(await page.call('POST', '/oauth-agent/refresh'))).toEqual([401, 'no_refresh_token'])
  })

  it('and is answered when the first has ended, however long the store takes for that', async () => {
    const memory = createMemoryStore({ clock: createShiftedClock() })
    const ended: string[] = []
    const end = async (entry: EndedEntry) => {
      for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate)
      await memory.end(entry)
      ended.push(entry.kind)
    }
    const slow = await startScriptedWorld({ store: { ...memory, end } })
    const page = slow.browser()
    await slow.signIn(page)
    await slow.signIn(page, {}, 'bob')
    expect(ended).toEqual(['session'])
    await slow.close()
  })

  it.each([
    { replicas: 1, by: 'page' },
    { replicas: 2, by: 'page' },
    { replicas: 2, by: 'navigation' },
    // The attempt is older than the session, so at its start there was nothing to remember.
    { replicas: 2, by: 'navigation before' },
  ])(
    'C35 whatever a refresh of the first user finds out too late, the browser stays that of the second: %j',
    async ({ replicas, by }) => {
      const shared = await startScriptedWorld({ replicas, settings: 'login: { navigation: { enabled: true } }' })
      const page = shared.browser()
      const navigate = () => page.navigate('GET', '/oauth-agent/login')
      const before = by === 'navigation before' ? await navigate() : undefined
      await shared.signIn(page)
      const started = by === 'navigation' ? await navigate() : before
      const query =
        started === undefined
          ? await shared.start(page, {}, 'bob')
          : shared.server.authorize(started.headers.location ?? '', 'bob')
      const end = () =>
        by === 'page'
          ? endLogin(page, query)
          : page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere' })
      const first = page.jar.copy()
      const go = shared.server.holdRefresh()
      const refreshing = refresh(page)
      await expect.poll(() => shared.server.count('token')).toBe(2)
      expect((await end()).status).toBe(200)
      go()
      expect(statusAndCode(await refreshing)).toEqual([401, 'session_expired'])
      const now = (await page.call('GET', '/oauth-agent/session')).json()
      expect(now).toMatchObject({ is_logged_in: true, id_token_claims: { sub: 'bob' } })
      expect(shared.server.count('revocation')).toBe(1)
      expect(shared.told('session.ended').map(({ fields }) => fields['cause'])).toContain('replaced')
      // Nor do copies of the first user's cookies.
      const copy = () => shared.tab({ ...page, jar: first.copy() })
      expect(await isSignedIn(copy())).toBe(false)
      // They may be those of a request that set out earlier: to clear them would sign the second user out.
      for (const [method, path] of [
        ['GET', '/session'],
        ['GET', '/userinfo'],
        ['POST', '/refresh'],
      ] as const) {
        expect((await copy().call(method, `/oauth-agent${path}`)).setCookies, path).toEqual([])
      }
      await shared.close()
    },
  )

  it('C35 also one of a session that the first user had replaced before', async () => {
    const page = world.browser()
    await world.signIn(page)
    const before = page.jar.copy()
    const tab = () => world.tab({ ...page, jar: before.copy() })
    const go = world.server.holdRefresh()
    const [calls, refreshing] = [world.server.count('token'), refresh(tab())]
    await expect.poll(() => world.server.count('token')).toBe(calls + 1)
    await world.signIn(page)
    await world.signIn(page, {}, 'bob')
    // What set out with the cookies of that session clears none of the second user's.
    expect((await tab().call('GET', '/oauth-agent/session')).setCookies).toEqual([])
    go()
    expect([...statusAndCode(await refreshing), (await refreshing).setCookies]).toEqual([401, 'session_expired', []])
  })

  it('leaves attempts alone that come back to a page, which brings the session', async () => {
    const page = world.browser()
    await world.start(page)
    const { setCookies } = await world.signIn(page)
    const logins = setCookies.filter((line) => line.includes('-login-'))
    expect(logins).toEqual([expect.stringContaining('Max-Age=0;')])
  })

  it('leaves other sessions of the same user alone', async () => {
    const page = world.browser()
    await world.signIn(page)
    const copy = world.tab({ ...page, jar: page.jar.copy() })
    await world.signIn(page)
    expect(await isSignedIn(copy)).toBe(true)
  })

  it('costs the store the same however often it is done in one browser, and so does the sign-out', async () => {
    const memory = createMemoryStore({ clock: createShiftedClock() })
    let calls = 0
    let longest = 0
    const counted = await startScriptedWorld({
      store: {
        ...memory,
        get: (key) => (calls++, memory.get(key)),
        put(key, value, ttlSeconds) {
          calls++
          if (key.startsWith('predecessors:')) longest = Math.max(longest, value.length)
          return memory.put(key, value, ttlSeconds)
        },
        end: (entry) => (calls++, memory.end(entry)),
      },
    })
    const page = counted.browser()
    const costOf = async (act: () => Promise<unknown>) => {
      const before = calls
      await act()
      return calls - before
    }
    await counted.signIn(page)
    const second = await costOf(() => counted.signIn(page))
    for (let each = 0; each < 20; each += 1) await counted.signIn(page)
    expect(await costOf(() => counted.signIn(page))).toBe(second)
    expect(longest).toBeLessThan(400)
    expect(await costOf(() => page.call('POST', '/oauth-agent/logout'))).toBeLessThan(20)
    await counted.close()
  })

  it('a new session id each time (CK-17)', async () => {
    const page = world.browser()
    await world.signIn(page)
    await world.signIn(page)
    const ids = world
      .told('login.completed')
      .slice(-2)
      .map(({ fields }) => fields['session'])
    expect(new Set(ids).size).toBe(2)
  })
})

describe('step-up', () => {
  it('keeps the session until the stronger one is there', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'urn:example:mfa' })
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'urn:example:pwd' })
    expect(statusAndCode(await endLogin(page, query))).toEqual([403, 'step_up_not_reached'])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)

    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'urn:example:mfa', amr: ['pwd', 'otp'] })
    const done = await world.signIn(page, { acr_values: 'urn:example:mfa' })
    expect(done.json()['session']).toMatchObject({ acr: 'urn:example:mfa', amr: ['pwd', 'otp'] })
  })

  it('of another user is refused', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(statusAndCode(await world.signIn(page, { acr_values: 'high' }, 'bob'))).toEqual([403, 'step_up_not_reached'])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toMatchObject({ id_token_claims: { sub: 'alice' } })
  })

  it('max_age is checked against auth_time (OID-10)', async () => {
    world.server.script.token = (form) => world.server.tokens(form, {}, { auth_time: world.clock.nowSeconds() - 500 })
    expect(statusAndCode(await world.signIn(world.browser(), { max_age: '60' }))).toEqual([403, 'step_up_not_reached'])
    world.server.script.token = (form) => world.server.tokens(form, {}, { auth_time: undefined })
    expect(statusAndCode(await world.signIn(world.browser(), { max_age: '60' }))).toEqual([502, 'id_token_invalid'])
  })
})

describe('large tokens', () => {
  const jwtOf = (length: number) => `${'A'.repeat(20)}.${'A'.repeat(length - 42)}.${'A'.repeat(20)}`

  it('an access token of 6 KB is spread over several cookies', async () => {
    const page = world.browser()
    world.server.script.token = (form) => world.server.tokens(form, { access_token: jwtOf(6000) })
    expect((await world.signIn(page)).status).toBe(200)
    expect(page.jar.names('localhost')).toContain('__Host-Http-th-at.1')
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
    // A smaller token takes the surplus cookies away again.
    world.server.script.token = (form) => world.server.tokens(form)
    await page.call('POST', '/oauth-agent/refresh')
    expect(page.jar.names('localhost')).not.toContain('__Host-Http-th-at.1')
  })

  it("the answer to a page clears none that the browser does not have, which would fill a gateway's buffer", async () => {
    const { setCookies } = await world.signIn(world.browser())
    expect(setCookies.filter((line) => /-th-(?:at|rt|id)\.\d/.test(line))).toEqual([])
    expect(setCookies.length).toBe(4)
  })

  it('one that cannot fit is token_too_large with the sizes, and a present session stays', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, { access_token: jwtOf(12_000) })
    const answer = await world.signIn(page)
    expect(statusAndCode(answer)).toEqual([502, 'token_too_large'])
    const sizes = answer.json()['sizes'] as Record<string, number>
    expect(Object.keys(sizes).sort()).toEqual(['access', 'identity', 'limit', 'refresh', 'total'])
    expect(sizes['access']).toBeGreaterThan(7168)
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })
})

describe('the granted scope (C26)', () => {
  it.each<[string, unknown, string[]]>([
    ['as answered', 'openid orders', ['openid', 'orders']],
    ['as asked for when the answer is silent', undefined, ['openid', 'profile']],
    ['nothing when the answer says nothing is granted', '', []],
  ])('is %s', async (_what, scope, granted) => {
    const page = world.browser()
    world.server.script.token = (form) => world.server.tokens(form, { scope })
    await world.signIn(page)
    const opened = world.open(page)
    expect(opened.scope.split(' ').filter((token) => token !== '')).toEqual(granted)
  })
})

describe('what the SPA learns of the user (OID-19, M06)', () => {
  it('is on the list, whatever the ID token holds, also after a refresh', async () => {
    const page = world.browser()
    const claims = {
      name: 'Alice',
      groups: ['admin'],
      ssn: '1',
      at_hash: undefined,
      c_hash: 'x',
      sid: 's',
      nonce_supported: true,
    }
    world.server.script.token = (form) => world.server.tokens(form, {}, claims)
    const end = await world.signIn(page)
    await page.call('POST', '/oauth-agent/refresh')
    const session = await page.call('GET', '/oauth-agent/session')
    for (const answer of [end, session]) {
      const names = Object.keys(answer.json()['id_token_claims'] as object)
      expect(names.sort()).toEqual(['auth_time', 'name', 'sub'])
    }
  })
})
