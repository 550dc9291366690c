import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loginAttemptId } from '../../oauth-agent/flows/login-attempt.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../shared/cookies/header.ts'
import { createCookieReader } from '../../shared/cookies/open.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { noCookies } from '../support/installation.ts'
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
`
const loginCookies = (page: Page) => page.jar.names('localhost').filter((name) => name.includes('-login-'))

describe('finishing (C02, C06, C10, C12, C14, C22, C29, FI-06)', () => {
  it.each([
    ['1 then 2', [0, 1]],
    ['2 then 1', [1, 0]],
  ])('two tabs start and end %s: both succeed (C06)', async (_order, order) => {
    const page = world.browser()
    const queries = [await world.start(page), await world.start(page)]
    for (const index of order) {
      const answer = await endLogin(page, queries[index] ?? {})
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
      const answer = await endLogin(victim, form)
      expect([...statusAndCode(answer), answer.setCookies]).toEqual([400, 'invalid_state', []])
    }
    expect(world.server.count('token')).toBe(0)
  })

  it('a finished state is of no use again, for nobody (BCP-4)', async () => {
    const page = world.browser()
    const before = world.tab({ ...page, jar: page.jar })
    const query = await world.start(page)
    await endLogin(before, query)
    await page.call('POST', '/oauth-agent/logout')
    expect(statusAndCode(await endLogin(page, query))).toEqual([400, 'invalid_state'])
    expect(world.server.count('token')).toBe(1)
  })

  it('a response that comes twice heals itself: the session, no exchange, no cookie (C22)', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const first = await endLogin(page, query)
    const again = await endLogin(page, query)
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
      const answers = await Promise.all(tabs.map((tab) => endLogin(tab, query)))
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
    await endLogin(page, query)
    query.set('code', 'another')
    expect(statusAndCode(await endLogin(other, query))).toEqual([409, 'login_restart_required'])
  })

  it('a response that comes again after a sign-out brings nobody back', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const behind = world.tab({ ...page, jar: page.jar.copy() })
    await endLogin(page, query)
    await page.call('POST', '/oauth-agent/logout')
    expect(statusAndCode(await endLogin(behind, query))).toEqual([409, 'login_restart_required'])
  })

  it('an answer that was lost is given again for half a minute; then the browser is asked to start again (FI-06)', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const crashed = world.tab({ ...page, jar: page.jar.copy() })
    await endLogin(page, query)
    const soon = world.tab({ ...crashed, jar: crashed.jar.copy() })
    expect((await endLogin(soon, query)).status).toBe(200)
    expect(world.open(soon).sessionId).toBe(world.open(page).sessionId)
    world.clock.pass(31)
    expect(statusAndCode(await endLogin(crashed, query))).toEqual([409, 'login_restart_required'])
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
    expect((await endLogin(page, query)).status).toBe(status)
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
    expect(statusAndCode(answer)).toEqual([409, 'login_restart_required'])
    expect(world.server.count('token')).toBe(0)
  })

  it('an attempt that was begun at another server is not finished at this one (BCP-5)', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const { keys, config, clock } = world
    const parts = { keys, catalogue: createCatalogue(config), binding: bindingOf(config), clock }
    const id = loginAttemptId(query.get('state') ?? '')
    const cookies = parseCookieHeader(page.jar.header('localhost', '/', 'same-site'), parts.catalogue)
    const attempt = createCookieReader({ ...parts, observe: { emit: () => {} } }).login(cookies, id)
    if (attempt.kind !== 'opened') throw new Error(`the login cookie is ${attempt.kind}`)
    const writer = createCookieWriter({ ...parts, settings: config, random: systemRandomBytes })
    const finish = async (issuer: string) => {
      const [line = ''] = writer.setLogin(id, { ...attempt.content, issuer }, noCookies)
      const headers = { cookie: line.split(';', 1)[0] ?? '' }
      return statusAndCode(await world.browser().call('POST', '/oauth-agent/login/end', { form: query, headers }))
    }
    expect(await finish('https://other.example')).toEqual([409, 'login_restart_required'])
    expect(world.server.count('token')).toBe(0)
    expect(await finish(config.authorizationServer.issuer)).toEqual([200, undefined])
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
    const answer = await endLogin(page, query)
    expect([...statusAndCode(answer), loginCookies(page)]).toEqual([400, 'authorization_response_invalid', []])
    expect(world.server.count('token')).toBe(0)
    expect(world.told('login.failed').at(-1)?.fields['check']).toBe(check)
  })

  it.each(['code', 'state', 'iss'])('refuses %s twice (C10)', async (name) => {
    const page = world.browser()
    const query = await world.start(page)
    query.append(name, 'x')
    expect(statusAndCode(await endLogin(page, query))).toEqual([400, 'invalid_request'])
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
    const answer = await endLogin(page, { state: state ?? '', iss: iss ?? '', error, error_description: description })
    expect(statusAndCode(answer)).toEqual([status, expected])
    expect(answer.text).not.toMatch(/Call us|img|script/)
    expect(JSON.stringify(world.events.at(-2))).not.toMatch(/Call us|img/)
  })

  it('other parameters of the page are no business of ours', async () => {
    const page = world.browser()
    const query = await world.start(page)
    query.set('session_state', 'x')
    query.set('utm_source', 'y')
    expect((await endLogin(page, query)).status).toBe(200)
  })

  it('the verifier fits the challenge, the redirect URI is the same, the client is authenticated (BBA-1, BCP-1)', async () => {
    const page = world.browser()
    const url = authorizationUrlOf(await startLogin(page))
    await endLogin(page, world.server.authorize(url.href))
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
    const answer = await endLogin(page, query)
    expect([...statusAndCode(answer), answer.setCookies]).toEqual([503, 'authorization_server_unavailable', []])
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await endLogin(page, query)).status).toBe(200)
  })
})

it.each([
  ['metadata', [200, undefined]],
  ['always', [400, 'authorization_response_invalid']],
] as const)(
  'require_issuer_in_response: %s, at a server that promises no iss (RFC 9207)',
  async (setting, expected) => {
    const other = await startScriptedWorld({ authorizationServer: `  require_issuer_in_response: ${setting}` })
    other.server.changeMetadata({ authorization_response_iss_parameter_supported: undefined })
    const page = other.browser()
    const query = await other.start(page)
    query.delete('iss')
    expect(statusAndCode(await endLogin(page, query))).toEqual(expected)
    await other.close()
  },
)
