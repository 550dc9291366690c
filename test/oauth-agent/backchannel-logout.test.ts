import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EndedEntry, StoreUnavailable } from '../../shared/store/store.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { endLogin, fromServer, isSignedIn, logOutByToken, type Page, statusAndCode } from '../support/page.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'
import { createSigningKey, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { createShiftedClock } from '../support/shifted-clock.ts'

const on = 'logout: { backchannel: true }'
let world: ScriptedWorld
let api: Upstream
beforeAll(async () => {
  api = await startUpstream()
  world = await startScriptedWorld({
    settings: `${on}\nproxy: { routes: [{ path: /api, upstream: "${api.origin}" }] }`,
  })
  api.behave((socket) => socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n'))
})
afterAll(async () => {
  await world.close()
  await api.close()
})

const post = (
  to: ScriptedWorld,
  form: Record<string, string> | URLSearchParams,
  headers: Record<string, string> = {},
) => logOutByToken(to.browser(), form, headers)
const refresh = async (page: Page) => statusAndCode(await page.call('POST', '/oauth-agent/refresh'))

async function signedIn(to: ScriptedWorld, subject: string, sid?: string): Promise<Page> {
  const page = to.browser()
  to.server.script.token = (form) => to.server.tokens(form, {}, sid === undefined ? {} : { sid })
  expect((await to.signIn(page, {}, subject)).status).toBe(200)
  return page
}

describe('a good logout token', () => {
  it('ends the session it names, at the agent and at the proxy, and no other (LO-8)', async () => {
    const [one, two] = [await signedIn(world, 'alice', 's-1'), await signedIn(world, 'alice', 's-2')]
    const calls = async () => [(await one.call('GET', '/api')).status, (await two.call('GET', '/api')).status]
    expect(await calls()).toEqual([204, 204])
    const answer = await post(world, { logout_token: await world.server.logoutToken({ sid: 's-1', sub: 'alice' }) })
    expect([answer.status, answer.headers['cache-control'], answer.setCookies]).toEqual([200, 'no-store', []])
    expect(await calls()).toEqual([401, 204])
    expect(await refresh(one)).toEqual([401, 'session_expired'])
    expect((await one.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
    expect(await refresh(two)).toEqual([200, undefined])
    expect(world.told('logout.backchannel').at(-1)?.fields['accepted']).toBe(true)
  })

  it.each([{ sid: 's-1' }, { sub: 'alice' }])('holds for as long as a session could have lived: %j', async (named) => {
    const settings = `${on}\nsession: { idle_seconds: 28800, absolute_seconds: 28800 }`
    const own = await startScriptedWorld({ settings })
    const page = await signedIn(own, 'alice', 's-1')
    const header = page.jar.header('localhost', '/', 'same-site') ?? ''
    expect((await post(own, { logout_token: await own.server.logoutToken(named) })).status).toBe(200)
    own.clock.pass(28_790)
    const copy = await own.browser().call('POST', '/oauth-agent/refresh', { headers: { cookie: header } })
    expect([statusAndCode(copy), own.server.count('token')]).toEqual([[401, 'session_expired'], 1])
    await own.close()
  })

  it('with sub alone ends all sessions of the user up to now, and none that begins later', async () => {
    const before = [await signedIn(world, 'carol'), await signedIn(world, 'carol', 's-9')]
    const other = await signedIn(world, 'dave')
    await post(world, { logout_token: await world.server.logoutToken({ sub: 'carol' }) })
    for (const page of before) expect(await refresh(page)).toEqual([401, 'session_expired'])
    expect(await refresh(other)).toEqual([200, undefined])
    world.clock.pass(1)
    expect(await refresh(await signedIn(world, 'carol'))).toEqual([200, undefined])
  })

  it('with sid and sub ends also those sessions of the user that began without a sid, up to now', async () => {
    const unnamed = await signedIn(world, 'grace')
    const named = await signedIn(world, 'grace', 's-g2')
    const other = await signedIn(world, 'heidi')
    await post(world, { logout_token: await world.server.logoutToken({ sid: 's-g1', sub: 'grace' }) })
    expect((await unnamed.call('GET', '/api')).status).toBe(401)
    expect(await refresh(unnamed)).toEqual([401, 'session_expired'])
    world.server.script.token = (form) => world.server.tokens(form)
    for (const page of [named, other]) expect(await refresh(page)).toEqual([200, undefined])
    world.clock.pass(1)
    expect(await refresh(await signedIn(world, 'grace'))).toEqual([200, undefined])
  })

  it('may be of half a second; the other replicas are told a whole one', async () => {
    const clock = createShiftedClock()
    const told: EndedEntry[] = []
    const store = createMemoryStore({ clock })
    const end = (entry: EndedEntry) => (told.push(entry), store.end(entry))
    const watched = await startScriptedWorld({ settings: on, store: { ...store, end } })
    const iat = watched.clock.nowSeconds()
    const logoutToken = await watched.server.logoutToken({ sub: 'frank', iat: iat - 0.5 })
    expect((await post(watched, { logout_token: logoutToken })).status).toBe(200)
    expect(told).toMatchObject([{ kind: 'subject', subject: 'frank', createdUntil: iat - 1 }])
    await watched.close()
  })

  it('works only once (LO-7)', async () => {
    const logoutToken = await world.server.logoutToken({ sub: 'erin' })
    expect((await post(world, { logout_token: logoutToken })).status).toBe(200)
    world.clock.pass(100)
    expect(statusAndCode(await post(world, { logout_token: logoutToken }))).toEqual([400, 'invalid_logout_token'])
    expect(world.told('logout.backchannel').at(-1)?.fields).toMatchObject({ accepted: false, check: 'jti' })
  })

  it('works only once for as long as the tolerance of clocks lets it pass', async () => {
    const logoutToken = await world.server.logoutToken({ sub: 'erin', exp: world.server.now() + 10 })
    expect((await post(world, { logout_token: logoutToken })).status).toBe(200)
    world.clock.pass(35)
    expect(statusAndCode(await post(world, { logout_token: logoutToken }))).toEqual([400, 'invalid_logout_token'])
    expect(world.told('logout.backchannel').at(-1)?.fields).toMatchObject({ accepted: false, check: 'jti' })
  })

  it('reaches a refresh that is on its way: the session does not come back', async () => {
    const page = await signedIn(world, 'frank', 's-f')
    const { tokens } = world.server
    world.server.script.token = async (form) => {
      await post(world, { logout_token: await world.server.logoutToken({ sid: 's-f' }) })
      return tokens(form, {}, { sid: 's-f' })
    }
    expect(await refresh(page)).toEqual([401, 'session_expired'])
  })

  it('reaches a sign-in whose tokens are on their way', async () => {
    world.server.script.token = async (form) => {
      const reply = await world.server.tokens(form)
      await post(world, { logout_token: await world.server.logoutToken({ sub: 'ivan' }) })
      world.clock.pass(2)
      return reply
    }
    const page = world.browser()
    const query = await world.start(page, {}, 'ivan')
    world.events.length = 0
    expect(statusAndCode(await endLogin(page, query))).toEqual([409, 'login_restart_required'])
    expect(page.jar.names('localhost')).toEqual([])
    expect([world.told('login.completed'), world.told('login.failed')[0]?.fields['check']]).toEqual([[], 'ended'])
    await expect.poll(() => world.server.requests.at(-1)?.endpoint).toBe('revocation')
  })

  it.each([
    ['a step-up', { max_age: '60' }, [409, 'login_restart_required']],
    ['a silent sign-in', { prompt: 'none' }, [401, 'login_required']],
  ])('is not undone by %s that began before it', async (_what, form, refusal) => {
    const page = await signedIn(world, 'kate', 's-k')
    const query = await world.start(page, form, 'kate')
    world.clock.pass(1)
    await post(world, { logout_token: await world.server.logoutToken({ sub: 'kate' }) })
    world.clock.pass(1)
    expect(statusAndCode(await page.call('POST', '/oauth-agent/login/end', { form: query }))).toEqual(refusal)
    expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  })

  it('of another session of the same user stops no step-up', async () => {
    const page = await signedIn(world, 'lena', 's-l1')
    const query = await world.start(page, { max_age: '60' }, 'lena')
    await post(world, { logout_token: await world.server.logoutToken({ sid: 's-l2', sub: 'lena' }) })
    expect((await page.call('POST', '/oauth-agent/login/end', { form: query })).status).toBe(200)
  })

  it('of a server whose clock is behind ours ends a session of a moment ago, and not the next one', async () => {
    const { now } = world.server
    world.server.now = () => now() - 20
    const before = await signedIn(world, 'judy')
    world.clock.pass(5)
    await post(world, { logout_token: await world.server.logoutToken({ sub: 'judy' }) })
    world.clock.pass(1)
    const after = await signedIn(world, 'judy')
    world.server.now = now
    expect(await refresh(before)).toEqual([401, 'session_expired'])
    expect(await refresh(after)).toEqual([200, undefined])
  })

  it.each([
    ['the first', 'old', 'old', undefined],
    ['the one of the last refresh', 'old', 'new', undefined],
    ['the one of the refresh before', 'old', 'newer', 'new'],
    ['one that came with a refresh only', undefined, 'new', undefined],
  ])(
    'ends a session whose sid changed with a refresh, and all copies of it, by %s',
    async (what, first, sid, between) => {
      const mark = (name: string | undefined) => (name === undefined ? undefined : `${what}-${name}`)
      const refreshWith = (name: string | undefined) => {
        world.server.script.token = (form) =>
          world.server.tokens(form, {}, name === undefined ? {} : { sid: mark(name) })
        return refresh(page)
      }
      const page = await signedIn(world, 'mona', mark(first))
      const copy = world.tab({ ...page, jar: page.jar.copy() })
      if (between !== undefined) expect(await refreshWith(between)).toEqual([200, undefined])
      expect(await refreshWith(sid === 'old' ? 'new' : sid)).toEqual([200, undefined])
      world.clock.pass(40)
      const bystander = await signedIn(world, 'mona', `${what}-other`)
      const calls = async () =>
        Promise.all([page, copy, bystander].map(async (each) => (await each.call('GET', '/api')).status))
      expect(await calls()).toEqual([204, 204, 204])
      await post(world, { logout_token: await world.server.logoutToken({ sid: mark(between ?? sid) }) })
      expect(await calls()).toEqual([401, 401, 204])
      expect(await refresh(page)).toEqual([401, 'session_expired'])
    },
  )

  it('reaches a refresh that is on its way under its new sid', async () => {
    const page = await signedIn(world, 'nora', 's-n1')
    const { tokens } = world.server
    world.server.script.token = async (form) => {
      await post(world, { logout_token: await world.server.logoutToken({ sid: 's-n2' }) })
      return tokens(form, {}, { sid: 's-n2' })
    }
    expect(await refresh(page)).toEqual([401, 'session_expired'])
    expect((await page.call('GET', '/api')).status).toBe(401)
  })

  it('reaches what the session of such a refresh has replaced, too', async () => {
    const page = await signedIn(world, 'nina', 's-i1')
    const replaced = world.tab({ ...page, jar: page.jar.copy() })
    world.server.script.token = (form) => world.server.tokens(form, {}, { sid: 's-i2' })
    expect((await world.signIn(page, {}, 'nina')).status).toBe(200)
    world.server.script.token = async (form) => {
      await post(world, { logout_token: await world.server.logoutToken({ sid: 's-i3' }) })
      return world.server.tokens(form, {}, { sid: 's-i3' })
    }
    expect(await refresh(page)).toEqual([401, 'session_expired'])
    expect((await replaced.call('GET', '/api')).status).toBe(401)
  })

  it('with sid alone ends what the session replaced as well: a refresh of it under way does not come back', async () => {
    const page = await signedIn(world, 'olga', 's-o1')
    const replaced = world.tab({ ...page, jar: page.jar.copy() })
    const calls = world.server.count('token')
    const go = world.server.holdRefresh()
    const late = refresh(replaced)
    await expect.poll(() => world.server.count('token')).toBe(calls + 1)
    world.server.script.token = (form) => world.server.tokens(form, {}, { sid: 's-o2' })
    expect((await world.signIn(page, {}, 'olga')).status).toBe(200)
    await post(world, { logout_token: await world.server.logoutToken({ sid: 's-o2' }) })
    go()
    expect(await late).toEqual([401, 'session_expired'])
    expect((await replaced.call('GET', '/api')).status).toBe(401)
  })

  it('may come with other parameters, which mean nothing', async () => {
    const logoutToken = await world.server.logoutToken({ sub: 'x' })
    expect((await post(world, { logout_token: logoutToken, state: 'x', iss: 'y' })).status).toBe(200)
  })
})

it.each([
  ['ten minutes old', -600, 200],
  ['older than ten minutes', -601, 400],
  ['ahead of us by what clocks may differ', 30, 200],
  ['further ahead', 31, 400],
])('a logout token is judged by its age: %s', async (_age, seconds, status) => {
  const now = world.clock.nowSeconds()
  const logoutToken = await world.server.logoutToken({ sub: 'somebody', iat: now + seconds, exp: now + 100 })
  const answer = await post(world, { logout_token: logoutToken })
  expect(answer.status).toBe(status)
})

it('a logout token stops a step-up for as long as that may take, where sessions live shorter than attempts', async () => {
  const own = await startScriptedWorld({
    settings: `${on}\nsession: { absolute_seconds: 120, idle_seconds: 120 }`,
  })
  const page = await signedIn(own, 'alice')
  const query = await own.start(page, { max_age: '600' })
  expect((await post(own, { logout_token: await own.server.logoutToken({ sub: 'alice' }) })).status).toBe(200)
  own.clock.pass(200)
  expect(statusAndCode(await endLogin(page, query))).toEqual([409, 'login_restart_required'])
  await own.close()
})

it('a logout token is answered with 503 while nobody can say what else its sid names', async () => {
  const store = createMemoryStore({ clock: createShiftedClock() })
  const get = (key: string) => (key.startsWith('sid:') ? Promise.reject(new StoreUnavailable()) : store.get(key))
  const own = await startScriptedWorld({ settings: on, store: { ...store, get } })
  const logoutToken = await own.server.logoutToken({ sid: 's-1' })
  expect(statusAndCode(await post(own, { logout_token: logoutToken }))).toEqual([503, 'overloaded'])
  await own.close()
})

it('a logout token that comes while a session is being replaced ends what it replaced', async () => {
  const clock = createShiftedClock()
  const store = createMemoryStore({ clock })
  let logout = (): Promise<unknown> => Promise.resolve()
  const put = async (key: string, value: string, ttlSeconds: number) => {
    if (key.startsWith('predecessors:')) await logout()
    return store.put(key, value, ttlSeconds)
  }
  const own = await startScriptedWorld({ settings: on, store: { ...store, put } })
  const page = await signedIn(own, 'alice', 's-1')
  const replaced = own.tab({ ...page, jar: page.jar.copy() })
  own.server.script.token = (form) => own.server.tokens(form, {}, { sid: 's-2' })
  logout = async () => post(own, { logout_token: await own.server.logoutToken({ sid: 's-2' }) })
  await own.signIn(page)
  expect(await refresh(replaced)).toEqual([401, 'session_expired'])
  await own.close()
})

describe('a bad logout token (LO-5, D14)', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['without sub and sid', {}, 'sub_or_sid'],
    ['with an empty sub', { sub: '' }, 'sub'],
    ['with a sid that is a number', { sub: 'a', sid: 5 }, 'sid'],
    ['without iat', { sub: 'a', iat: undefined }, 'iat'],
    ['without exp', { sub: 'a', exp: undefined }, 'exp'],
    ['without jti', { sub: 'a', jti: undefined }, 'jti'],
    ['with an empty jti', { sub: 'a', jti: '' }, 'jti'],
    ['with a jti that is a list', { sub: 'a', jti: ['x'] }, 'jti'],
    ['without events', { sub: 'a', events: undefined }, 'events'],
    ['with events as a list', { sub: 'a', events: [] }, 'events'],
    ['with another event', { sub: 'a', events: { 'http://schemas.openid.net/event/other': {} } }, 'events'],
    [
      'with an event that is a flag',
      { sub: 'a', events: { 'http://schemas.openid.net/event/backchannel-logout': true } },
      'events',
    ],
    ['with a nonce', { sub: 'a', nonce: 'n' }, 'nonce'],
    ['of another issuer', { sub: 'a', iss: 'https://evil.example' }, 'iss'],
    ['for another client', { sub: 'a', aud: 'other' }, 'aud'],
    ['for another client, too', { sub: 'a', aud: ['spa', 'other'] }, 'aud'],
    ['that has expired', { sub: 'a', exp: 1 }, 'exp'],
    ['of tomorrow', { sub: 'a', iat: 4e9, exp: 5e9 }, 'iat'],
    ['of an hour ago with a long life', { sub: 'a', iat: 1e9, exp: 5e9 }, 'iat'],
  ])('%s', async (_what, claims, check) => {
    const answer = await post(world, { logout_token: await world.server.logoutToken(claims) })
    expect(statusAndCode(answer)).toEqual([400, 'invalid_logout_token'])
    expect(world.told('logout.backchannel').at(-1)?.fields).toMatchObject({ accepted: false, check })
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['JWT', { typ: 'JWT' }, 'typ'],
    ['at+jwt', { typ: 'at+jwt' }, 'typ'],
    ['none at all', { typ: undefined }, 'typ'],
  ])('of the type %s, unless the settings allow it (LO-6)', async (_type, header, check) => {
    const logoutToken = await world.server.logoutToken({ sub: 'a' }, { header })
    expect(statusAndCode(await post(world, { logout_token: logoutToken }))).toEqual([400, 'invalid_logout_token'])
    expect(world.told('logout.backchannel').at(-1)?.fields['check']).toBe(check)
  })

  it('is an ID token of the same user (its nonce and its missing event give it away)', async () => {
    for (const claims of [{ nonce: 'n' }, {}]) {
      const idToken = await world.server.idToken({ jti: 'x', ...claims }, { header: { typ: 'logout+jwt' } })
      expect(statusAndCode(await post(world, { logout_token: idToken }))).toEqual([400, 'invalid_logout_token'])
    }
  })

  it('is signed by nobody, by another key, or with a secret', async () => {
    const stranger = await createSigningKey('ES256', world.server.keys[0]?.kid)
    const forged = await world.server.logoutToken({ sub: 'a' }, { key: stranger })
    const [, payload] = forged.split('.')
    const unsigned = ['none', 'None', 'HS256'].map((alg) => {
      const header = Buffer.from(JSON.stringify({ alg, typ: 'logout+jwt' })).toString('base64url')
      return `${header}.${payload}.${alg === 'HS256' ? 'c2ln' : ''}`
    })
    for (const token of [forged, ...unsigned, '', 'x', 'a.b', 'a.b.c', `${payload}.${payload}.`]) {
      expect(statusAndCode(await post(world, { logout_token: token })), token).toEqual([400, 'invalid_logout_token'])
    }
  })
})

describe('the endpoint', () => {
  it.each<[string, Record<string, string> | URLSearchParams, [number, string]]>([
    ['without a token', {}, [400, 'invalid_logout_token']],
    ['with two', new URLSearchParams('logout_token=a&logout_token=b'), [400, 'invalid_request']],
  ])('%s', async (_what, form, expected) => {
    expect(statusAndCode(await post(world, form))).toEqual(expected)
  })

  it('takes a form and nothing else', async () => {
    for (const type of ['application/json', 'text/plain', 'application/jwt']) {
      const answer = await post(world, { logout_token: 'x' }, { 'content-type': type })
      expect(statusAndCode(answer)[0], type).toBe(415)
    }
    const get = await world.browser().call('GET', '/oauth-agent/backchannel-logout', { headers: fromServer })
    expect([get.status, get.headers.allow]).toEqual([405, 'POST'])
  })

  it('answers 501 while it is not switched on, whatever comes (LO-8)', async () => {
    const off = await startScriptedWorld()
    const answer = await post(off, { logout_token: await off.server.logoutToken({ sub: 'a' }) })
    expect(statusAndCode(answer)).toEqual([501, 'logout_not_supported'])
    await off.close()
  })

  it('takes untyped tokens where the settings say so, but none of another type', async () => {
    const lax = await startScriptedWorld({
      settings: 'logout: { backchannel: true, require_typed_logout_token: false }',
    })
    for (const [typ, status] of [
      [undefined, 200],
      ['JWT', 200],
      ['logout+jwt', 200],
      ['application/logout+jwt', 200],
      ['at+jwt', 400],
      ['token-introspection+jwt', 400],
    ] as const) {
      const token = await lax.server.logoutToken({ sub: 'a' }, { header: { typ } })
      expect((await post(lax, { logout_token: token })).status, String(typ)).toBe(status)
    }
    await lax.close()
  })

  it('says 503 while the list of ended sessions cannot be reached, and takes the same token later', async () => {
    const memory = createMemoryStore({ clock: createShiftedClock() })
    let away = true
    const unless = <A extends unknown[], R>(call: (...given: A) => Promise<R>) => {
      return (...given: A) => (away ? Promise.reject(new StoreUnavailable('away')) : call(...given))
    }
    // As the store that replicas share: the end of a session holds here also while it is away.
    const store = { ...memory, acquire: unless(memory.acquire), get: unless(memory.get), put: unless(memory.put) }
    const other = await startScriptedWorld({ settings: on, store })
    const [named, unnamed] = [await signedIn(other, 'alice', 'of-alice'), await signedIn(other, 'bob')]
    for (const [page, claims] of [
      [named, { sid: 'of-alice' }],
      [unnamed, { sub: 'bob' }],
    ] as const) {
      away = true
      const logoutToken = await other.server.logoutToken(claims)
      const answer = await post(other, { logout_token: logoutToken })
      expect([...statusAndCode(answer), answer.headers['retry-after']]).toEqual([503, 'overloaded', '5'])
      expect(await isSignedIn(page)).toBe(false)
      away = false
      expect(await isSignedIn(page)).toBe(false)
      expect((await post(other, { logout_token: logoutToken })).status).toBe(200)
    }
    await other.close()
  })

  it('says 503 while the keys of the authorization server cannot be fetched', async () => {
    const other = await startScriptedWorld({ settings: on })
    other.server.script.jwks = () => ({ status: 503, body: '' })
    const answer = await post(other, { logout_token: await other.server.logoutToken({ sub: 'a' }) })
    expect(statusAndCode(answer)).toEqual([503, 'authorization_server_unavailable'])
    await other.close()
  })
})

it('the real oidc-provider signs a user out of the app when they sign out there', async () => {
  const judged: string[] = []
  const real = await startProviderWorld({
    settings: 'logout: { backchannel: true, revoke: false }\ncookies: { id_token_hint: true }',
    provider: { onEvent: (name) => void judged.push(name) },
    backchannel: true,
  })
  const page = real.browser()
  await page.signIn()
  const copy = real.tab({ ...page, jar: page.jar.copy() })
  // Signed out at the provider by hand, not through the agent: the session here is ended by the logout token alone.
  const url = new URL(`${real.provider.issuer}/session/end`)
  url.searchParams.set('client_id', 'spa')
  await page.signOutAt(url.href)
  expect(judged).toContain('backchannel.success')
  expect((await copy.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  await real.close()
})
