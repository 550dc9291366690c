import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { openRaw, rawRequest, sendRaw } from '../support/raw-http.ts'
import { logOutByToken } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

const port = () => Number(new URL(world.publicOrigin).port)
const ours = () => [`Host: localhost:${port()}`, 'token-handler-version: 1', 'Sec-Fetch-Site: same-origin']

describe('a SPA on a listed sibling origin', () => {
  const sibling = 'http://localhost:1'
  const settings = `cors: { origins: ["${sibling}"] }`

  it('may call every endpoint, and gets permission on failures too (F01, FM-5)', async () => {
    world = await startScriptedWorld({ settings })
    const page = world.browser()
    const from = { origin: sibling, 'sec-fetch-site': 'same-site' }
    const preflight = await page.call('OPTIONS', '/oauth-agent/refresh', {
      headers: { ...from, 'access-control-request-method': 'POST', 'token-handler-version': '' },
    })
    expect([preflight.status, preflight.text]).toEqual([204, ''])
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': sibling,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      vary: 'Origin',
      'cache-control': 'no-store',
    })
    for (const [method, path] of [
      ['GET', '/session'],
      ['POST', '/refresh'],
      ['GET', '/nothing'],
      ['PUT', '/session'],
    ] as const) {
      const answer = await page.call(method, `/oauth-agent${path}`, { headers: from })
      expect(answer.headers['access-control-allow-origin']).toBe(sibling)
    }
  })

  it('gets permission for no method where there is no endpoint', async () => {
    world = await startScriptedWorld({ settings })
    const headers = { origin: sibling, 'sec-fetch-site': 'same-site', 'access-control-request-method': 'GET' }
    const answer = await world.browser().call('OPTIONS', '/oauth-agent/nothing', { headers })
    expect([answer.status, answer.json()['error_code']]).toEqual([404, 'route_not_found'])
    expect(answer.headers['access-control-allow-methods']).toBeUndefined()
  })

  it.each([
    'https://evil.example',
    'null',
    'http://localhost',
    'http://localhost:11',
    'http://localhost:1/',
    'HTTP://LOCALHOST:1',
    'https://localhost:1',
    'http://localhost:1.evil.example',
  ])('the origin %s gets nothing', async (origin) => {
    world = await startScriptedWorld({ settings })
    const answer = await world
      .browser()
      .call('GET', '/oauth-agent/session', { headers: { origin, 'sec-fetch-site': 'same-site' } })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([403, undefined])
    expect(answer.headers.vary).toBe('Origin')
  })
})

it('a client that resets its connection in the middle of a body is refused, and no failure of ours', async () => {
  world = await startScriptedWorld()
  const connection = await openRaw(port())
  const head = [...ours(), 'Content-Type: application/json', 'Content-Length: 500', 'Expect: 100-continue']
  connection.write(`POST /oauth-agent/login/end HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n{`)
  await connection.until((text) => text.includes('100 Continue'))
  ;(connection.socket as Socket).resetAndDestroy()
  await expect.poll(() => world.events.map(({ name }) => name)).toContain('request.answered')
  await new Promise((resolve) => setImmediate(resolve))
  expect(world.events.map(({ name }) => name)).not.toContain('internal.failed')
})

describe('the CSRF token, where it is demanded', () => {
  const settings = 'csrf: { token: required }'
  const post = ['/refresh', '/logout', '/login/start']

  it('is given with the session, and every POST of a signed-in browser needs it (F08)', async () => {
    world = await startScriptedWorld({ settings })
    const page = world.browser()
    const other = world.browser()
    const tokenOf = (view: Record<string, unknown>) => String((view['session'] as { csrf_token: string }).csrf_token)
    const token = tokenOf((await world.signIn(page)).json())
    const foreign = tokenOf((await world.signIn(other, {}, 'bob')).json())
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(tokenOf((await page.call('GET', '/oauth-agent/session')).json())).toBe(token)
    for (const path of post) {
      for (const wrong of ['', 'x', foreign, `${token}=`, token.toLowerCase()]) {
        const answer = await page.call('POST', `/oauth-agent${path}`, { headers: { 'x-csrf-token': wrong } })
        expect([path, answer.status, answer.json()['error_code']]).toEqual([path, 403, 'csrf_token_invalid'])
        expect(answer.setCookies).toEqual([])
      }
    }
    const headers = { 'x-csrf-token': token }
    expect((await page.call('POST', '/oauth-agent/refresh', { headers })).status).toBe(200)
    expect((await page.call('POST', '/oauth-agent/logout', { headers })).status).toBe(200)
  })

  it('belongs to one sign-in: a planted one does not survive the next (C16)', async () => {
    world = await startScriptedWorld({ settings })
    const page = world.browser()
    const first = ((await world.signIn(page)).json()['session'] as { csrf_token: string }).csrf_token
    const headers = { 'x-csrf-token': first }
    const start = await page.call('POST', '/oauth-agent/login/start', { headers })
    const query = world.server.authorize(String(start.json()['authorization_url']))
    await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect((await page.call('POST', '/oauth-agent/refresh', { headers })).status).toBe(403)
  })
})

describe('limits', () => {
  it('sign-ins by address, refreshes by session, with the time to wait', async () => {
    world = await startScriptedWorld({
      settings: 'agent: { rate_limits: { login: { requests: 3 }, refresh: { requests: 2 } } }',
    })
    const page = world.browser()
    const other = world.browser()
    await world.signIn(page)
    const start = () => other.call('POST', '/oauth-agent/login/start')
    expect((await start()).status).toBe(200)
    const refused = await start()
    expect([refused.status, refused.json()['error_code']]).toEqual([429, 'too_many_requests'])
    expect(refused.headers['retry-after']).toBe(String(refused.json()['retry_after']))
    // Whoever has signed in is no other address.
    expect((await page.call('POST', '/oauth-agent/login/start')).status).toBe(429)
    const refresh = () => page.call('POST', '/oauth-agent/refresh')
    const statuses = [(await refresh()).status, (await refresh()).status, (await refresh()).status]
    expect(statuses).toEqual([200, 200, 429])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })

  it.each(['query', 'form_post'])('hold at every endpoint that a browser reaches, with %s', async (mode) => {
    const once = '{ requests: 1 }'
    world = await startScriptedWorld({
      settings: `
agent: { rate_limits: { login: ${once}, refresh: ${once}, session: ${once} } }
login: { navigation: { enabled: true, response_mode: ${mode} } }`,
    })
    const page = world.browser()
    const call = async (method: string, path: string) => (await page.call(method, `/oauth-agent${path}`)).status
    const open = async (method: string, path: string) => (await page.navigate(method, `/oauth-agent${path}`)).status
    const within = [await call('POST', '/login/start'), await call('POST', '/refresh'), await call('GET', '/session')]
    expect(within).toEqual([200, 401, 200])
    const beyond = {
      start: await call('POST', '/login/start'),
      end: await call('POST', '/login/end'),
      refresh: await call('POST', '/refresh'),
      session: await call('GET', '/session'),
      userinfo: await call('GET', '/userinfo'),
      logout: await call('POST', '/logout'),
      loginPage: await open('GET', '/login'),
      callback: await open('GET', '/callback?code=c&state=s'),
      postedCallback: mode === 'form_post' ? await open('POST', '/callback') : 429,
      logoutPage: await open('GET', '/logout'),
      logoutForm: await open('POST', '/logout/form'),
    }
    expect(Object.entries(beyond).filter(([, status]) => status !== 429)).toEqual([])
    // One address speaks for all users there.
    expect((await logOutByToken(page, { logout_token: 'x' })).status).toBe(501)
  })
})

describe('the limit of each endpoint', () => {
  const atLogin = 1
  const atRefresh = 2
  const elsewhere = 3
  const settings = (responseMode: string) => `
agent: { rate_limits: { login: { requests: ${atLogin} }, refresh: { requests: ${atRefresh} }, session: { requests: ${elsewhere} } } }
login: { navigation: { enabled: true, response_mode: ${responseMode} } }
operations: { trusted_proxies: [127.0.0.1] }
logout: { backchannel: true }
`
  it.each(['query', 'form_post'])('where responses come by %s', async (responseMode) => {
    world = await startScriptedWorld({ settings: settings(responseMode) })
    const page = world.browser()
    const callbacks = responseMode === 'query' ? ['GET'] : ['GET', 'POST']
    const byPage = (method: string, path: string) => (headers: Record<string, string>) =>
      page.call(method, `/oauth-agent${path}`, { headers })
    const byNavigation = (method: string, path: string) => (headers: Record<string, string>) =>
      page.navigate(method, `/oauth-agent${path}`, { headers, ...(method === 'POST' && { form: {} }) })
    const calls = [
      ['POST /login/start', byPage('POST', '/login/start'), atLogin],
      ['POST /login/end', byPage('POST', '/login/end'), atLogin],
      ['GET /session', byPage('GET', '/session'), elsewhere],
      ['GET /userinfo', byPage('GET', '/userinfo'), elsewhere],
      ['POST /refresh', byPage('POST', '/refresh'), atRefresh],
      ['POST /logout', byPage('POST', '/logout'), elsewhere],
      ['GET /login', byNavigation('GET', '/login'), atLogin],
      ['GET /logout', byNavigation('GET', '/logout'), elsewhere],
      ['POST /logout/form', byNavigation('POST', '/logout/form'), elsewhere],
      ...callbacks.map((method) => [`${method} /callback`, byNavigation(method, '/callback'), atLogin] as const),
    ] as const
    for (const [index, [what, call, allowed]] of calls.entries()) {
      const from = { 'x-forwarded-for': `192.0.2.${index + 1}` }
      for (let n = 0; n < allowed; n++) expect((await call(from)).status, what).not.toBe(429)
      expect((await call(from)).status, what).toBe(429)
      expect(world.told('request.refused').at(-1)?.fields['check'], what).toBe('rate_limit')
    }
  })

  it('what the authorization server calls has none: one address speaks for all users', async () => {
    world = await startScriptedWorld({ settings: settings('query') })
    for (let n = 0; n < 10; n++) {
      const answer = await logOutByToken(world.browser(), {
        logout_token: await world.server.logoutToken({ sub: 'x' }),
      })
      expect(answer.status).toBe(200)
    }
  })
})

describe('bytes on the wire (C25, E02, E08, E09, E12, F14)', () => {
  it('asks for a body only after everything else was found in order', async () => {
    world = await startScriptedWorld()
    const lines = [...ours(), 'Content-Type: application/x-www-form-urlencoded', 'Expect: 100-continue']
    const connection = await openRaw(port())
    connection.write(
      `POST /oauth-agent/login/start HTTP/1.1\r\n${[...lines, 'Content-Length: 12'].join('\r\n')}\r\n\r\n`,
    )
    expect(await connection.until((text) => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 100 Continue\r\n/)
    connection.write('prompt=login')
    expect(await connection.until((text) => text.includes('authorization_url'))).toContain('HTTP/1.1 200 OK')
    connection.close()

    const foreign = [
      ...lines.filter((line) => !line.startsWith('Sec-')),
      'Sec-Fetch-Site: cross-site',
      'Content-Length: 12',
    ]
    const refused = await sendRaw(port(), `POST /oauth-agent/login/start HTTP/1.1\r\n${foreign.join('\r\n')}\r\n\r\n`)
    expect(refused.status).toBe(403)
  })

  it.each(['Bearer %zz', 'Bearer', 'bearer  a', 'Bearer a b', `Bearer ${'x'.repeat(8000)}`, '\t', 'Basic Zm9v'])(
    'an Authorization header of %j changes nothing',
    async (authorization) => {
      world = await startScriptedWorld()
      const page = world.browser()
      await world.signIn(page)
      for (const [method, path, status] of [
        ['GET', '/session', 200],
        ['GET', '/userinfo', 200],
        ['POST', '/refresh', 200],
        ['POST', '/logout', 200],
      ] as const) {
        const answer = await page.call(method, `/oauth-agent${path}`, { headers: { authorization } })
        expect([path, answer.status]).toEqual([path, status])
      }
      const sent = world.server.requests.map(({ headers }) => headers.authorization ?? '')
      expect(sent.filter((value) => value === authorization)).toEqual([])
    },
  )

  it.each<[string, string[], number]>([
    ['two Cookie lines', ['Cookie: a=b', 'Cookie: c=d'], 400],
    ['two versions', ['token-handler-version: 1'], 400],
    ['two content types', ['Content-Type: application/json', 'Content-Type: text/plain'], 400],
    ['one of our cookies twice', ['Cookie: __Host-Http-th-at=a; __Host-Http-th-at=b'], 400],
    ['a look-alike cookie', ['Cookie: __host-http-th-at=a; "__Host-Http-th-at"=b'], 200],
    ['compression of the body', ['Content-Type: application/json', 'Content-Encoding: gzip'], 415],
  ])('%s', async (_what, lines, status) => {
    world = await startScriptedWorld()
    const withBody = lines.some((line) => line.startsWith('Content-'))
    const request = rawRequest(
      withBody ? 'POST' : 'GET',
      `/oauth-agent/${withBody ? 'refresh' : 'session'}`,
      [...ours(), ...lines],
      withBody ? '{}' : undefined,
    )
    const answer = await sendRaw(port(), request)
    expect(answer.status).toBe(status)
    expect(answer.header('content-type')).toBe('application/json')
    expect(answer.header('cache-control')).toBe('no-store')
  })

  it.each([
    'evil.test',
    'localhost',
    'localhost:1',
    'localhost.',
    '',
    'evillocalhost',
    'localhost.evil.test',
    'xn--localhost-',
    'localhost%2etest',
    'localhost@evil.test',
    'localhost/path?',
    '[::',
    'x'.repeat(300),
  ])('the host %j is not served (F14, E08, E09)', async (host) => {
    world = await startScriptedWorld()
    const lines = [`Host: ${host}`, 'token-handler-version: 1', 'Sec-Fetch-Site: same-origin']
    const answer = await sendRaw(port(), rawRequest('GET', '/oauth-agent/session', lines))
    expect([answer.status, answer.header('token-handler-error')]).toEqual([421, 'host_not_allowed'])
  })
})

describe('what is told', () => {
  it('a refused request: its route, code and check, and who it was if that was known', async () => {
    world = await startScriptedWorld({ settings: 'csrf: { token: required }' })
    const page = world.browser()
    await world.signIn(page)
    await page.call('POST', '/oauth-agent/refresh')
    await page.call('GET', '/oauth-agent/session', { headers: { 'sec-fetch-site': 'cross-site' } })
    const [csrf, guard] = world.told('request.refused').map(({ fields }) => fields)
    expect(csrf).toMatchObject({ side: 'agent', route: '/oauth-agent/refresh', error_code: 'csrf_token_invalid' })
    expect(csrf?.['session']).toMatch(/^[A-Za-z0-9_-]{12}$/)
    expect(guard).toMatchObject({ error_code: 'origin_not_allowed', check: 'sec_fetch_site' })
    expect(guard).not.toHaveProperty('session')
  })

  it('a failure that no event of its own tells, with the check that the table of errors sends people to', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    const refusals = () => world.told('request.refused').map(({ fields }) => fields)
    world.server.script.userinfo = () => ({ body: { sub: 'bob' } })
    await page.call('GET', '/oauth-agent/userinfo')
    world.server.script.userinfo = () => ({
      status: 400,
      headers: { 'www-authenticate': 'Bearer error="invalid_request"' },
      body: '',
    })
    await page.call('GET', '/oauth-agent/userinfo')
    await page.call('POST', '/oauth-agent/refresh', { form: { audience: 'other' } })
    world.clock.pass(world.config.session.idleSeconds)
    await page.call('POST', '/oauth-agent/refresh')
    const userinfo = { side: 'agent', route: '/oauth-agent/userinfo', session: expect.any(String) }
    const refresh = { side: 'agent', route: '/oauth-agent/refresh', session: expect.any(String) }
    expect(refusals()).toEqual([
      expect.objectContaining({ ...userinfo, error_code: 'userinfo_invalid', check: 'sub' }),
      expect.objectContaining({
        ...userinfo,
        error_code: 'authorization_server_error',
        provider_error: 'invalid_request',
      }),
      expect.objectContaining({ ...refresh, error_code: 'parameter_not_allowed' }),
      expect.objectContaining({ ...refresh, error_code: 'session_expired', check: 'idle_limit' }),
    ])
  })

  it('where there is no endpoint, nothing of the address that was asked for', async () => {
    world = await startScriptedWorld()
    await world.browser().call('GET', '/oauth-agent/invented')
    for (const name of ['request.refused', 'request.answered'] as const) {
      expect(world.told(name).map(({ fields }) => fields['route'])).toEqual(['none'])
    }
    expect(JSON.stringify(world.events)).not.toContain('invented')
  })

  it('a failure that an event of its own tells, by that alone', async () => {
    world = await startScriptedWorld({ settings: 'login: { navigation: { enabled: true } }' })
    const page = world.browser()
    await page.call('POST', '/oauth-agent/login/start', { form: { audience: 'other' } })
    await page.call('POST', '/oauth-agent/login/end', { form: { code: 'x', state: 'y' } })
    await page.call('POST', '/oauth-agent/backchannel-logout', { form: { logout_token: 'x' } })
    await world.signIn(page)
    world.server.script.token = () => ({ status: 400, body: { error: 'invalid_grant' } })
    const over = await page.call('POST', '/oauth-agent/refresh')
    expect([over.json()['error_code'], page.jar.names('localhost')]).toEqual(['session_expired', []])
    const own = ['login.failed', 'login.failed', 'logout.backchannel', 'session.refresh_failed']
    expect(world.events.map(({ name }) => String(name)).filter((name) => own.includes(name))).toEqual(own)
    expect(world.told('request.refused')).toEqual([])
  })

  it('something unexpected is 500 without a word of it, and an event with its class', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    world.store.get = () => Promise.reject(new RangeError('secret words'))
    const answer = await page.call('POST', '/oauth-agent/refresh')
    expect([answer.status, answer.json()['error_code']]).toEqual([500, 'server_error'])
    expect(answer.text + JSON.stringify(world.events)).not.toContain('secret words')
    expect(world.told('internal.failed')[0]?.fields).toMatchObject({ where: 'agent', error_name: 'RangeError' })
    expect(answer.setCookies).toEqual([])
  })

  it('events name nobody in the clear', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page, {}, 'alice@example.com')
    await page.call('POST', '/oauth-agent/refresh')
    await page.call('POST', '/oauth-agent/logout')
    expect(JSON.stringify(world.events)).not.toContain('alice')
    const sessions = ['login.completed', 'session.refreshed', 'logout.completed', 'session.ended'] as const
    const named = sessions.map((name) => world.told(name)[0]?.fields['session'])
    expect(new Set(named).size).toBe(1)
  })
})
