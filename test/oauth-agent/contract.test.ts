import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Page, PageAnswer } from '../support/page.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'

/**
 * The wire contract in plain words, without the types of the source: what SPAs and the public
 * token-handler-js-assistant library read. Changing a line here breaks somebody's app.
 */
let world: ProviderWorld
let page: Page
beforeAll(async () => {
  world = await startProviderWorld({
    settings: 'login: { scope: openid profile, pushed_authorization_requests: never }',
  })
  // Or a second might pass between the sign-in and the answer that tells how many are left.
  world.clock.stand()
})
beforeEach(() => {
  page = world.browser()
})
afterAll(() => world.close())

const keys = (value: unknown): string[] => Object.keys(value as object).sort()

function checkJson(answer: PageAnswer, status: number): Record<string, unknown> {
  expect(answer.status).toBe(status)
  // Compared as a whole by the library: a charset parameter would hide the error code from it.
  expect(answer.headers['content-type']).toBe('application/json')
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.headers['x-content-type-options']).toBe('nosniff')
  expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin')
  expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
  expect(answer.headers.vary).toBe('Origin')
  return answer.json()
}

const sessionKeys = [
  'acr',
  'amr',
  'auth_time',
  'created_at',
  'expires_in',
  'generation',
  'idle_expires_in',
  'refresh_in',
]

describe('wire contract', () => {
  it('GET /session, signed out', async () => {
    const answer = await page.call('GET', '/oauth-agent/session')
    expect(checkJson(answer, 200)).toEqual({ is_logged_in: false })
    expect(answer.setCookies).toEqual([])
  })

  it('POST /login/start, POST /login/end', async () => {
    const start = await page.call('POST', '/oauth-agent/login/start', { form: { return_to: '/orders?page=2' } })
    const { authorization_url: url, ...rest } = checkJson(start, 200)
    expect(rest).toEqual({})
    expect(start.setCookies).toHaveLength(1)
    expect(start.setCookies[0]).toMatch(
      /^__Host-Http-th-login-[A-Za-z0-9_-]{22}=[A-Za-z0-9_-]+; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax$/,
    )
    const parameters = new URL(String(url)).searchParams
    expect(keys(Object.fromEntries(parameters))).toEqual([
      'client_id',
      'code_challenge',
      'code_challenge_method',
      'nonce',
      'redirect_uri',
      'response_type',
      'scope',
      'state',
    ])
    expect(parameters.get('redirect_uri')).toBe(`${world.publicOrigin}/callback`)

    const end = await page.call('POST', '/oauth-agent/login/end', { form: await page.visit(String(url)) })
    const view = checkJson(end, 200)
    expect(keys(view)).toEqual(['access_token_expires_in', 'id_token_claims', 'is_logged_in', 'return_to', 'session'])
    expect(view['is_logged_in']).toBe(true)
    expect(view['return_to']).toBe('/orders?page=2')
    expect(view['access_token_expires_in']).toBe(300)
    expect(keys(view['session'])).toEqual(sessionKeys)
    for (const name of ['at', 'rt', 'id']) {
      const line = end.setCookies.find((each) => each.startsWith(`__Host-Http-th-${name}=`))
      expect(line).toMatch(/; Path=\/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict$/)
    }
    expect(end.setCookies.filter((each) => each.includes('-login-'))).toEqual([
      expect.stringMatching(/^__Host-Http-th-login-[A-Za-z0-9_-]{22}=; Path=\/; Max-Age=0; /),
    ])
  })

  it.each([[{ return_to: '/orders?page=2' }], [{}]])('POST /login/end, cancelled, after %j', async (asked) => {
    const start = await page.call('POST', '/oauth-agent/login/start', { form: asked })
    const { origin, searchParams } = new URL(String(start.json()['authorization_url']))
    const form = { error: 'access_denied', state: String(searchParams.get('state')), iss: origin }
    const { detailed_error: sentence, ...failure } = checkJson(
      await page.call('POST', '/oauth-agent/login/end', { form }),
      403,
    )
    expect(sentence).toBe('The sign-in was refused or cancelled.')
    expect(failure).toEqual({ error_code: 'access_denied', ...asked })
  })

  it('GET /session, signed in', async () => {
    await page.signIn()
    const view = checkJson(await page.call('GET', '/oauth-agent/session'), 200)
    expect(keys(view)).toEqual(['access_token_expires_in', 'id_token_claims', 'is_logged_in', 'session'])
    expect(view['id_token_claims']).toMatchObject({ sub: 'u-1001', name: 'Alice Archer' })
    expect(keys(view['session'])).toEqual(sessionKeys)
  })

  it('HEAD /session has the head of GET and no body', async () => {
    const answer = await page.call('HEAD', '/oauth-agent/session')
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([200, '', 'application/json'])
  })

  it('GET /userinfo', async () => {
    await page.signIn()
    const claims = checkJson(await page.call('GET', '/oauth-agent/userinfo'), 200)
    expect(claims).toMatchObject({ sub: 'u-1001', name: 'Alice Archer' })
  })

  it.each([
    ['without a body', {}],
    ['as a form', { form: { activity: 'background' } }],
    ['as JSON', { body: '{"activity":"user"}', headers: { 'content-type': 'application/json' } }],
  ])('POST /refresh %s', async (_how, options) => {
    await page.signIn()
    const view = checkJson(await page.call('POST', '/oauth-agent/refresh', options), 200)
    expect(keys(view)).toEqual(['access_token_expires_in', 'session'])
    expect(keys(view['session'])).toEqual(sessionKeys)
  })

  it('POST /logout, twice', async () => {
    await page.signIn()
    for (const _time of ['first', 'second']) {
      const answer = await page.call('POST', '/oauth-agent/logout')
      const { logout_url: url, ...rest } = checkJson(answer, 200)
      expect(rest).toEqual({})
      expect(new URL(String(url)).searchParams.get('post_logout_redirect_uri')).toBe(`${world.publicOrigin}/`)
      for (const name of ['at', 'rt', 'id']) {
        expect(answer.setCookies).toContain(
          `__Host-Http-th-${name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict`,
        )
      }
    }
  })
})

describe('failures on the wire (C30, D13, F06)', () => {
  it.each([
    ['POST', '/oauth-agent/refresh', 401, 'session_missing'],
    ['GET', '/oauth-agent/userinfo', 401, 'session_missing'],
    ['POST', '/oauth-agent/login/end', 400, 'invalid_state'],
    ['GET', '/oauth-agent/login/start', 405, 'method_not_allowed'],
    ['GET', '/oauth-agent/logout', 405, 'method_not_allowed'],
    ['POST', '/oauth-agent/session', 405, 'method_not_allowed'],
    ['OPTIONS', '/oauth-agent/session', 405, 'method_not_allowed'],
    ['DELETE', '/oauth-agent/session', 405, 'method_not_allowed'],
    ['TRACE', '/oauth-agent/session', 405, 'method_not_allowed'],
    ['TRACE', '/oauth-agent/logout', 405, 'method_not_allowed'],
    ['GET', '/oauth-agent/nothing', 404, 'route_not_found'],
    ['GET', '/oauth-agent/session/', 404, 'route_not_found'],
    ['GET', '/oauth-agent/Session', 404, 'route_not_found'],
    ['GET', '/oauth-agent/%73ession', 404, 'route_not_found'],
  ])('%s %s answers %i %s', async (method, path, status, code) => {
    const answer = await world.browser().call(method, path)
    const body = checkJson(answer, status)
    expect(keys(body)).toEqual(['detailed_error', 'error_code'])
    expect(body['error_code']).toBe(code)
    expect(answer.headers['token-handler-error']).toBe(code)
    if (status === 405) expect(answer.headers.allow).toBe(path.endsWith('/session') ? 'GET, HEAD' : 'POST')
  })

  it.each([
    ['no header', { 'token-handler-version': '' }, 'header_missing'],
    ['another version', { 'token-handler-version': '2' }, 'header_missing'],
    ['a sibling site', { 'sec-fetch-site': 'same-site', origin: 'http://evil.localhost' }, 'origin_not_allowed'],
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, 'origin_not_allowed'],
    ['no proof of origin', { 'sec-fetch-site': '', origin: '' }, 'origin_not_allowed'],
    ['a null origin', { 'sec-fetch-site': '', origin: 'null' }, 'origin_not_allowed'],
  ])('refuses every POST with %s', async (_what, headers, code) => {
    for (const path of ['/login/start', '/login/end', '/refresh', '/logout']) {
      const answer = await world.browser().call('POST', `/oauth-agent${path}`, { headers })
      expect(checkJson(answer, 403)['error_code']).toBe(code)
      expect(answer.setCookies).toEqual([])
    }
  })

  it.each([
    ['text/plain', 415],
    ['multipart/form-data; boundary=x', 415],
    ['application/jsonp', 415],
    ['application/json; charset=utf-16', 415],
    ['application/json garbage', 415],
    ['application/json\ta', 415],
    ['application/json; charset=utf-8; a=b', 415],
    ['application/json; text/plain', 415],
    ['application/json, text/plain', 415],
    ['', 415],
    ['application/json;charset=UTF-8', 200],
    ['application/x-www-form-urlencoded', 200],
  ])('a body of type %s gets %i (F06)', async (type, status) => {
    const body = type.startsWith('application/json') ? '{"prompt":"login"}' : 'prompt=login'
    const options = { body, headers: { 'content-type': type } }
    expect((await world.browser().call('POST', '/oauth-agent/login/start', options)).status).toBe(status)
  })

  it.each([
    ['{"prompt":"login","prompt":"none"}', 400],
    ['{"prompt":["login"]}', 400],
    ['{"prompt":{"a":1}}', 400],
    ['["prompt"]', 400],
    ['null', 400],
    ['{', 400],
    ['', 400],
    [`{"login_hint":"${'x'.repeat(20_000)}"}`, 413],
  ])('the JSON %s gets %i', async (body, status) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await world.browser().call('POST', '/oauth-agent/login/start', { body: `${body} `, headers })
    checkJson(answer, status)
  })

  it('says which endpoints a sibling origin may call only where one is listed', async () => {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'GET' }
    const answer = await world.browser().call('OPTIONS', '/oauth-agent/session', { headers })
    expect(answer.status).toBe(403)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })
})
