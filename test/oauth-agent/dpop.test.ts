import { generateKeyPairSync, hash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../shared/cookies/header.ts'
import { createCookieReader } from '../../shared/cookies/open.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { deriveKeyRing, rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { agentPurposes, createKeyRing } from '../../shared/crypto/key-ring.ts'
import { testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { authorizationUrlOf, type Page, refresh, startLogin, statusAndCode } from '../support/page.ts'
import {
  type Act,
  type Script,
  type ScriptedWorld,
  startScriptedWorld,
} from '../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keyFile = temporaryFolder().file('client.pem', String(privateKey.export({ type: 'pkcs8', format: 'pem' })))

const secret = '  authentication: client_secret_basic\n  secret: correct-horse-battery-staple'
const privateKeyJwt = `  authentication: private_key_jwt\n  private_key_file: ${keyFile}`
const isOn = '\n  dpop_bound_access_tokens: true'

let world: ScriptedWorld
afterEach(() => world.close())

/** Gives bound tokens, as a server does that was shown a proof. */
const bound: Act = (form) => world.server.tokens(form, { token_type: 'DPoP' })

async function start(options: Parameters<typeof startScriptedWorld>[0] = {}): Promise<void> {
  world = await startScriptedWorld({ client: `${secret}${isOn}`, ...options })
  world.server.script.token = bound
}

const asked = (endpoint: keyof Script) => world.server.requests.filter((each) => each.endpoint === endpoint)

/** The proofs that an endpoint was shown, verified; the absence of one is an error. */
async function proofs(endpoint: keyof Script) {
  return Promise.all(
    asked(endpoint).map(async ({ headers }) => {
      const options = { typ: 'dpop+jwt', algorithms: ['ES256'] }
      const { protectedHeader, payload } = await jwtVerify(
        String(headers['dpop']),
        EmbeddedJWK as JWTVerifyGetKey,
        options,
      )
      return { jwk: protectedHeader.jwk, thumbprint: await calculateJwkThumbprint(protectedHeader.jwk ?? {}), payload }
    }),
  )
}

describe('with client.dpop_bound_access_tokens: false', () => {
  it('nothing of it is on the wire or in a cookie', async () => {
    await start({ client: secret })
    world.server.script.token = (form) => world.server.tokens(form)
    const page = world.browser()
    const started = await startLogin(page)
    expect(world.server.asked(authorizationUrlOf(started).href)).not.toHaveProperty('dpop_jkt')
    await world.signIn(page)
    await refresh(page)
    await page.call('GET', '/oauth-agent/userinfo')
    expect(world.server.requests.filter(({ headers }) => 'dpop' in headers)).toEqual([])
    expect(asked('userinfo')[0]?.headers.authorization).toMatch(/^Bearer /)
    expect(world.open(page)).not.toHaveProperty('dpopKeyId')
  })
})

describe('the authorization request names the key that the code will be bound to (RFC 9449 §10)', () => {
  it.each<[string, string, string, boolean]>([
    ['in the URL', secret, '', false],
    ['in a pushed request', secret, '', true],
    ['in a signed request', privateKeyJwt, 'login: { signed_request_object: true }', false],
    ['in a signed request that is pushed', privateKeyJwt, 'login: { signed_request_object: true }', true],
  ])('%s', async (_what, client, settings, isPushed) => {
    await start({ client: `${client}${isOn}`, settings })
    const { server } = world
    if (isPushed) server.changeMetadata({ pushed_authorization_request_endpoint: `${server.issuer}/par` })
    const page = world.browser()
    const { href } = authorizationUrlOf(await startLogin(page))
    const form = world.server.authorize(href)
    expect((await page.call('POST', '/oauth-agent/login/end', { form })).status).toBe(200)
    const [proof] = await proofs('token')
    expect(world.server.asked(href)['dpop_jkt']).toBe(proof?.thumbprint)
    expect(asked('par')).toHaveLength(isPushed ? 1 : 0)
  })

  it('and no page can name another', async () => {
    await start()
    const answer = await startLogin(world.browser(), { dpop_jkt: 'A'.repeat(43) })
    expect(statusAndCode(answer)).toEqual([400, 'parameter_not_allowed'])
  })
})

describe('the token endpoint is shown a proof', () => {
  it('of the same key for code and refresh, each with claims of its own (DP-1, DP-2)', async () => {
    await start()
    // By our own clock, not by that of the library.
    world.clock.pass(600)
    const page = world.browser()
    await world.signIn(page)
    expect((await refresh(page)).status).toBe(200)
    const [first, second] = await proofs('token')
    expect(first?.payload).toEqual({
      iat: world.clock.nowSeconds(),
      jti: expect.stringMatching(/^[\w-]{22,}$/),
      htm: 'POST',
      htu: `${world.server.issuer}/token`,
    })
    expect(Object.keys(first?.jwk ?? {}).toSorted()).toEqual(['crv', 'kty', 'x', 'y'])
    expect(second?.thumbprint).toBe(first?.thumbprint)
    expect(second?.payload.jti).not.toBe(first?.payload.jti)
  })

  it('with its nonce, after one refusal; the code is sent again, and a client assertion is made anew (DP-5)', async () => {
    await start({ client: `${privateKeyJwt}${isOn}` })
    world.server.script.token = (form, request) =>
      asked('token').length === 1
        ? { status: 400, headers: { 'dpop-nonce': 'n1' }, body: { error: 'use_dpop_nonce' } }
        : bound(form, request)
    expect((await world.signIn(world.browser())).status).toBe(200)
    const shown = await proofs('token')
    expect(shown.map(({ payload }) => payload['nonce'])).toEqual([undefined, 'n1'])
    const [first, second] = asked('token').map(({ form }) => form)
    expect(second?.get('code')).toBe(first?.get('code'))
    expect(second?.get('client_assertion')).not.toBe(first?.get('client_assertion'))
  })

  it('twice at most, whatever nonces it asks for', async () => {
    await start()
    world.server.script.token = () => ({
      status: 400,
      headers: { 'dpop-nonce': crypto.randomUUID() },
      body: { error: 'use_dpop_nonce' },
    })
    expect(statusAndCode(await world.signIn(world.browser()))).toEqual([502, 'authorization_server_error'])
    expect(asked('token')).toHaveLength(2)
    expect(world.told('login.failed')[0]?.fields).toMatchObject({ provider_error: 'use_dpop_nonce' })
  })

  it('after whose refusal the log says what was wrong', async () => {
    await start()
    world.server.script.token = () => ({ status: 400, body: { error: 'invalid_dpop_proof' } })
    expect((await world.signIn(world.browser())).status).toBe(502)
    expect(asked('token')).toHaveLength(1)
    expect(world.told('login.failed')[0]?.fields).toMatchObject({ provider_error: 'invalid_dpop_proof' })
  })
})

const revoked = () => asked('revocation').map(({ form }) => form.get('token'))
const fresh = { access_token: 'fresh-access-token', refresh_token: 'fresh-refresh-token' }

describe('tokens that are not bound although a key was proved (DP-7)', () => {
  it.each(['Bearer', 'bearer', 'BEARER'])('end a sign-in, and are revoked: %s', async (type) => {
    await start()
    world.server.script.token = (form) => world.server.tokens(form, { ...fresh, token_type: type })
    const page = world.browser()
    expect(statusAndCode(await world.signIn(page))).toEqual([502, 'authorization_server_error'])
    expect(world.told('login.failed')[0]?.fields).toMatchObject({ check: 'token_type' })
    await expect.poll(revoked).toEqual(['fresh-refresh-token', 'fresh-access-token'])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  })

  it('of a refresh are dropped, and the access token is revoked; the session stays', async () => {
    await start()
    const page = world.browser()
    await world.signIn(page)
    const before = world.open(page)
    world.server.script.token = (form) =>
      world.server.tokens(form, { ...fresh, refresh_token: form.get('refresh_token'), token_type: 'Bearer' })
    expect(statusAndCode(await refresh(page))).toEqual([502, 'authorization_server_error'])
    await expect.poll(revoked).toEqual(['fresh-access-token'])
    expect(world.open(page)).toEqual(before)
  })

  it.each(['DPoP', 'dpop', 'DPOP'])('are none of type %s (token types have no case, RFC 6749 §5.1)', async (type) => {
    await start()
    world.server.script.token = (form) => world.server.tokens(form, { token_type: type })
    expect((await world.signIn(world.browser())).status).toBe(200)
  })

  it('and bound ones that nobody asked for are refused as well', async () => {
    await start({ client: secret })
    expect(statusAndCode(await world.signIn(world.browser()))).toEqual([502, 'authorization_server_error'])
  })
})

describe('userinfo', () => {
  it('is asked for with the token in the DPoP scheme and a proof of it, and once more with a nonce', async () => {
    await start()
    world.server.script.userinfo = () =>
      asked('userinfo').length === 1
        ? { status: 401, headers: { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'n2' }, body: '' }
        : { body: { sub: 'alice' } }
    const page = world.browser()
    await world.signIn(page)
    expect((await page.call('GET', '/oauth-agent/userinfo')).json()).toEqual({ sub: 'alice' })
    const { accessToken } = world.open(page)
    const [first, second] = await proofs('userinfo')
    expect(asked('userinfo').map(({ headers }) => headers.authorization)).toEqual([
      `DPoP ${accessToken}`,
      `DPoP ${accessToken}`,
    ])
    expect(first?.payload).toMatchObject({ htm: 'GET', ath: hash('sha256', accessToken, 'base64url') })
    expect([first, second].map((proof) => proof?.payload['nonce'])).toEqual([undefined, 'n2'])
  })
})

describe('a key that the ring has no longer', () => {
  const withDpop = createKeyRing(testKeys())
  const without = createKeyRing(deriveKeyRing(testKeys(), agentPurposes))
  let ring = withDpop
  const startWithRing = () => {
    ring = withDpop
    return start({ keysOf: () => ({ current: () => ring }) })
  }

  it('cannot take up the code that is bound to it: the sign-in starts again', async () => {
    await startWithRing()
    const page = world.browser()
    const form = await world.start(page)
    ring = without
    const answer = await page.call('POST', '/oauth-agent/login/end', { form })
    expect(statusAndCode(answer)).toEqual([409, 'login_restart_required'])
    expect(asked('token')).toEqual([])
    expect(world.told('login.failed')[0]?.fields).toMatchObject({ check: 'dpop_key' })
  })

  it('proves no token to userinfo, which is not sent as a bearer either', async () => {
    await startWithRing()
    const page = world.browser()
    await world.signIn(page)
    ring = without
    const answer = await page.call('GET', '/oauth-agent/userinfo')
    expect(statusAndCode(answer)).toEqual([401, 'access_token_expired'])
    expect(asked('userinfo')).toEqual([])
  })
})

describe('a key that is not in force any more', () => {
  it('proves every refresh of the session that began with it, since some servers bind refresh tokens as well (RT-7)', async () => {
    const first = createKeyRing(testKeys())
    const promoted = createKeyRing(
      rotateKeyRing(testKeys(), { random: systemRandomBytes, clock: createManualClock() }, 'now'),
    )
    let ring = first
    await start({ keysOf: () => ({ current: () => ring }) })
    const page = world.browser()
    await world.signIn(page)
    ring = promoted
    for (let time = 1; time <= 2; time++) expect((await refresh(page)).status).toBe(200)
    await world.signIn(world.browser())
    const [atSignIn, atRefresh, atNextRefresh, atOtherSignIn] = (await proofs('token')).map((proof) => proof.thumbprint)
    expect([atRefresh, atNextRefresh]).toEqual([atSignIn, atSignIn])
    expect(atOtherSignIn).not.toBe(atSignIn)
  })
})

/** Gives the page the cookies that it would have from before the setting was changed. */
function asBefore(page: Page, before: { readonly dpopKeyId?: string }): void {
  const { config, keys, clock } = world
  const catalogue = createCatalogue(config)
  const parts = { keys, catalogue, binding: bindingOf(config), settings: config, clock, random: systemRandomBytes }
  const reader = createCookieReader({ ...parts, observe: { emit: () => {} } })
  const present = parseCookieHeader(page.jar.header('localhost', '/oauth-agent', 'same-site'), catalogue)
  const [access, refreshed, identity] = [reader.access(present), reader.refresh(present), reader.identity(present)]
  if (access.kind !== 'opened' || refreshed.kind !== 'opened' || identity.kind !== 'opened')
    throw new Error('no session')
  const { dpopKeyId: _access, ...accessContent } = access.content
  const { dpopKeyId: _refresh, ...refreshContent } = refreshed.content
  const lines = createCookieWriter(parts).setSession(
    {
      access: { ...accessContent, ...before },
      refresh: { ...refreshContent, ...before },
      identity: identity.content,
    },
    present,
  )
  for (const line of lines) page.jar.take('localhost', line)
}

describe('a session from before the setting was changed', () => {
  it('goes on when it is switched on: its token counts as expired, the next one is bound', async () => {
    await start()
    const page = world.browser()
    await world.signIn(page)
    const { dpopKeyId } = world.open(page)
    asBefore(page, {})
    expect(statusAndCode(await page.call('GET', '/oauth-agent/userinfo'))).toEqual([401, 'access_token_expired'])
    expect((await refresh(page)).status).toBe(200)
    expect(world.open(page).dpopKeyId).toBe(dpopKeyId)
    expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
    expect((await proofs('userinfo'))[0]?.thumbprint).toBe((await proofs('token'))[0]?.thumbprint)
  })

  it('goes on when it is switched off: the next token is a bearer token', async () => {
    await start({ client: secret })
    world.server.script.token = (form) => world.server.tokens(form)
    const page = world.browser()
    await world.signIn(page)
    asBefore(page, { dpopKeyId: world.keys.current().primaryKeyId })
    expect(statusAndCode(await page.call('GET', '/oauth-agent/userinfo'))).toEqual([401, 'access_token_expired'])
    expect((await refresh(page)).status).toBe(200)
    expect(world.open(page)).not.toHaveProperty('dpopKeyId')
    expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
    expect(world.server.requests.filter(({ headers }) => 'dpop' in headers)).toEqual([])
  })
})

describe('metadata', () => {
  it.each<[string, unknown, number]>([
    ['ES256 among others', ['EdDSA', 'ES256'], 200],
    ['nothing', undefined, 200],
    ['other algorithms only', ['EdDSA', 'RS256'], 502],
    ['no list', 'ES256', 502],
  ])('that lists %s for proofs', async (_what, algorithms, status) => {
    await start()
    world.server.changeMetadata({ dpop_signing_alg_values_supported: algorithms })
    expect((await startLogin(world.browser())).status).toBe(status)
    const told = world.told('provider.unavailable').map(({ fields }) => fields['reason'])
    expect(told).toEqual(status === 200 ? [] : ['dpop'])
  })
})
