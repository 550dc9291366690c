import { afterEach, describe, expect, it } from 'vitest'
import { logOutByToken } from '../support/page.ts'
import { type Act, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

const limits = 'agent: { rate_limits: { login: { requests: 999 } } }'
const answeringWith =
  (change: Record<string, unknown>, claims: Record<string, unknown> = {}): Act =>
  (form) =>
    world.server.tokens(form, change, claims)

/** The tokens that were to be revoked, in any order. */
function revoked(): (string | null)[] {
  const forms = world.server.requests.filter(({ endpoint }) => endpoint === 'revocation').map(({ form }) => form)
  return forms.map((form) => form.get('token')).toSorted()
}

const fresh = { access_token: 'fresh-access-token', refresh_token: 'fresh-refresh-token' }
const both = ['fresh-access-token', 'fresh-refresh-token']
const large = { ...fresh, access_token: `large.${'x'.repeat(9000)}` }

describe('tokens of a sign-in that is refused', () => {
  it.each<[string, Record<string, string>, string, Act, readonly string[]]>([
    ['another user at a step-up', { acr_values: 'high' }, 'bob', answeringWith(fresh, { acr: 'high' }), both],
    ['another user at a silent sign-in', { prompt: 'none' }, 'bob', answeringWith(fresh), both],
    ['another user whose ID token fails', {}, 'bob', answeringWith(fresh, { nonce: 'other' }), both],
    ['another user without room', {}, 'bob', answeringWith(large), [fresh.refresh_token, large.access_token]],
  ])('are revoked: %s', async (_what, form, user, act, expected) => {
    world = await startScriptedWorld({ settings: limits })
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = act
    expect((await world.signIn(page, form, user)).status).toBeGreaterThanOrEqual(400)
    await expect.poll(revoked).toEqual(expected)
  })

  it.each<[string, Act, readonly string[]]>([
    ['an ID token that fails', answeringWith(fresh, { nonce: 'other' }), both],
    ['an ID token that cannot be read', answeringWith({ ...fresh, id_token: 'a.b.c' }), both],
    ['no ID token', answeringWith({ ...fresh, id_token: undefined }), both],
    ['no room', answeringWith(large), [fresh.refresh_token, large.access_token]],
  ])('are revoked while nobody is signed in: %s', async (_what, act, expected) => {
    world = await startScriptedWorld({ settings: limits })
    world.server.script.token = act
    expect((await world.signIn(world.browser())).status).toBe(502)
    await expect.poll(revoked).toEqual(expected)
  })

  it.each<[string, Record<string, string>, Act]>([
    ['a level that was not reached', { acr_values: 'high' }, answeringWith(fresh, { acr: 'low' })],
    ['an ID token that fails', {}, answeringWith(fresh, { nonce: 'other' })],
    ['a step-up whose ID token tells nobody', { acr_values: 'high' }, answeringWith({ ...fresh, id_token: 'a.b.c' })],
    ['no room', {}, answeringWith(large)],
  ])('are dropped only where the session of that user stays, which may hang on the same grant: %s', async (...row) => {
    const [, form, act] = row
    world = await startScriptedWorld({ settings: limits })
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = act
    expect((await world.signIn(page, form)).status).toBeGreaterThanOrEqual(400)
    world.server.script.token = (tokenForm) => world.server.tokens(tokenForm)
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
    expect(revoked()).toEqual([])
  })

  it('are dropped where the session that stays was kept back, and the server ended another one of that user', async () => {
    world = await startScriptedWorld({
      settings: `${limits}\nlogin: { navigation: { enabled: true } }\nlogout: { backchannel: true }`,
    })
    const page = world.browser()
    world.server.script.token = answeringWith({}, { sid: 'here' })
    await world.signIn(page)
    const start = await page.navigate('GET', '/oauth-agent/login?acr_values=high')
    const query = world.server.authorize(start.headers.location ?? '')
    const logoutToken = await world.server.logoutToken({ sub: 'alice', sid: 'elsewhere' })
    expect((await logOutByToken(world.browser(), { logout_token: logoutToken })).status).toBe(200)
    world.server.script.token = answeringWith(fresh, { sid: 'here', acr: 'low' })
    const end = await page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere' })
    expect(end.status).toBe(403)
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
    expect(revoked()).toEqual([])
  })

  it('are revoked where the user signs out while they are on their way', async () => {
    world = await startScriptedWorld({ settings: limits })
    const page = world.browser()
    await world.signIn(page)
    const other = world.tab({ ...page, jar: page.jar.copy() })
    const query = await world.start(page, { acr_values: 'high' })
    world.server.script.token = async (form, request) => {
      await other.call('POST', '/oauth-agent/logout')
      return answeringWith(fresh, { acr: 'high' })(form, request)
    }
    expect((await page.call('POST', '/oauth-agent/login/end', { form: query })).status).toBe(409)
    await expect.poll(revoked).toEqual(expect.arrayContaining(both))
  })

  it('are left alone where logout.revoke is off, also at a refresh for another subject', async () => {
    world = await startScriptedWorld({ settings: `${limits}\nlogout: { revoke: false }` })
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = answeringWith(fresh, { sub: 'bob' })
    expect((await world.signIn(page, { prompt: 'none' }, 'bob')).status).toBe(401)
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(401)
    expect(revoked()).toEqual([])
  })

  it('keep nobody waiting: the answer comes while the server has not answered the revocation', async () => {
    world = await startScriptedWorld({ settings: `${limits}\nlogout: { revocation_timeout_ms: 600000 }` })
    world.server.script.revocation = () => 'hang'
    world.server.script.token = answeringWith(fresh, { nonce: 'other' })
    const answer = await world.signIn(world.browser())
    expect(answer.json()['error_code']).toBe('id_token_invalid')
    await expect.poll(revoked).toEqual(['fresh-refresh-token'])
  })
})
