import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { exportJWK } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { mfaLevel } from '../../spa-example/openid-provider.ts'
import type { Page } from '../support/page.ts'
import { type ProviderWorld, type ProviderWorldOptions, startProviderWorld } from '../support/provider-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { clientSecret } from '../support/world.ts'

let world: ProviderWorld
afterEach(() => world.close())

const view = async (page: Page) => (await page.call('GET', '/oauth-agent/session')).json()

/** Signs in, refreshes and signs out; gives what the session said in between. */
async function wholeSession(options: ProviderWorldOptions = {}) {
  world = await startProviderWorld(options)
  const page = world.browser()
  expect(await view(page)).toEqual({ is_logged_in: false })
  const end = await page.signIn('alice')
  expect([end.status, end.json()['error_code']]).toEqual([200, undefined])
  const refresh = await page.call('POST', '/oauth-agent/refresh')
  expect([refresh.status, refresh.json()['error_code']]).toEqual([200, undefined])
  const during = await view(page)
  const logout = await page.call('POST', '/oauth-agent/logout')
  expect([logout.status, page.jar.names('localhost')]).toEqual([200, []])
  expect(world.told('logout.completed')[0]?.fields['revoked']).toBe(true)
  expect(await view(page)).toEqual({ is_logged_in: false })
  return during
}

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keyFile = temporaryFolder().file('client.pem', ec.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())

describe('a whole session against the real oidc-provider', () => {
  it.each<[string, () => Promise<ProviderWorldOptions>]>([
    ['client_secret_basic', async () => ({})],
    [
      'client_secret_post',
      async () => ({
        client: `  authentication: client_secret_post\n  secret: ${clientSecret}`,
        metadata: { token_endpoint_auth_method: 'client_secret_post' },
      }),
    ],
    [
      'private_key_jwt',
      async () => ({
        client: `  authentication: private_key_jwt\n  private_key_file: ${keyFile}\n  key_id: k1`,
        metadata: {
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: 'ES256',
          jwks: { keys: [{ ...(await exportJWK(ec.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] },
        },
      }),
    ],
  ])('with %s', async (_method, options) => {
    expect(await wholeSession(await options())).toMatchObject({
      is_logged_in: true,
      id_token_claims: { sub: 'u-1001' },
      session: { generation: 2 },
    })
  })

  it('with cookies of the agent kept off other paths (CK-16)', async () => {
    await wholeSession({ settings: 'cookies: { refresh_path: agent }' })
    const page = world.browser()
    await page.signIn()
    expect([...page.jar.names('localhost')].sort()).toEqual(['__Host-Http-th-at', '__Http-th-id', '__Http-th-rt'])
    expect(page.jar.header('localhost', '/api', 'same-site')).not.toContain('-rt=')
  })

  it.each(['/auth', '/a/deep.path'])('below %s, under names of cookies of its own', async (path) => {
    const settings = `
agent: { path: ${path} }
cookies: { prefix: shop, refresh_path: agent }
login: { navigation: { enabled: true } }
`
    world = await startProviderWorld({ settings })
    const page = world.browser()
    expect((await page.signIn()).json()['is_logged_in']).toBe(true)
    expect([...page.jar.names('localhost')].sort()).toEqual(['__Host-Http-shop-at', '__Http-shop-id', '__Http-shop-rt'])
    expect((await page.call('POST', `${path}/refresh`)).status).toBe(200)
    expect((await page.navigate('GET', `${path}/logout`)).text).toContain(`action="${path}/logout/form"`)
    expect((await page.call('POST', `${path}/logout`)).status).toBe(200)
    expect(page.jar.names('localhost')).toEqual([])
  })

  it('without rotation of refresh tokens (RT-2)', async () => {
    expect(await wholeSession({ provider: { rotateRefreshTokens: false } })).toMatchObject({
      session: { generation: 2 },
    })
    const refreshed = world.told('session.refreshed')[0]?.fields
    expect(refreshed).toMatchObject({ rotated: false, joined: false, activity: true })
  })
})

describe('the real oidc-provider', () => {
  it('20 tabs wake with one expired access token: one token call, nobody is signed out', async () => {
    world = await startProviderWorld({ replicas: 3 })
    const page = world.browser()
    await page.signIn()
    const tabs = Array.from({ length: 20 }, () => world.tab({ ...page, jar: page.jar.copy() }))
    const answers = await Promise.all(tabs.map((tab) => tab.call('POST', '/oauth-agent/refresh')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(world.tap.grants('refresh_token')).toHaveLength(1)
    const again = await Promise.all(tabs.slice(0, 3).map((tab) => tab.call('POST', '/oauth-agent/refresh')))
    expect(again.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it('a refresh token that was revoked ends the session at the next refresh', async () => {
    world = await startProviderWorld()
    const page = world.browser()
    await page.signIn()
    const copy = world.tab({ ...page, jar: page.jar.copy() })
    // Two generations on, the old refresh token looks stolen, and the provider ends the whole grant.
    await page.call('POST', '/oauth-agent/refresh')
    world.clock.pass(31)
    const theft = await copy.call('POST', '/oauth-agent/refresh')
    expect([theft.status, theft.json()['error_code']]).toEqual([401, 'session_expired'])
    const owner = await page.call('POST', '/oauth-agent/refresh')
    expect([owner.status, owner.json()['error_code']]).toEqual([401, 'session_expired'])
  })

  it('steps up to a second factor and keeps the user', async () => {
    world = await startProviderWorld()
    const page = world.browser()
    await page.signIn('bob')
    const before = await view(page)
    expect(before).toMatchObject({ session: { acr: 'urn:example:pwd' } })
    expect((await page.signIn('bob', { acr_values: mfaLevel })).status).toBe(200)
    expect(await view(page)).toMatchObject({ id_token_claims: { sub: 'u-1002' }, session: { acr: mfaLevel } })
  })

  it('a silent sign-in without a session there is login_required, and the present session stays', async () => {
    world = await startProviderWorld()
    const page = world.browser()
    const answer = await page.signIn('alice', { prompt: 'none' })
    expect([answer.status, answer.json()['error_code']]).toEqual([401, 'login_required'])
    await page.signIn('alice')
    expect((await page.signIn('alice', { prompt: 'none' })).status).toBe(200)
  })

  it('a wrong client secret is 503 for the browser and an alarm for the operator, at the start or at the end', async () => {
    for (const pushed of ['auto', 'never']) {
      world = await startProviderWorld({
        metadata: { client_secret: randomUUID() },
        settings: `login: { pushed_authorization_requests: ${pushed} }`,
      })
      const page = world.browser()
      const answer = pushed === 'auto' ? await page.call('POST', '/oauth-agent/login/start') : await page.signIn()
      expect([answer.status, answer.json()['error_code']]).toEqual([503, 'client_authentication_failed'])
      expect(world.told('login.failed')[0]?.fields).toMatchObject({ provider_error: 'invalid_client' })
      if (pushed === 'auto') await world.close()
    }
  })
})
