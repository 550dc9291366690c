import { CompactSign } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type Act,
  createSigningKey,
  type ScriptedWorld,
  startScriptedWorld,
} from '../support/scripted-authorization-server.ts'
import { statusAndCode } from '../support/page.ts'
import { worldTimeoutMs } from '../support/world.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings: 'agent: { rate_limits: { login: { requests: 9999 } } }' })
})
afterAll(() => world.close())
beforeEach(() => {
  // Every circuit is closed again.
  world.clock.pass(5)
  world.server.script.token = (form) => world.server.tokens(form)
  world.server.script.jwks = () => ({ body: { keys: world.server.keys.map(({ publicJwk }) => publicJwk) } })
})

const changed =
  (change: Record<string, unknown>): Act =>
  (form) =>
    world.server.tokens(form, change)
const always =
  (reply: Awaited<ReturnType<Act>>): Act =>
  () =>
    reply

/** The request has arrived, and the time limit passes without an answer. */
const silence: Act = () => {
  world.clock.pass(worldTimeoutMs / 1000)
  return 'hang'
}

const deepClaim = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
/** Written by hand, because JSON.stringify cannot write it. */
const deepIdToken: Act = async (form) => {
  const { issuer, keys, lastNonce, now, tokens } = world.server
  // The ID token of a refresh needs none (OpenID Connect Core §12.2).
  const nonce = form.has('code') ? lastNonce() : undefined
  const claims = JSON.stringify({ iss: issuer, sub: 'bob', aud: 'spa', iat: now(), exp: now() + 300, nonce })
  const payload = Buffer.from(claims.replace('{', `{"name":${deepClaim},`))
  const [key] = keys
  if (key === undefined) throw new Error('no key')
  const { alg, kid, privateKey } = key
  return tokens(form, { id_token: await new CompactSign(payload).setProtectedHeader({ alg, kid }).sign(privateKey) })
}

describe('faults of the token endpoint while somebody signs in (D04, D05, D10, D24)', () => {
  it.each<[string, Act, number, string]>([
    ['500', always({ status: 500, body: '' }), 503, 'authorization_server_unavailable'],
    ['429', always({ status: 429, body: '' }), 503, 'authorization_server_unavailable'],
    ['silence', silence, 503, 'authorization_server_unavailable'],
    ['a reset', always('reset'), 502, 'token_response_lost'],
    ['half an answer', always('cut'), 502, 'token_response_lost'],
    ['invalid_grant', always({ status: 400, body: { error: 'invalid_grant' } }), 409, 'login_restart_required'],
    ['invalid_grant with 200', always({ body: { error: 'invalid_grant' } }), 409, 'login_restart_required'],
    ['invalid_client', always({ status: 401, body: { error: 'invalid_client' } }), 503, 'client_authentication_failed'],
    ['invalid_request', always({ status: 400, body: { error: 'invalid_request' } }), 502, 'authorization_server_error'],
    // A page that is told so signs in again, which would end the same way.
    ['login_required', always({ status: 400, body: { error: 'login_required' } }), 502, 'authorization_server_error'],
    [
      'interaction_required',
      always({ status: 400, body: { error: 'interaction_required' } }),
      502,
      'authorization_server_error',
    ],
    ['html', always({ headers: { 'content-type': 'text/html' }, body: '<html>' }), 502, 'authorization_server_error'],
    ['an empty object', always({ body: {} }), 502, 'authorization_server_error'],
    ['no ID token', changed({ id_token: undefined }), 502, 'authorization_server_error'],
    ['an ID token of numbers', changed({ id_token: 5 }), 502, 'authorization_server_error'],
    ['a garbled ID token', changed({ id_token: 'a.b.c' }), 502, 'id_token_invalid'],
    ['an ID token with claims of 20 000 levels', deepIdToken, 502, 'id_token_invalid'],
    ['another token type', changed({ token_type: 'mac' }), 502, 'authorization_server_error'],
    ['a line break in the token', changed({ access_token: 'a\nb' }), 502, 'authorization_server_error'],
  ])('%s: nobody is signed in, who was signed in stays so', async (_what, act, status, code) => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, {}, 'bob')
    world.server.script.token = act
    const answer = await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect([answer.status, answer.json()['error_code']]).toEqual([status, code])
    expect(answer.setCookies.filter((line) => !line.includes('-login-'))).toEqual([])
    const session = (await page.call('GET', '/oauth-agent/session')).json()
    expect(session).toMatchObject({ is_logged_in: true, id_token_claims: { sub: 'alice' } })
  })

  it('an ID token with claims of 20 000 levels costs a refresh the claims, not the session', async () => {
    const page = world.browser()
    await world.signIn(page, {}, 'bob')
    world.server.script.token = deepIdToken
    const answer = await page.call('POST', '/oauth-agent/refresh')
    expect([answer.status, world.told('id_token.rejected').at(-1)?.fields['check']]).toEqual([200, 'format'])
  })

  it('a code that was exchanged while the keys are away is not kept for a second try to fail', async () => {
    const page = world.browser()
    world.clock.pass(700)
    const query = await world.start(page)
    const stranger = await createSigningKey()
    world.server.script.jwks = () => ({ status: 503, body: '' })
    const idToken = await world.server.idToken({ nonce: world.server.lastNonce() }, { key: stranger })
    world.server.script.token = changed({ id_token: idToken })
    const end = () => page.call('POST', '/oauth-agent/login/end', { form: query })
    const first = await end()
    expect([first.status, first.json()['error_code']]).toEqual([503, 'authorization_server_unavailable'])
    const second = await end()
    expect([second.status, second.json()['error_code']]).toEqual([409, 'login_restart_required'])
    expect(page.jar.names('localhost')).toEqual([])
  })
})

describe('faults of userinfo', () => {
  it.each<[string, Act, number, string, string]>([
    ['500', always({ status: 500, body: '' }), 503, 'authorization_server_unavailable', 'server_error'],
    ['silence', silence, 503, 'authorization_server_unavailable', 'timeout'],
    ['401 without a word', always({ status: 401, body: '' }), 502, 'userinfo_invalid', 'response_is_not_conform'],
    [
      '403 with a body only, as Dex sends it',
      always({ status: 403, body: { error: 'access_denied' } }),
      502,
      'userinfo_invalid',
      'response_is_not_conform',
    ],
    [
      '401 invalid_token',
      always({ status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' }, body: '' }),
      401,
      'upstream_unauthorized',
      'invalid_token',
    ],
    [
      '403 insufficient_scope',
      always({ status: 403, headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' }, body: '' }),
      403,
      'insufficient_scope',
      'insufficient_scope',
    ],
    ['no sub', always({ body: { name: 'Alice' } }), 502, 'userinfo_invalid', 'invalid_response'],
    ['a list', always({ body: [] }), 502, 'userinfo_invalid', 'invalid_response'],
    ['20 000 levels', always({ body: `{"sub":"alice","name":${deepClaim}}` }), 502, 'userinfo_invalid', 'format'],
    [
      'html',
      always({ headers: { 'content-type': 'text/html' }, body: '<html>' }),
      502,
      'userinfo_invalid',
      'response_is_not_json',
    ],
    [
      'an unsigned JWT',
      always({ headers: { 'content-type': 'application/jwt' }, body: 'eyJhbGciOiJub25lIn0.e30.' }),
      502,
      'userinfo_invalid',
      'alg',
    ],
  ])('%s keeps the session, and the log says why', async (_what, act, status, code, why) => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.userinfo = act
    const answer = await page.call('GET', '/oauth-agent/userinfo')
    expect([answer.status, answer.json()['error_code'], answer.setCookies]).toEqual([status, code, []])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
    const [failed] = world.told('request.refused').slice(-1)
    expect(failed?.fields['request_id']).toBe(answer.headers['x-request-id'])
    expect([failed?.fields['error_code'], failed?.fields['check'] ?? failed?.fields['provider_error']]).toEqual([
      code,
      why,
    ])
  })

  it('is not asked for with an access token that is over', async () => {
    const page = world.browser()
    await world.signIn(page)
    const asked = world.server.count('userinfo')
    world.clock.pass(300)
    const answer = await page.call('GET', '/oauth-agent/userinfo')
    expect([answer.status, answer.json()['error_code']]).toEqual([401, 'access_token_expired'])
    expect(world.server.count('userinfo')).toBe(asked)
  })

  it('a signed answer is verified, with its audience and subject (OID-13)', async () => {
    const page = world.browser()
    await world.signIn(page)
    const answerWith = async (claims: Record<string, unknown>, tamper = (jwt: string) => jwt) => {
      const jwt = tamper(await world.server.idToken(claims))
      // Media types have no case (RFC 9110 §8.3.1).
      world.server.script.userinfo = () => ({ headers: { 'content-type': 'application/JWT' }, body: jwt })
      return page.call('GET', '/oauth-agent/userinfo')
    }
    expect((await answerWith({ name: 'Alice' })).json()).toEqual({ sub: 'alice', name: 'Alice' })
    for (const wrong of [{ sub: 'bob' }, { aud: 'other' }, { iss: 'https://evil.example' }, { exp: 1 }]) {
      expect((await answerWith(wrong)).json()['error_code']).toBe('userinfo_invalid')
    }
    const forged = await answerWith({}, (jwt) => `${jwt.slice(0, -4)}AAAA`)
    expect(forged.json()['error_code']).toBe('userinfo_invalid')
  })

  it('an answer that is not signed is refused where the settings want a signed one, whatever it says (OID-13)', async () => {
    const strict = await startScriptedWorld({ authorizationServer: '  require_signed_userinfo: true' })
    const page = strict.browser()
    await strict.signIn(page)
    const userinfo = () => page.call('GET', '/oauth-agent/userinfo')
    expect(statusAndCode(await userinfo())).toEqual([502, 'userinfo_invalid'])
    expect(strict.told('request.refused').at(-1)?.fields['check']).toBe('unsigned')
    const jwt = await strict.server.idToken({ name: 'Alice' })
    strict.server.script.userinfo = () => ({ body: JSON.stringify(jwt) })
    expect(statusAndCode(await userinfo())).toEqual([502, 'userinfo_invalid'])
    strict.server.script.userinfo = () => ({ headers: { 'content-type': 'application/jwt' }, body: jwt })
    expect((await userinfo()).json()).toEqual({ sub: 'alice', name: 'Alice' })
    // A refusal has nothing to sign.
    const challenge = { 'www-authenticate': 'Bearer error="invalid_token"' }
    strict.server.script.userinfo = () => ({ status: 401, headers: challenge, body: '' })
    expect(statusAndCode(await userinfo())).toEqual([401, 'upstream_unauthorized'])
    await strict.close()
  })
})
