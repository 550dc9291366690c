import type { JWTPayload } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { eventTable } from '../../shared/observe/events.ts'
import { endLogin, logOutByToken, type Page, type PageAnswer, refresh, startLogin } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({
    settings: `
agent: { rate_limits: { login: { requests: 99999 }, refresh: { requests: 99999 } } }
login: { navigation: { enabled: true, response_mode: form_post } }
logout: { backchannel: true }
observability: { client_addresses: true }
`,
  })
})
afterAll(() => world.close())
beforeEach(() => world.server.reset())

/** What the audit stream says of one request, and its answer. */
async function heard(send: Promise<PageAnswer>): Promise<{ answer: PageAnswer; lines: unknown[] }> {
  world.events.length = 0
  const answer = await send
  const lines = world.events
    .filter(({ name }) => eventTable[name].audit)
    .map(({ name, fields }) => [name, JSON.parse(JSON.stringify(fields)) as object])
  return { answer, lines }
}

/** The fields with which an event names the request that was answered so. */
const caller = ({ headers }: PageAnswer) => ({ request_id: headers['x-request-id'], client_address: '127.0.0.1' })

/** Signs in, and gives the fields with which events name this user in this session. */
async function signIn(page: Page, subject = 'alice'): Promise<{ subject: unknown; session: unknown }> {
  expect((await world.signIn(page, {}, subject)).status).toBe(200)
  const { subject: user, session } = world.told('login.completed').at(-1)?.fields ?? {}
  expect([user, session]).toEqual([expect.any(String), expect.any(String)])
  return { subject: user, session }
}

describe('the audit stream says of a sign-in', () => {
  it('that it began, and who signed in how strongly, by the same name at the next one', async () => {
    const page = world.browser()
    const begun = await heard(startLogin(page, { prompt: 'login consent' }))
    const started = { ...caller(begun.answer), step_up: false, prompt: 'login.consent' }
    expect(begun.lines).toEqual([['login.started', started]])
    const url = String(begun.answer.json()['authorization_url'])
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'low' })
    const ended = await heard(endLogin(page, world.server.authorize(url)))
    const who = await signIn(world.browser())
    const completed = { ...caller(ended.answer), subject: who.subject, step_up: false, acr: 'low' }
    expect(ended.lines).toEqual([['login.completed', { ...completed, session: expect.any(String) }]])
    expect(ended.lines).not.toMatchObject([['login.completed', { session: who.session }]])
  })

  it('that it could not begin, and why', async () => {
    const { answer, lines } = await heard(startLogin(world.browser(), { audience: 'other' }))
    expect(lines).toEqual([['login.failed', { ...caller(answer), error_code: 'parameter_not_allowed' }]])
  })

  it('that it failed, and why', async () => {
    const page = world.browser()
    const query = await world.start(page)
    query.set('iss', 'https://evil.example')
    const { answer, lines } = await heard(endLogin(page, query))
    const why = { error_code: 'authorization_response_invalid', check: 'iss' }
    expect(lines).toEqual([['login.failed', { ...caller(answer), ...why }]])
  })

  it('that the authorization server refused it, in its word', async () => {
    const page = world.browser()
    const query = await world.start(page)
    world.server.script.token = () => ({ status: 401, body: { error: 'invalid_client' } })
    const { answer, lines } = await heard(endLogin(page, query))
    const why = { error_code: 'client_authentication_failed', provider_error: 'invalid_client' }
    expect(lines).toEqual([['login.failed', { ...caller(answer), ...why }]])
  })

  it('that nobody asked for it', async () => {
    const { answer, lines } = await heard(endLogin(world.browser(), { code: 'x', state: 'y' }))
    expect(lines).toEqual([['login.failed', { ...caller(answer), error_code: 'invalid_state' }]])
  })

  it('that the response came in a mode that was not asked for', async () => {
    const send = world.browser().navigate('GET', '/oauth-agent/callback?error=response_mode', { from: 'elsewhere' })
    const { answer, lines } = await heard(send)
    const why = { error_code: 'authorization_response_invalid', check: 'response_mode' }
    expect(lines).toEqual([['login.failed', { ...caller(answer), ...why }]])
  })

  it('nothing again when its response comes again', async () => {
    const page = world.browser()
    const query = await world.start(page)
    await endLogin(page, query)
    expect((await heard(endLogin(page, query))).lines).toEqual([])
  })

  it('whose session it ended', async () => {
    const page = world.browser()
    const alice = await signIn(page)
    const query = await world.start(page, {}, 'bob')
    const { answer, lines } = await heard(endLogin(page, query))
    expect(lines).toEqual([
      ['session.ended', { ...caller(answer), ...alice, cause: 'replaced' }],
      ['login.completed', expect.objectContaining(caller(answer))],
    ])
  })

  it('whose session it ended, of which only a step-up was left in the browser, unless that has signed out', async () => {
    for (const isOut of [false, true]) {
      const page = world.browser()
      const alice = await signIn(page)
      await world.start(page, { acr_values: 'high' })
      if (isOut) await page.call('POST', '/oauth-agent/logout')
      else for (const part of ['at', 'rt', 'id']) page.jar.tamper('localhost', `__Host-Http-th-${part}`, 'x')
      const query = await world.start(page, {}, 'bob')
      const { answer } = await heard(endLogin(page, query))
      const ended = { ...caller(answer), ...alice, cause: 'replaced' }
      expect(world.told('session.ended').map(({ fields }) => fields)).toEqual(isOut ? [] : [ended])
    }
  })
})

describe('the audit stream says of a refresh', () => {
  it.each([
    ['user', true],
    ['background', false],
  ])('what came of it, for the activity %s', async (activity, isActivity) => {
    const page = world.browser()
    const who = await signIn(page)
    const { answer, lines } = await heard(refresh(page, { activity }))
    const how = { generation: 2, rotated: true, joined: false, activity: isActivity }
    expect(lines).toEqual([['session.refreshed', { ...caller(answer), ...who, ...how }]])
  })

  it.each<[string, JWTPayload]>([
    ['nonce', { nonce: 'that of nobody' }],
    // No other user's: not anybody's.
    ['sub', { sub: null as unknown as string }],
  ])('which check its ID token failed: %s', async (check, claims) => {
    const page = world.browser()
    const who = await signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, { refresh_token: undefined }, claims)
    const { answer, lines } = await heard(refresh(page))
    const how = { generation: 2, rotated: false, joined: false, activity: true }
    expect(lines).toEqual([
      ['session.refreshed', { ...caller(answer), ...who, ...how }],
      ['id_token.rejected', { ...caller(answer), ...who, check }],
    ])
  })

  it.each([
    [503, { error: 'x' }, { error_code: 'authorization_server_unavailable', check: 'gateway_error' }],
    [400, { error: 'invalid_scope' }, { error_code: 'authorization_server_error', provider_error: 'invalid_scope' }],
  ])('that it failed with %i %j, and that the session goes on', async (status, body, why) => {
    const page = world.browser()
    const who = await signIn(page)
    world.server.script.token = () => ({ status, body })
    const { answer, lines } = await heard(refresh(page))
    expect(lines).toEqual([['session.refresh_failed', { ...caller(answer), ...who, ...why, ends_session: false }]])
  })

  it('that it failed, and the end of the session', async () => {
    const page = world.browser()
    const who = await signIn(page)
    world.server.script.token = () => ({ status: 400, body: { error: 'invalid_grant' } })
    const { answer, lines } = await heard(refresh(page))
    const why = { error_code: 'session_expired', check: 'invalid_grant', ends_session: true }
    expect(lines).toEqual([
      ['session.refresh_failed', { ...caller(answer), ...who, ...why }],
      ['session.ended', { ...caller(answer), ...who, cause: 'invalid_grant' }],
    ])
  })
})

describe('the audit stream says once', () => {
  const ends = () => world.told('session.ended').map(({ fields }) => fields['cause'])

  it('that a session is over, however many tabs come with its refresh token', async () => {
    const page = world.browser()
    await signIn(page)
    const before = ends().length
    world.server.script.token = () => ({ status: 400, body: { error: 'invalid_grant' } })
    const calls = world.server.count('token')
    const tabs = Array.from({ length: 5 }, () => world.tab({ ...page, jar: page.jar.copy() }))
    const answers = await Promise.all(tabs.map((tab) => refresh(tab)))
    for (const tab of tabs) answers.push(await refresh(world.tab({ ...tab, jar: page.jar.copy() })))
    expect(new Set(answers.map(({ status, setCookies }) => `${status} ${setCookies.length > 0}`))).toEqual(
      new Set(['401 true']),
    )
    expect([ends().slice(before), world.server.count('token') - calls]).toEqual([['invalid_grant'], 1])
  })

  it('that a user signed out while a refresh was under way', async () => {
    const page = world.browser()
    await signIn(page)
    const before = ends().length
    const calls = world.server.count('token')
    const go = world.server.holdRefresh()
    const refreshing = refresh(world.tab({ ...page, jar: page.jar.copy() }))
    await expect.poll(() => world.server.count('token')).toBe(calls + 1)
    await page.call('POST', '/oauth-agent/logout')
    go()
    expect((await refreshing).status).toBe(401)
    expect(ends().slice(before)).toEqual(['logout'])
  })
})

describe('the audit stream says of a sign-out', () => {
  it.each([
    ['a script', (page: Page) => page.call('POST', '/oauth-agent/logout')],
    ['a form', (page: Page) => page.navigate('POST', '/oauth-agent/logout/form', { form: {} })],
  ])('whose it was, sent by %s, and nothing where nobody was signed in', async (_, send) => {
    const page = world.browser()
    const who = await signIn(page)
    const { answer, lines } = await heard(send(page))
    expect(lines).toEqual([
      ['logout.completed', { ...caller(answer), ...who, revoked: true }],
      ['session.ended', { ...caller(answer), ...who, cause: 'logout' }],
    ])
    expect((await heard(send(page))).lines).toEqual([])
  })

  it('by logout token, whose it was, if the token says so', async () => {
    const who = await signIn(world.browser(), 'signed-out-elsewhere')
    const bySubject = await world.server.logoutToken({ sub: 'signed-out-elsewhere' })
    const { answer, lines } = await heard(logOutByToken(world.browser(), { logout_token: bySubject }))
    expect(lines).toEqual([['logout.backchannel', { ...caller(answer), subject: who.subject, accepted: true }]])

    const bySession = await world.server.logoutToken({ sid: 'none-of-ours' })
    const other = await heard(logOutByToken(world.browser(), { logout_token: bySession }))
    expect(other.lines).toEqual([['logout.backchannel', { ...caller(other.answer), accepted: true }]])
  })

  it.each([
    ['a claim', { sub: 'nobody', aud: 'other' }, 'aud'],
    ['a nonce', { sub: 'nobody', nonce: 'x' }, 'nonce'],
  ])('by logout token, for which check it was refused: %s', async (_, claims, check) => {
    const token = await world.server.logoutToken(claims)
    const { answer, lines } = await heard(logOutByToken(world.browser(), { logout_token: token }))
    expect(lines).toEqual([['logout.backchannel', { ...caller(answer), accepted: false, check }]])
  })
})
