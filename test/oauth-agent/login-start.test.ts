import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { authorizationUrlOf, endLogin, type Page, startLogin, statusAndCode } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings })
})
afterAll(() => world.close())
beforeEach(() => world.server.reset())

const settings = `
agent: { rate_limits: { login: { requests: 99999 } } }
login: { scope: openid profile, optional_scope: orders payments, max_attempts: 3 }
`
const loginCookies = (page: Page) => page.jar.names('localhost').filter((name) => name.includes('-login-'))

describe('starting (C01, C08, C09, C10, E05, E10, E13)', () => {
  it('state, nonce and challenge are long, fresh and unrelated (C01)', async () => {
    const seen = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const { searchParams } = authorizationUrlOf(await startLogin(world.browser()))
      for (const name of ['state', 'nonce', 'code_challenge']) {
        const value = searchParams.get(name) ?? ''
        expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/)
        seen.add(value.slice(0, 12))
      }
    }
    expect(seen.size).toBe(600)
  })

  it('passes listed parameters on, each in its place', async () => {
    const { searchParams } = authorizationUrlOf(
      await startLogin(world.browser(), {
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
    'refuses the parameter %s, and repeats no name but a plain one (C08)',
    async (name) => {
      const answer = await startLogin(world.browser(), { [name]: 'x' })
      expect(statusAndCode(answer)).toEqual([400, 'parameter_not_allowed'])
      expect(answer.json()['parameter']).toBe(name.includes('=') ? undefined : name)
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
    ['acr_values', '"high'],
    ['acr_values', 'high"'],
    ['acr_values', `low ${'x'.repeat(257)}`],
    ['claims', '[]'],
    ['claims', '{'],
    ['claims', '{"id_token":{"acr":{"essential":true,"values":"high"}}}'],
    ['claims', '{"id_token":{"acr":{"essential":true,"values":[5]}}}'],
    ['claims', '{"id_token":{"acr":{"essential":true,"values":[""]}}}'],
    ['claims', '{"id_token":{"acr":{"essential":true,"values":[]}}}'],
    ['scope', 'admin'],
    ['scope', 'openid  orders'],
    ['scope', 'orders offline_access'],
    ['login_hint', 'x'.repeat(1025)],
    ['login_hint', 'a\r\nb'],
    ['login_hint', ''],
  ])('refuses %s with the value %j', async (name, value) => {
    const answer = await startLogin(world.browser(), { [name]: value })
    expect(statusAndCode(answer)).toEqual([400, 'parameter_not_allowed'])
    expect(answer.json()['parameter']).toBe(name)
  })

  it('refuses a parameter that comes twice (C10)', async () => {
    expect(statusAndCode(await startLogin(world.browser(), new URLSearchParams('prompt=login&prompt=none')))).toEqual([
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
      const answer = await startLogin(world.browser(), { return_to: `/#${'x'.repeat(length - 2)}` })
      expect(statusAndCode(answer)).toEqual(wanted)
    },
  )

  it('keeps return_to out of the authorization request (C09)', async () => {
    const page = world.browser()
    const answer = await startLogin(page, { return_to: '/x?a=1&prompt=none&scope=admin' })
    expect(authorizationUrlOf(answer).href).not.toContain('admin')
    const done = await endLogin(page, world.server.authorize(authorizationUrlOf(answer).href))
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
    expect(authorizationUrlOf(answer).searchParams.get('redirect_uri')).toBe(`${world.publicOrigin}/callback`)
  })

  it('keeps the newest attempts only (CK-3)', async () => {
    const page = world.browser()
    for (let i = 0; i < 8; i++) {
      await startLogin(page)
      world.clock.pass(1)
    }
    expect(loginCookies(page)).toHaveLength(3)
  })
})
