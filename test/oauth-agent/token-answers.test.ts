import { hash } from 'node:crypto'
import { decodeJwt, type JWTPayload } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { isSignedIn, refresh, statusAndCode, type Page, type PageAnswer } from '../support/page.ts'
import { createSigningKey, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

async function signedIn(options: Parameters<typeof startScriptedWorld>[0] = {}): Promise<Page> {
  world = await startScriptedWorld(options)
  const page = world.browser()
  expect((await world.signIn(page)).status).toBe(200)
  return page
}

const generation = (answer: PageAnswer) => (answer.json()['session'] as { generation: number }).generation
/** OpenID Connect Core §3.1.3.6, for ES256. */
const accessTokenHash = (token: string) => hash('sha256', token, 'buffer').subarray(0, 16).toString('base64url')
const refreshCalls = () => world.tap.grants('refresh_token').length

describe('token answers nobody should send (D05)', () => {
  const body = (value: unknown) => ({ access_token: value, token_type: 'bearer' })
  const raw: [string, unknown][] = [
    ['an empty object', {}],
    ['a list', []],
    ['a text', '"s"'],
    ['null', 'null'],
    ['nothing', ''],
    ['a byte order mark', '\ufeff{}'],
    ['html', '<html>'],
    ['100 000 levels', `${'['.repeat(100_000)}`],
    ['closed 100 000 levels', `{"access_token":${'['.repeat(100_000)}${']'.repeat(100_000)},"token_type":"bearer"}`],
    ['5 MB', JSON.stringify(body('x'.repeat(5_000_000)))],
    ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]).toString('latin1')],
    ['a number as token', body(5)],
    ['a list as token', body([])],
    ['an empty token', body('')],
    ['a line break in the token', body('a\r\nb')],
    ['a space in the token', body('a b')],
    ['no token type', { access_token: 'abcdefgh' }],
    ['another token type', { access_token: 'abcdefgh', token_type: 'dpop' }],
    ['a number as refresh token', { ...body('abcdefgh'), refresh_token: 5 }],
    ['a line break in the refresh token', { ...body('abcdefgh'), refresh_token: 'a\r\nb' }],
    ['a letter beyond ASCII in the refresh token', { ...body('abcdefgh'), refresh_token: 'ä' }],
    ['a line break in the scope', { ...body('abcdefgh'), scope: 'openid\nprofile' }],
    ['a number as scope', { ...body('abcdefgh'), scope: 5 }],
    ['a list as error beside tokens', { ...body('abcdefgh'), error: ['invalid_grant'] }],
    ['an object as error beside tokens', { ...body('abcdefgh'), error: { code: 'invalid_grant' } }],
    ['a list as ID token', { ...body('abcdefgh'), id_token: [] }],
  ]
  it('each is authorization_server_error, without a cookie', async () => {
    const page = await signedIn({ settings: 'agent: { rate_limits: { refresh: { requests: 999 } } }' })
    const outcomes: unknown[] = []
    for (const [what, answerBody] of raw) {
      world.server.script.token = () => ({ body: answerBody })
      const answer = await refresh(page)
      outcomes.push([what, ...statusAndCode(answer), answer.setCookies.length])
      world.clock.pass(5)
    }
    expect(outcomes).toEqual(raw.map(([what]) => [what, 502, 'authorization_server_error', 0]))
  })
})

it('members that are null say nothing, and cost nobody the session', async () => {
  const page = await signedIn()
  const nothing = { refresh_token: null, scope: null, id_token: null, expires_in: null, error: null }
  world.server.script.token = () => ({ body: { access_token: crypto.randomUUID(), token_type: 'bearer', ...nothing } })
  const { scope } = world.open(page)
  expect(generation(await refresh(page))).toBe(2)
  expect(world.open(page).scope).toBe(scope)
})

it('members that are empty say nothing either: the old refresh token stays, and is used again', async () => {
  const page = await signedIn()
  const empty = { refresh_token: '', id_token: '', error: '', error_description: '', expires_in: '' }
  world.server.script.token = () => ({ body: { access_token: crypto.randomUUID(), token_type: 'bearer', ...empty } })
  expect(generation(await refresh(page))).toBe(2)
  world.server.script.token = (form) => world.server.tokens(form)
  expect(generation(await refresh(page))).toBe(3)
  expect(world.told('id_token.rejected')).toEqual([])
})

it('a sign-in with an empty refresh token is one without, and an empty scope is no scope', async () => {
  const page = await signedIn()
  world.server.script.token = (form) => world.server.tokens(form, { refresh_token: '', scope: '' })
  expect((await world.signIn(page)).status).toBe(200)
  expect(world.open(page).scope).toBe('')
  expect(statusAndCode(await refresh(page))).toEqual([401, 'no_refresh_token'])
})

describe('expires_in in every form (D06)', () => {
  it.each<[unknown, number]>([
    [undefined, 300],
    ['3600', 3600],
    [0, 0],
    [-1, 0],
    [3600.5, 3600],
    [null, 300],
    ['NaN', 300],
    ['abc', 300],
    [1e300, 28_800],
    [2 ** 53, 28_800],
    [{}, 300],
  ])('%j means %i seconds', async (expiresIn, seconds) => {
    const page = await signedIn()
    world.server.script.token = (form) => world.server.tokens(form, { expires_in: expiresIn })
    const answer = await refresh(page)
    expect(answer.status).toBe(200)
    // A second may end between the answer of the authorization server and ours.
    expect([seconds, Math.max(0, seconds - 1)]).toContain(answer.json()['access_token_expires_in'])
  })
})

it('an access token lives from when it was asked for, however long the answer and the keys take', async () => {
  world = await startScriptedWorld()
  const slow = (what: 'token' | 'jwks') => {
    const act = world.server.script[what]
    world.server.script[what] = (form, request) => {
      world.clock.pass(3)
      return act(form, request)
    }
  }
  slow('token')
  slow('jwks')
  const page = world.browser()
  const startedAt = world.clock.nowSeconds()
  await world.signIn(page)
  // The first keys are there before a code is used.
  expect(world.open(page).accessTokenExpiresAt).toBe(startedAt + 3 + 300)
  world.clock.pass(700)
  const askedAt = world.clock.nowSeconds()
  await refresh(page)
  expect(world.open(page).accessTokenExpiresAt).toBe(askedAt + 300)
})

describe('what the new tokens may change (C17, D08, D17)', () => {
  it('no refresh token at sign-in: 401 no_refresh_token, and the session stays (D08)', async () => {
    world = await startScriptedWorld()
    world.server.script.token = (form) => world.server.tokens(form, { refresh_token: undefined })
    const page = world.browser()
    const end = await world.signIn(page)
    expect(end.json()['session']).not.toHaveProperty('refresh_in')
    const answer = await refresh(page)
    expect(statusAndCode(answer)).toEqual([401, 'no_refresh_token'])
    expect([answer.setCookies, refreshCalls(), await isSignedIn(page)]).toEqual([[], 0, true])
  })

  it('a refresh token of any characters arrives as it was given (D17)', async () => {
    world = await startScriptedWorld()
    const odd = 'a+b/c=d%26&x y~"\\'
    world.server.script.token = (form) => world.server.tokens(form, { refresh_token: odd })
    const page = world.browser()
    await world.signIn(page)
    await refresh(page)
    expect(world.tap.grants('refresh_token')[0]?.form.get('refresh_token')).toBe(odd)
    expect(world.server.requests.at(-1)?.form.get('refresh_token')).toBe(odd)
  })

  it.each([
    ['what came', 'new-refresh-token'],
    ['with what came the refresh token that goes on', undefined],
  ])('another subject ends the session and revokes %s (OID-14, C17)', async (_what, refreshToken) => {
    const page = await signedIn()
    const came = { access_token: 'new-access-token', refresh_token: refreshToken }
    world.server.script.token = (form) => world.server.tokens(form, came, { sub: 'mallory' })
    const answer = await refresh(page)
    expect(statusAndCode(answer)).toEqual([401, 'session_expired'])
    expect(page.jar.names('localhost')).toEqual([])
    const presented = world.tap.grants('refresh_token')[0]?.form.get('refresh_token')
    const revocations = world.server.requests.filter(({ endpoint }) => endpoint === 'revocation')
    expect(revocations.map(({ form }) => form.get('token'))).toEqual([refreshToken ?? presented, came.access_token])
    const told = [...world.told('session.refresh_failed'), ...world.told('session.ended')]
    expect(told.map(({ fields }) => fields['check'] ?? fields['cause'])).toEqual(['sub', 'sub'])
  })

  it.each([
    ['iss', { iss: 'https://evil.example' }],
    ['aud', { aud: 'other' }],
    ['azp', { azp: 'other' }],
    ['exp', { exp: 1 }],
    ['iat', { iat: 1 }],
    ['nonce', { nonce: 'other' }],
    ['auth_time', { auth_time: 1 }],
    ['at_hash', { at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ])('an ID token with a wrong %s is dropped: tokens new, claims old, event told (C17)', async (check, claims) => {
    const page = await signedIn()
    world.server.script.token = (form) => world.server.tokens(form, {}, { name: 'New Name', ...claims })
    expect((await refresh(page)).status).toBe(200)
    const session = (await page.call('GET', '/oauth-agent/session')).json()
    expect(session['id_token_claims']).not.toHaveProperty('name')
    expect(world.told('id_token.rejected').map(({ fields }) => fields['check'])).toEqual([check])
  })

  it.each([
    ['is away', { status: 503, body: '' }],
    ['is no key set', { body: 'keys' }],
  ])('so is one under a new key while the key set %s: the old refresh token is spent by now', async (_, reply) => {
    const page = await signedIn()
    world.server.keys.splice(0, 1, await createSigningKey())
    world.server.script.jwks = () => reply
    world.server.script.token = (form) => world.server.tokens(form, {}, { name: 'New Name' })
    expect((await refresh(page)).status).toBe(200)
    const session = (await page.call('GET', '/oauth-agent/session')).json()
    expect(session['id_token_claims']).not.toHaveProperty('name')
    expect(world.told('id_token.rejected').map(({ fields }) => fields['check'])).toEqual(['key_set'])
  })

  it.each([
    ['a dropped ID token is no hint at the sign-out', true, 'https://evil.example', 'nobody'],
    ['a good one is', true, undefined, 'New Name'],
    ['none is kept where the settings keep none', false, undefined, undefined],
  ])('%s', async (_, isKept, iss, named) => {
    const page = await signedIn({ settings: `cookies: { id_token_hint: ${isKept} }` })
    world.server.script.token = (form) =>
      world.server.tokens(form, {}, { name: 'New Name', ...(iss === undefined ? undefined : { iss }) })
    expect((await refresh(page)).status).toBe(200)
    const { logout_url: url } = (await page.call('POST', '/oauth-agent/logout')).json()
    const hint = new URL(String(url)).searchParams.get('id_token_hint')
    expect(hint === null ? undefined : (decodeJwt(hint)['name'] ?? 'nobody')).toBe(named)
  })

  it.each([
    ['', {}],
    [', and so does one that names its access token', { at_hash: accessTokenHash('new-access-token') }],
  ])('a good ID token renews the claims%s', async (_, claims) => {
    const page = await signedIn()
    world.server.script.token = (form) =>
      world.server.tokens(form, { access_token: 'new-access-token' }, { name: 'New Name', ...claims })
    await refresh(page)
    const session = (await page.call('GET', '/oauth-agent/session')).json()
    expect(session['id_token_claims']).toMatchObject({ sub: 'alice', name: 'New Name' })
  })

  it.each<[string, Record<string, unknown>, JWTPayload, Record<string, unknown>]>([
    ['no ID token', { id_token: undefined }, {}, { name: 'Alice' }],
    ['an ID token that is dropped', {}, { nonce: 'other' }, { name: 'Alice' }],
    ['an ID token that no longer says them', {}, {}, {}],
    ['claims that are not on the list', {}, { name: 'Alice', department: 'x' }, { name: 'Alice' }],
  ])('claims and amr after a refresh with %s (M06)', async (_what, change, claims, visible) => {
    world = await startScriptedWorld({ settings: 'login: { claims: [sub, name] }' })
    const page = world.browser()
    world.server.script.token = (form) => world.server.tokens(form, {}, { name: 'Alice', amr: ['pwd'] })
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, change, claims)
    expect((await refresh(page)).json()['session']).toMatchObject({ amr: ['pwd'] })
    const view = (await page.call('GET', '/oauth-agent/session')).json()
    expect(view).toMatchObject({ session: { generation: 2, amr: ['pwd'] } })
    expect(view['id_token_claims']).toEqual({ sub: 'alice', ...visible })
  })

  it('a scope that the authorization server narrows is that of the session, until it says another (RFC 6749 §5.1)', async () => {
    const page = await signedIn()
    const scopes: string[] = []
    for (const scope of ['profile', undefined, 'openid profile']) {
      world.server.script.token = (form) => world.server.tokens(form, { scope })
      await refresh(page)
      scopes.push(world.open(page).scope)
    }
    expect(scopes).toEqual(['profile', 'profile', 'openid profile'])
  })

  it.each([
    ['another refresh token', () => 'another', true],
    ['the refresh token that was presented', (presented: string | null) => presented, false],
    ['no refresh token', () => undefined, false],
  ])('an answer with %s tells as much', async (_what, refreshToken, rotated) => {
    const page = await signedIn()
    world.server.script.token = (form) =>
      world.server.tokens(form, { refresh_token: refreshToken(form.get('refresh_token')) })
    await refresh(page)
    expect(world.told('session.refreshed').map(({ fields }) => fields['rotated'])).toEqual([rotated])
  })
})
