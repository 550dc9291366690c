import { describe, expect, it } from 'vitest'
import { createSigningKey } from '../../support/scripted-authorization-server.ts'
import { expectIdTokenRefused, expectSignedIn, withRelyingParty } from './relying-party.ts'

const rs256 = await createSigningKey('RS256')
const second = await createSigningKey()
const third = await createSigningKey()

/** A JWT without signature; only a client that asked for it may accept it (OpenID Connect Core §3.1.3.7). */
function unsigned(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part(claims)}.`
}

describe('oidcc-client-basic-certification-test-plan', () => {
  it('oidcc-client-test', () =>
    withRelyingParty(async ({ page, world }) => {
      expectSignedIn(await world.signIn(page))
      const userinfo = await page.call('GET', '/oauth-agent/userinfo')
      expect([userinfo.status, userinfo.json()]).toEqual([200, { sub: 'alice' }])
    }))

  it('oidcc-client-test-invalid-iss', () =>
    withRelyingParty(async (party) => {
      await expectIdTokenRefused(party, await party.signInWith({ iss: 'https://evil.example' }), 'iss')
    }))

  it('oidcc-client-test-missing-sub', () =>
    withRelyingParty(async (party) => {
      await expectIdTokenRefused(party, await party.signInWith({ sub: undefined }), 'sub')
    }))

  it('oidcc-client-test-invalid-aud', () =>
    withRelyingParty(async (party) => {
      await expectIdTokenRefused(party, await party.signInWith({ aud: 'another-client' }), 'aud')
    }))

  it('oidcc-client-test-missing-iat', () =>
    withRelyingParty(async (party) => {
      await expectIdTokenRefused(party, await party.signInWith({ iat: undefined }), 'iat')
    }))

  it('oidcc-client-test-kid-absent-single-jwks', () =>
    withRelyingParty(async (party) => {
      expectSignedIn(await party.signInWith({}, { header: { kid: undefined } }))
    }))

  it('oidcc-client-test-kid-absent-multiple-jwks', () =>
    withRelyingParty(async (party) => {
      party.world.server.keys.push(second, third)
      expectSignedIn(await party.signInWith({}, { key: third, header: { kid: undefined } }))
    }))

  it('oidcc-client-test-idtoken-sig-rs256', () =>
    withRelyingParty(async (party) => {
      party.world.server.keys.push(rs256)
      expectSignedIn(await party.signInWith({}, { key: rs256 }))
    }))

  it('oidcc-client-test-idtoken-sig-none', () =>
    withRelyingParty(async (party) => {
      const { world, page } = party
      const now = world.clock.nowSeconds()
      const query = await world.start(page)
      const claims = { iss: world.server.issuer, sub: 'alice', aud: 'spa', iat: now, exp: now + 300 }
      const idToken = unsigned({ ...claims, nonce: world.server.lastNonce() })
      world.server.script.token = (form) => world.server.tokens(form, { id_token: idToken })
      await expectIdTokenRefused(party, await page.call('POST', '/oauth-agent/login/end', { form: query }), 'alg')
    }))

  it('oidcc-client-test-invalid-sig-rs256', () =>
    withRelyingParty(async (party) => {
      const forger = await createSigningKey('RS256', rs256.kid)
      party.world.server.keys.push(rs256)
      await expectIdTokenRefused(party, await party.signInWith({}, { key: forger }), 'signature')
    }))

  it('oidcc-client-test-userinfo-bearer-header', () =>
    withRelyingParty(async ({ page, world }) => {
      await world.signIn(page)
      await page.call('GET', '/oauth-agent/userinfo')
      const request = world.server.requests.find(({ endpoint }) => endpoint === 'userinfo')
      expect(request?.headers.authorization).toMatch(/^Bearer access-/)
      expect([...(request?.form ?? [])]).toEqual([])
    }))

  it('oidcc-client-test-userinfo-invalid-sub', () =>
    withRelyingParty(async ({ page, world }) => {
      await world.signIn(page)
      world.server.script.userinfo = () => ({ body: { sub: 'mallory', name: 'Mallory' } })
      const answer = await page.call('GET', '/oauth-agent/userinfo')
      expect([answer.status, answer.json()['error_code']]).toEqual([502, 'userinfo_invalid'])
      expect(answer.text).not.toContain('allory')
    }))

  it('oidcc-client-test-nonce-invalid', () =>
    withRelyingParty(async (party) => {
      await expectIdTokenRefused(party, await party.signInWith({ nonce: 'another' }), 'nonce')
    }))

  it('oidcc-client-test-scope-userinfo-claims', () =>
    withRelyingParty(async ({ page, world }) => {
      const start = await page.call('POST', '/oauth-agent/login/start')
      const url = String(start.json()['authorization_url'])
      expect(new URL(url).searchParams.get('scope')).toBe('openid profile email')
      await page.call('POST', '/oauth-agent/login/end', { form: world.server.authorize(url) })
      world.server.script.userinfo = () => ({ body: { sub: 'alice', name: 'Alice', email: 'a@example.com', ssn: '1' } })
      const claims = (await page.call('GET', '/oauth-agent/userinfo')).json()
      expect(claims).toEqual({ sub: 'alice', name: 'Alice', email: 'a@example.com' })
    }, 'login: { scope: openid profile email }'))

  it('oidcc-client-test-client-secret-basic', () =>
    withRelyingParty(async ({ page, world }) => {
      expectSignedIn(await world.signIn(page))
      const request = world.server.requests.find(({ endpoint }) => endpoint === 'token')
      const expected = Buffer.from('spa:correct-horse-battery-staple').toString('base64')
      expect(request?.headers.authorization).toBe(`Basic ${expected}`)
      expect(request?.form.has('client_secret')).toBe(false)
    }))
})
