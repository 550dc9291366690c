import { afterEach, describe, expect, it } from 'vitest'
import { isSignedIn, logOutByToken, refresh, statusAndCode, type Page, type PageAnswer } from '../support/page.ts'
import { type Reply, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { worldTimeoutMs } from '../support/world.ts'

let world: ScriptedWorld
afterEach(() => world.close())

async function signedIn(options: Parameters<typeof startScriptedWorld>[0] = {}): Promise<Page> {
  world = await startScriptedWorld(options)
  const page = world.browser()
  expect((await world.signIn(page)).status).toBe(200)
  return page
}

const generation = (answer: PageAnswer) => (answer.json()['session'] as { generation: number }).generation
const refreshCalls = () => world.tap.grants('refresh_token').length

describe('many tabs at once (D01, D02, FI-05, FI-23)', () => {
  it.each([
    ['one process', { replicas: 1 }],
    ['three replicas with a shared store', { replicas: 3 }],
  ])('%s: 20 tabs wake, one token call, everybody stays signed in (D01, D02, FI-23)', async (_where, options) => {
    const page = await signedIn(options)
    const tabs = Array.from({ length: 20 }, () => ({ page: world.browser() }))
    for (const tab of tabs) tab.page = world.tab({ ...page, jar: page.jar.copy() })
    const answers = await Promise.all(tabs.map((tab) => refresh(tab.page)))
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200))
    expect(refreshCalls()).toBe(1)
    const joined = world.told('session.refreshed').map(({ fields }) => fields['joined'])
    expect(joined.toSorted()).toEqual([false, ...Array<boolean>(19).fill(true)])
    // Whatever answer a browser hears last, its cookies work.
    for (const { page: tab } of tabs.slice(0, 5)) expect(generation(await refresh(tab))).toBe(3)
    expect(refreshCalls()).toBe(2)
  })

  it('a tab that comes a little later gets the same new cookies, from its old ones', async () => {
    const page = await signedIn()
    const late = world.tab({ ...page, jar: page.jar.copy() })
    await refresh(page)
    world.clock.pass(20)
    expect(generation(await refresh(late))).toBe(2)
    expect(refreshCalls()).toBe(1)
  })

  it('a tab that comes late gets the newest cookies, so that its answer takes no browser back to spent ones', async () => {
    const page = await signedIn({ replicas: 2 })
    const late = world.tab({ ...page, jar: page.jar.copy() })
    await refresh(page)
    expect(generation(await refresh(page))).toBe(3)
    expect(generation(await refresh(late))).toBe(3)
    expect(refreshCalls()).toBe(2)
    world.clock.pass(60)
    expect(generation(await refresh(late))).toBe(4)
  })

  it('a browser that heard the older of two answers last is not signed out when that one expires', async () => {
    const page = await signedIn({ replicas: 2 })
    await refresh(page)
    const behind = world.tab({ ...page, jar: page.jar.copy() })
    expect(generation(await refresh(page))).toBe(3)
    world.clock.pass(301)
    expect(generation(await refresh(behind))).toBe(4)
    expect(refreshCalls()).toBe(3)
  })

  it('a refresh token spent in its due time is worth nothing half a minute later', async () => {
    const page = await signedIn({ replicas: 2 })
    const stale = world.tab({ ...page, jar: page.jar.copy() })
    world.clock.pass(301)
    await refresh(page)
    world.clock.pass(31)
    const calls = refreshCalls()
    await refresh(stale)
    expect(refreshCalls()).toBe(calls + 1)
  })

  it('without rotation each generation is refreshed anew, although its token is the same', async () => {
    const page = await signedIn()
    world.server.script.token = async () => ({
      body: { access_token: crypto.randomUUID(), token_type: 'bearer', expires_in: 5 },
    })
    expect(generation(await refresh(page))).toBe(2)
    expect(generation(await refresh(page))).toBe(3)
    expect(refreshCalls()).toBe(2)
  })

  it('two sign-ins that were given one refresh token stay two sessions (A20, CK-17)', async () => {
    const one = await signedIn()
    const two = world.browser()
    world.server.script.token = (form) =>
      form.has('code')
        ? world.server.tokens(form, { refresh_token: 'one-for-all' })
        : { body: { access_token: crypto.randomUUID(), token_type: 'bearer', expires_in: 300 } }
    for (const page of [one, two]) await world.signIn(page)
    const session = (page: Page) => world.open(page).sessionId
    const before = [one, two].map(session)
    await Promise.all([refresh(one), refresh(two)])
    for (const page of [one, two]) await refresh(page)
    expect([one, two].map(session)).toEqual(before)
  })
})

describe('what goes wrong at the authorization server (D04, D10, D24, FI-02, FI-03, FI-04)', () => {
  const error = (status: number, name: string): Reply => ({ status, body: { error: name } })
  it.each<[string, Reply, number, string]>([
    ['500', { status: 500, body: 'oops' }, 503, 'authorization_server_unavailable'],
    ['502', { status: 502, body: 'oops' }, 503, 'authorization_server_unavailable'],
    ['503', { status: 503, headers: { 'retry-after': '7' }, body: '' }, 503, 'authorization_server_unavailable'],
    ['429', { status: 429, headers: { 'retry-after': '7' }, body: '' }, 503, 'authorization_server_unavailable'],
    ['temporarily_unavailable', error(400, 'temporarily_unavailable'), 503, 'authorization_server_unavailable'],
    ['invalid_client', error(401, 'invalid_client'), 503, 'client_authentication_failed'],
    [
      '401 with a challenge only',
      { status: 401, headers: { 'www-authenticate': 'Basic realm="as"' }, body: '' },
      503,
      'client_authentication_failed',
    ],
    ['invalid_scope', error(400, 'invalid_scope'), 502, 'authorization_server_error'],
    ['interaction_required', error(400, 'interaction_required'), 401, 'interaction_required'],
    ['consent_required', error(400, 'consent_required'), 401, 'consent_required'],
    ['login_required', error(400, 'login_required'), 401, 'login_required'],
    ['invalid_request', error(400, 'invalid_request'), 502, 'authorization_server_error'],
    ['an error nobody knows', error(400, '<script>'), 502, 'authorization_server_error'],
    ['a reset', 'reset', 502, 'token_response_lost'],
    ['an answer cut in its middle', 'cut', 502, 'token_response_lost'],
    [
      'a redirect',
      { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' },
      502,
      'authorization_server_error',
    ],
  ])('%s keeps every cookie', async (_what, reply, status, expected) => {
    const page = await signedIn()
    world.server.script.token = () => reply
    const answer = await refresh(page)
    expect(statusAndCode(answer)).toEqual([status, expected])
    expect(answer.setCookies).toEqual([])
    if (status === 503) expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(await isSignedIn(page)).toBe(true)
  })

  it('silence ends at the time limit and keeps every cookie (D04, FI-03)', async () => {
    const page = await signedIn()
    world.server.script.token = () => {
      world.clock.pass(worldTimeoutMs / 1000)
      return 'hang'
    }
    const answer = await refresh(page)
    expect(statusAndCode(answer)).toEqual([503, 'authorization_server_unavailable'])
    expect(answer.setCookies).toEqual([])
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await refresh(page)).status).toBe(200)
  })

  it.each([
    ['400', 400],
    ['401', 401],
    ['200', 200],
  ])('invalid_grant with status %s ends the session, and only that (D24)', async (_what, status) => {
    const page = await signedIn()
    world.server.script.token = () => ({ status, body: { error: 'invalid_grant' } })
    const answer = await refresh(page)
    expect(statusAndCode(answer)).toEqual([401, 'session_expired'])
    expect(page.jar.names('localhost')).toEqual([])
    expect(await isSignedIn(page)).toBe(false)
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await world.signIn(page)).status).toBe(200)
  })

  const says = { error: 'invalid_request' }
  it.each<[number, unknown, number, string, string]>([
    [400, says, 401, 'session_expired', 'invalid_request'],
    // What Glewlwyd says of every refresh token that it does not know.
    [400, '', 401, 'session_expired', 'no_error_code'],
    [400, ' ', 502, 'authorization_server_error', 'json'],
    [400, { error: 'no_error_code' }, 502, 'authorization_server_error', 'other'],
    [403, '', 502, 'authorization_server_error', 'json'],
    // What Keycloak says of a request that reached it without TLS.
    [403, says, 502, 'authorization_server_error', 'invalid_request'],
    [500, says, 503, 'authorization_server_unavailable', 'server_error'],
    [500, '', 503, 'authorization_server_unavailable', 'server_error'],
  ])(
    'status %s with %j, where the settings say that invalid_request means an expired refresh token',
    async (theirs, body, ours, code, word) => {
      const page = await signedIn({ settings: 'session: { end_on_invalid_request: true }' })
      world.server.script.token = () => ({ status: theirs, body })
      expect(statusAndCode(await refresh(page))).toEqual([ours, code])
      const ends = code === 'session_expired'
      expect(await isSignedIn(page)).toBe(!ends)
      const [failed] = world.told('session.refresh_failed').slice(-1)
      expect(failed?.fields['ends_session']).toBe(ends)
      expect(failed?.fields['check'] ?? failed?.fields['provider_error']).toBe(word)
    },
  )

  it('an empty body with status 400 keeps the session where the settings say nothing of it', async () => {
    const page = await signedIn()
    world.server.script.token = () => ({ status: 400, body: '' })
    expect(statusAndCode(await refresh(page))).toEqual([502, 'authorization_server_error'])
    expect(await isSignedIn(page)).toBe(true)
  })

  it('the circuit opens after failures in a row, and closes by itself', async () => {
    const page = await signedIn()
    world.server.script.token = () => ({ status: 503, body: '' })
    for (let i = 0; i < 5; i++) await refresh(page)
    const before = refreshCalls()
    expect(world.server.count('token')).toBe(6)
    expect(statusAndCode(await refresh(page))).toEqual([503, 'authorization_server_unavailable'])
    expect([refreshCalls() - before, world.server.count('token')]).toEqual([1, 6])
    world.server.script.token = (form) => world.server.tokens(form)
    world.clock.pass(5)
    expect((await refresh(page)).status).toBe(200)
  })
})

describe('limits of a session', () => {
  const idle = (answer: PageAnswer) => (answer.json()['session'] as { idle_expires_in: number }).idle_expires_in

  it('the idle limit moves with activity, not with a timer', async () => {
    const page = await signedIn({ settings: 'session: { idle_seconds: 200 }' })
    world.clock.pass(100)
    expect(idle(await refresh(page, { activity: 'background' }))).toBeLessThanOrEqual(100)
    expect(idle(await refresh(page))).toBeGreaterThan(198)
    world.clock.pass(201)
    const answer = await refresh(page)
    expect(statusAndCode(answer)).toEqual([401, 'session_expired'])
    expect(page.jar.names('localhost')).toEqual([])
  })

  it('a tab in the background that joins a refresh does not take back what the activity of another gave', async () => {
    const page = await signedIn({ settings: 'session: { idle_seconds: 200 }', replicas: 2 })
    const [joins, late] = [page, page].map(({ ...tab }) => world.tab({ ...tab, jar: page.jar.copy() }))
    world.clock.pass(150)
    if (joins === undefined || late === undefined) throw new Error('no tab')
    const together = await Promise.all([refresh(page), refresh(joins, { activity: 'background' })])
    expect([...together, await refresh(late, { activity: 'background' })].map(idle)).toEqual([200, 200, 200])
  })

  it("nor does one that went first and was joined by the user's own", async () => {
    const page = await signedIn({ settings: 'session: { idle_seconds: 200 }', replicas: 2 })
    const joins = world.tab({ ...page, jar: page.jar.copy() })
    const late = world.tab({ ...page, jar: page.jar.copy() })
    world.clock.pass(150)
    const go = world.server.holdRefresh()
    world.balance = () => 0
    const first = refresh(page, { activity: 'background' })
    await expect.poll(refreshCalls).toBe(1)
    const own = refresh(joins)
    // The user's own has joined when a whole sign-in has come and gone at the same process.
    await world.signIn(world.browser())
    go()
    expect([await first, await own].map(idle)).toEqual([200, 200])
    world.balance = () => 1
    expect(idle(await refresh(late, { activity: 'background' }))).toBe(200)
    expect(refreshCalls()).toBe(1)
  })

  it('the absolute limit holds whatever happens, also with a cookie kept longer (CK-4)', async () => {
    const page = await signedIn({ settings: 'session: { idle_seconds: 500, absolute_seconds: 500 }' })
    const stolen = page.jar.header('localhost', '/', 'same-site') ?? ''
    world.clock.pass(400)
    expect(idle(await refresh(page))).toBeLessThanOrEqual(100)
    world.clock.pass(101)
    const replay = await world.browser().call('GET', '/oauth-agent/session', { headers: { cookie: stolen } })
    expect(replay.json()).toEqual({ is_logged_in: false })
  })

  it.each([{ prompt: 'login' }, { activity: 'always' }, { scope: 'admin' }])('refuses %j', async (form) => {
    const page = await signedIn()
    expect(statusAndCode(await refresh(page, form))).toEqual([400, 'parameter_not_allowed'])
  })
})

describe('parameters that a page may send with a refresh', () => {
  const settings = `
login: { scope: openid profile, resource: ["https://api.example"] }
session: { allowed_refresh_parameters: [scope, ui_theme] }
`
  const sent = () => Object.fromEntries(world.tap.grants('refresh_token').at(-1)?.form ?? [])
  const scopeOf = (page: Page) => world.open(page).scope

  it('go to the authorization server together with ours', async () => {
    const page = await signedIn({ settings })
    expect(statusAndCode(await refresh(page, { ui_theme: 'dark', activity: 'background' }))[0]).toBe(200)
    expect(sent()).toMatchObject({ grant_type: 'refresh_token', ui_theme: 'dark', resource: 'https://api.example' })
    expect(sent()).not.toHaveProperty('activity')
  })

  it('ask for less scope until the next refresh, also where the answer does not repeat it (RFC 6749 §5.1, §6)', async () => {
    const page = await signedIn({ settings })
    world.server.script.token = (form) => world.server.tokens(form, { scope: undefined })
    await refresh(page, { scope: 'openid' })
    expect([sent()['scope'], scopeOf(page)]).toEqual(['openid', 'openid'])
    await refresh(page)
    expect([sent()['scope'], scopeOf(page)]).toEqual([undefined, 'openid profile'])
  })

  it('may be what is invalid, so invalid_request ends no session then, whatever it means otherwise', async () => {
    const page = await signedIn({ settings: settings.replace('session: {', '$& end_on_invalid_request: true,') })
    world.server.script.token = () => ({ status: 400, body: { error: 'invalid_request' } })
    expect(statusAndCode(await refresh(page, { ui_theme: 'dark' }))).toEqual([502, 'authorization_server_error'])
    expect(await isSignedIn(page)).toBe(true)
    expect(statusAndCode(await refresh(page))).toEqual([401, 'session_expired'])
  })

  it.each([
    { scope: 'openid admin' },
    { scope: 'openid  profile' },
    { scope: '' },
    { ui_theme: 'a\nb' },
    { nonce: 'x' },
  ])('are refused as %j before the refresh token is used', async (form) => {
    const page = await signedIn({ settings })
    expect(statusAndCode(await refresh(page, form))).toEqual([400, 'parameter_not_allowed'])
    expect(refreshCalls()).toBe(0)
  })
})

describe('signing out', () => {
  it.each([
    [true, '"cache", "storage"'],
    [false, undefined],
  ])('with clear_site_data: %s sends Clear-Site-Data: %s, by script and by form (LO-4)', async (setting, expected) => {
    // Never "cookies": that would clear those of sibling hosts as well.
    const settings = `logout: { clear_site_data: ${setting} }\nlogin: { navigation: { enabled: true } }`
    world = await startScriptedWorld({ settings })
    const answers = [
      await world.browser().call('POST', '/oauth-agent/logout'),
      await world.browser().navigate('POST', '/oauth-agent/logout/form'),
    ]
    expect(answers.map(({ status, headers }) => [status, headers['clear-site-data']])).toEqual([
      [200, expected],
      [303, expected],
    ])
  })

  it('holds for copies of the cookies as long as they could have been used, whatever the server still takes', async () => {
    const page = await signedIn()
    const copy = world.tab({ ...page, jar: page.jar.copy() })
    await page.call('POST', '/oauth-agent/logout')
    world.clock.pass(1500)
    expect(statusAndCode(await refresh(copy))).toEqual([401, 'session_expired'])
    expect(world.told('session.refreshed')).toEqual([])
    expect(refreshCalls()).toBe(0)
  })

  it('wins over a refresh in flight', async () => {
    const page = await signedIn()
    const tab = world.tab({ ...page, jar: page.jar.copy() })
    const go = world.server.holdRefresh()
    const refreshing = refresh(tab)
    await expect.poll(() => world.server.count('token')).toBe(2)
    await page.call('POST', '/oauth-agent/logout')
    go()
    expect(statusAndCode(await refreshing)).toEqual([401, 'session_expired'])
    expect(world.server.requests.at(-1)?.endpoint).toBe('revocation')
    expect([await isSignedIn(tab), tab.jar.names('localhost')]).toEqual([false, []])
  })

  it.each([1, 2])(
    'wins over a refresh in flight of a session that the same user has replaced since, %i times',
    async (times) => {
      const page = await signedIn({ replicas: 2 })
      const tab = world.tab({ ...page, jar: page.jar.copy() })
      const go = world.server.holdRefresh()
      const refreshing = refresh(tab)
      await expect.poll(refreshCalls).toBe(1)
      for (let time = 0; time < times; time++) await world.signIn(page)
      // That user's streams and requests go on until then.
      expect(await isSignedIn(world.tab({ ...tab, jar: tab.jar.copy() }))).toBe(true)
      await page.call('POST', '/oauth-agent/logout')
      go()
      expect([...statusAndCode(await refreshing), (await refreshing).setCookies]).toEqual([401, 'session_expired', []])
      expect(await isSignedIn(tab)).toBe(false)
    },
  )

  it.each([
    ['the user', 'tokens'],
    ['the user', 'invalid_grant'],
    ['the authorization server', 'tokens'],
    ['the authorization server', 'invalid_grant'],
  ] as const)(
    'by %s, and then in again: a refresh that was in flight and gets %s does not clear the new cookies',
    async (by, outcome) => {
      const page = await signedIn({ settings: 'logout: { backchannel: true }' })
      const go = world.server.holdRefresh(outcome === 'tokens' ? undefined : { status: 400, body: { error: outcome } })
      const refreshing = refresh(page)
      await expect.poll(() => world.server.count('token')).toBe(2)
      const token = await world.server.logoutToken({ sub: world.open(page).subject })
      const ended =
        by === 'the user' ? page.call('POST', '/oauth-agent/logout') : logOutByToken(page, { logout_token: token })
      expect((await ended).status).toBe(200)
      world.clock.pass(1)
      expect((await world.signIn(page)).status).toBe(200)
      go()
      const late = await refreshing
      expect([...statusAndCode(late), late.setCookies]).toEqual([401, 'session_expired', []])
      expect(await isSignedIn(page)).toBe(true)
    },
  )
})
