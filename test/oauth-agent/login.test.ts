import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Page, PageAnswer } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings })
})
afterAll(() => world.close())
beforeEach(() => {
  world.server.script.token = (form) => world.server.tokens(form)
  world.server.requests.length = 0
})

const settings = `
agent: { rate_limits: { login: { requests: 99999 } } }
login: { scope: openid profile, optional_scope: orders payments, max_attempts: 3 }
`
const start = (page: Page, form: Record<string, string> | URLSearchParams = {}) =>
  page.call('POST', '/oauth-agent/login/start', { form })
const end = (page: Page, form: Record<string, string> | URLSearchParams) =>
  page.call('POST', '/oauth-agent/login/end', { form })
const urlOf = (answer: PageAnswer) => new URL(String(answer.json()['authorization_url']))
const code = (answer: PageAnswer) => [answer.status, answer.json()['error_code']]
const loginCookies = (page: Page) => page.jar.names('localhost').filter((name) => name.includes('-login-'))

describe('starting (C01, C08, C09, C10, E05, E10, E13)', () => {
  it('state, nonce and challenge are long, fresh and unrelated (C01)', async () => {
    const seen = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const { searchParams } = urlOf(await start(world.browser()))
      for (const name of ['state', 'nonce', 'code_challenge']) {
        const value = searchParams.get(name) ?? ''
        expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/)
        seen.add(value.slice(0, 12))
      }
    }
    expect(seen.size).toBe(600)
  })

  it('passes listed parameters on, each in its place', async () => {
    const { searchParams } = urlOf(
      await start(world.browser(), {
        scope: 'orders profile',
        prompt: 'login consent',
        login_hint: 'alice@example.com & co',
        ui_locales: 'de en',
        acr_values: 'urn:example:mfa',
        max_age: '60',
        claims: '{"id_token":{"acr":null}}',
      }),
    )
    expect(Object.fromEntries(searchParams)).toMatchObject({
      scope: 'openid profile orders',
      prompt: 'login consent',
      login_hint: 'alice@example.com & co',
      ui_locales: 'de en',
      acr_values: 'urn:example:mfa',
      max_age: '60',
      claims: '{"id_token":{"acr":null}}',
      response_type: 'code',
      code_challenge_method: 'S256',
      redirect_uri: `${world.publicOrigin}/callback`,
    })
  })

  const ours = [
    'redirect_uri',
    'code_challenge',
    'code_challenge_method',
    'client_id',
    'state',
    'nonce',
    'response_type',
  ]
  const others = [
    'response_mode',
    'request',
    'request_uri',
    'registration',
    'resource',
    'authorization_details',
    '__proto__',
  ]
  it.each([...ours, ...others, 'redirect_uri=http://evil&x', 'constructor'])(
    'refuses the parameter %s (C08)',
    async (name) => {
      const answer = await start(world.browser(), { [name]: 'x' })
      expect(code(answer)).toEqual([400, 'parameter_not_allowed'])
      expect(answer.setCookies).toEqual([])
    },
  )

  it.each<[string, string]>([
    ['prompt', 'none login'],
    ['prompt', 'evil'],
    ['max_age', '-1'],
    ['max_age', '1e3'],
    ['max_age', '99999999999'],
    ['acr_values', ' '],
    ['claims', '[]'],
    ['claims', '{'],
    ['scope', 'admin'],
    ['scope', 'openid  orders'],
    ['scope', 'orders offline_access'],
    ['login_hint', 'x'.repeat(1025)],
    ['login_hint', 'a\r\nb'],
    ['login_hint', ''],
  ])('refuses %s with the value %j', async (name, value) => {
    const answer = await start(world.browser(), { [name]: value })
    expect(code(answer)).toEqual([400, 'parameter_not_allowed'])
    expect(answer.json()['parameter']).toBe(name)
  })

  it('refuses a parameter that comes twice (C10)', async () => {
    expect(code(await start(world.browser(), new URLSearchParams('prompt=login&prompt=none')))).toEqual([
      400,
      'invalid_request',
    ])
  })

  it.each([
    [500, [200, undefined]],
    [1024, [400, 'return_to_not_allowed']],
  ])(
    'a return_to of %i characters is taken or refused by its name, so that a page can do without',
    async (length, wanted) => {
      const answer = await start(world.browser(), { return_to: `/#${'x'.repeat(length - 2)}` })
      expect(code(answer)).toEqual(wanted)
    },
  )

  it('keeps return_to out of the authorization request (C09)', async () => {
    const page = world.browser()
    const answer = await start(page, { return_to: '/x?a=1&prompt=none&scope=admin' })
    expect(urlOf(answer).href).not.toContain('admin')
    const done = await end(page, world.server.authorize(urlOf(answer).href))
    expect(done.json()['return_to']).toBe('/x?a=1&prompt=none&scope=admin')
  })

  it.each([
    { 'x-forwarded-host': 'evil.example' },
    { 'x-forwarded-proto': 'https' },
    { forwarded: 'host=evil.example' },
    { 'x-original-host': 'evil.example' },
    { referer: 'https://evil.example/' },
  ])('the redirect URI is a constant, whatever %j says (BCP-8, E10, E13)', async (headers) => {
    const answer = await world.browser().call('POST', '/oauth-agent/login/start', { headers })
    expect(urlOf(answer).searchParams.get('redirect_uri')).toBe(`${world.publicOrigin}/callback`)
  })

  it('keeps the newest attempts only (CK-3)', async () => {
    const page = world.browser()
    for (let i = 0; i < 8; i++) {
      await start(page)
      world.clock.pass(1)
    }
    expect(loginCookies(page)).toHaveLength(3)
  })
})

describe('finishing (C02, C06, C10, C12, C14, C22, C29, FI-06)', () => {
  it.each([
    ['1 then 2', [0, 1]],
    ['2 then 1', [1, 0]],
  ])('two tabs start and end %s: both succeed (C06)', async (_order, order) => {
    const page = world.browser()
    const queries = [await world.start(page), await world.start(page)]
    for (const index of order) {
      const answer = await end(page, queries[index] ?? {})
      expect([answer.status, answer.json()['is_logged_in']]).toEqual([200, true])
    }
    expect(loginCookies(page)).toEqual([])
  })

  it('a response of another browser is refused without asking the token endpoint (C02, C29, UPD-3)', async () => {
    const attacker = world.browser()
    const query = await world.start(attacker)
    const victim = world.browser()
    await world.start(victim)
    for (const form of [query, { state: '', code: 'x' }, { code: 'x' }, { state: 'x', error: 'login_required' }]) {
      const answer = await end(victim, form)
      expect([...code(answer), answer.setCookies]).toEqual([400, 'invalid_state', []])
    }
    expect(world.server.count('token')).toBe(0)
  })

  it('a finished state is of no use again, for nobody (BCP-4)', async () => {
    const page = world.browser()
    const before = world.tab({ ...page, jar: page.jar })
    const query = await world.start(page)
    await end(before, query)
    await page.call('POST', '/oauth-agent/logout')
    expect(code(await end(page, query))).toEqual([400, 'invalid_state'])
    expect(world.server.count('token')).toBe(1)
  })

  it('a response that comes twice heals itself: the session, no exchange, no cookie (C22)', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const first = await end(page, query)
    const again = await end(page, query)
    expect([again.status, again.json()['is_logged_in'], again.setCookies]).toEqual([200, true, []])
    expect(again.json()['session']).toMatchObject({
      created_at: (first.json()['session'] as { created_at: number }).created_at,
    })
    expect(world.server.count('token')).toBe(1)
  })

  it.each([
    ['one process', { replicas: 1 }],
    ['three replicas with a shared store', { replicas: 3 }],
  ])(
    '%s: a response that comes several times at once is one sign-in, and the code is used once',
    async (_, options) => {
      const several = await startScriptedWorld(options)
      const page = several.browser()
      const query = await several.start(page)
      const tabs = Array.from({ length: 4 }, () => several.tab({ ...page, jar: page.jar.copy() }))
      const answers = await Promise.all(tabs.map((tab) => end(tab, query)))
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      expect(new Set(tabs.map((tab) => several.open(tab).sessionId)).size).toBe(1)
      expect(several.server.count('token')).toBe(1)
      expect(several.told('login.completed')).toHaveLength(1)
      await several.close()
    },
  )

  it('a response with another code does not get the session of the first', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const other = world.tab({ ...page, jar: page.jar.copy() })
    await end(page, query)
    query.set('code', 'another')
    expect(code(await end(other, query))).toEqual([409, 'login_restart_required'])
  })

  it('a response that comes again after a sign-out brings nobody back', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const behind = world.tab({ ...page, jar: page.jar.copy() })
    await end(page, query)
    await page.call('POST', '/oauth-agent/logout')
    expect(code(await end(behind, query))).toEqual([409, 'login_restart_required'])
  })

  it('an answer that was lost is given again for half a minute; then the browser is asked to start again (FI-06)', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const crashed = world.tab({ ...page, jar: page.jar.copy() })
    await end(page, query)
    const soon = world.tab({ ...crashed, jar: crashed.jar.copy() })
    expect((await end(soon, query)).status).toBe(200)
    expect(world.open(soon).sessionId).toBe(world.open(page).sessionId)
    world.clock.pass(31)
    expect(code(await end(crashed, query))).toEqual([409, 'login_restart_required'])
    expect(loginCookies(crashed)).toEqual([])
    expect((await world.signIn(crashed)).status).toBe(200)
  })

  it.each([
    [-1, 200],
    [-25, 200],
    [-35, 409],
  ])('an attempt that began %d s from now, by the clock of another replica: %d', async (seconds, status) => {
    const page = world.browser()
    const query = await world.start(page)
    world.clock.pass(seconds)
    expect((await end(page, query)).status).toBe(status)
    world.clock.pass(-seconds)
  })

  it('an attempt ends after ten minutes, by our clock', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const kept = page.jar.header('localhost', '/', 'same-site') ?? ''
    world.clock.pass(601)
    const answer = await world
      .browser()
      .call('POST', '/oauth-agent/login/end', { form: query, headers: { cookie: kept } })
    expect(code(answer)).toEqual([409, 'login_restart_required'])
    expect(world.server.count('token')).toBe(0)
  })

  it.each<[string, (query: URLSearchParams) => void, string]>([
    ['the iss of another server', (query) => query.set('iss', 'https://evil.example'), 'iss'],
    ['iss with a slash more', (query) => query.set('iss', `${world.server.issuer}/`), 'iss'],
    ['no iss although the metadata promises one', (query) => query.delete('iss'), 'iss'],
    ['code and error', (query) => query.set('error', 'access_denied'), 'code_or_error'],
    ['neither code nor error', (query) => query.delete('code'), 'code_or_error'],
    [
      'an error of another server',
      (query) => {
        query.delete('code')
        query.set('error', 'access_denied')
        query.set('iss', 'https://evil.example')
      },
      'iss',
    ],
  ])('%s is refused without asking the token endpoint (C14, OID-18)', async (_what, change, check) => {
    const page = world.browser()
    const query = await world.start(page)
    change(query)
    const answer = await end(page, query)
    expect([...code(answer), loginCookies(page)]).toEqual([400, 'authorization_response_invalid', []])
    expect(world.server.count('token')).toBe(0)
    expect(world.told('login.failed').at(-1)?.fields['check']).toBe(check)
  })

  it.each(['code', 'state', 'iss'])('refuses %s twice (C10)', async (name) => {
    const page = world.browser()
    const query = await world.start(page)
    query.append(name, 'x')
    expect(code(await end(page, query))).toEqual([400, 'invalid_request'])
    expect(world.server.count('token')).toBe(0)
  })

  it.each<[string, number, string]>([
    ['access_denied', 403, 'access_denied'],
    ['login_required', 401, 'login_required'],
    ['consent_required', 401, 'consent_required'],
    ['interaction_required', 401, 'interaction_required'],
    ['account_selection_required', 401, 'account_selection_required'],
    ['unmet_authentication_requirements', 403, 'step_up_not_reached'],
    ['temporarily_unavailable', 503, 'authorization_server_unavailable'],
    ['server_error', 502, 'authorization_failed'],
    ['<img src=x onerror=1>', 502, 'authorization_failed'],
    ['__proto__', 502, 'authorization_failed'],
  ])('the error %s becomes %i %s, and none of its text is repeated (C12)', async (error, status, expected) => {
    const page = world.browser()
    const { state, iss } = Object.fromEntries(await world.start(page))
    const description = 'Call us\r\nSet-Cookie: a=b <script>'
    const answer = await end(page, { state: state ?? '', iss: iss ?? '', error, error_description: description })
    expect(code(answer)).toEqual([status, expected])
    expect(answer.text).not.toMatch(/Call us|img|script/)
    expect(JSON.stringify(world.events.at(-2))).not.toMatch(/Call us|img/)
  })

  it('other parameters of the page are no business of ours', async () => {
    const page = world.browser()
    const query = await world.start(page)
    query.set('session_state', 'x')
    query.set('utm_source', 'y')
    expect((await end(page, query)).status).toBe(200)
  })

  it('the verifier fits the challenge, the redirect URI is the same, the client is authenticated (BBA-1, BCP-1)', async () => {
    const page = world.browser()
    const url = urlOf(await start(page))
    await end(page, world.server.authorize(url.href))
    const sent = world.server.requests.find(({ endpoint }) => endpoint === 'token')
    const verifier = new TextEncoder().encode(sent?.form.get('code_verifier') ?? '')
    const digest = Buffer.from(await crypto.subtle.digest('SHA-256', verifier)).toString('base64url')
    expect(digest).toBe(url.searchParams.get('code_challenge'))
    expect(sent?.form.get('redirect_uri')).toBe(`${world.publicOrigin}/callback`)
    expect(sent?.headers.authorization).toMatch(/^Basic /)
  })

  it('while the token endpoint is down the attempt stays, and the same response works later', async () => {
    const page = world.browser()
    const query = await world.start(page)
    world.server.script.token = () => ({ status: 503, body: '' })
    const answer = await end(page, query)
    expect([...code(answer), answer.setCookies]).toEqual([503, 'authorization_server_unavailable', []])
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await end(page, query)).status).toBe(200)
  })
})

it.each([
  ['metadata', [200, undefined]],
  ['always', [400, 'authorization_response_invalid']],
] as const)(
  'require_issuer_in_response: %s, at a server that promises no iss (RFC 9207)',
  async (setting, expected) => {
    const other = await startScriptedWorld({ authorizationServer: `  require_issuer_in_response: ${setting}` })
    const { script } = other.server
    const { metadata } = script
    script.metadata = async (form, request) => {
      const reply = await metadata(form, request)
      if (typeof reply === 'string') return reply
      return { body: { ...(reply.body as object), authorization_response_iss_parameter_supported: undefined } }
    }
    const page = other.browser()
    const query = await other.start(page)
    query.delete('iss')
    expect(code(await end(page, query))).toEqual(expected)
    await other.close()
  },
)

describe('a second sign-in replaces the first wholly', () => {
  it('also its refresh token, when the second user has none', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, { refresh_token: undefined })
    await world.signIn(page, {}, 'bob')
    expect([...page.jar.names('localhost')].sort()).toEqual(['__Host-Http-th-at', '__Host-Http-th-id'])
    expect(code(await page.call('POST', '/oauth-agent/refresh'))).toEqual([401, 'no_refresh_token'])
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
    expect(code(await end(page, query))).toEqual([403, 'step_up_not_reached'])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)

    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'urn:example:mfa', amr: ['pwd', 'otp'] })
    const done = await world.signIn(page, { acr_values: 'urn:example:mfa' })
    expect(done.json()['session']).toMatchObject({ acr: 'urn:example:mfa', amr: ['pwd', 'otp'] })
  })

  it('of another user is refused', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(code(await world.signIn(page, { acr_values: 'high' }, 'bob'))).toEqual([403, 'step_up_not_reached'])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toMatchObject({ id_token_claims: { sub: 'alice' } })
  })

  it('max_age is checked against auth_time (OID-10)', async () => {
    world.server.script.token = (form) => world.server.tokens(form, {}, { auth_time: world.clock.nowSeconds() - 500 })
    expect(code(await world.signIn(world.browser(), { max_age: '60' }))).toEqual([403, 'step_up_not_reached'])
    world.server.script.token = (form) => world.server.tokens(form, {}, { auth_time: undefined })
    expect(code(await world.signIn(world.browser(), { max_age: '60' }))).toEqual([502, 'id_token_invalid'])
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

  it('one that cannot fit is token_too_large with the sizes, and a present session stays', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, { access_token: jwtOf(12_000) })
    const answer = await world.signIn(page)
    expect(code(answer)).toEqual([502, 'token_too_large'])
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
