import { describe, expect, it } from 'vitest'
import { createSigningKey } from '../../support/scripted-authorization-server.ts'
import { expectIdTokenRefused, expectResponseRefused, expectSignedIn, withRelyingParty } from './relying-party.ts'

const ps384 = await createSigningKey('PS384')

describe('fapi2-security-profile-final-client-test-plan', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['fapi2-security-profile-final-client-test-invalid-iss', { iss: 'https://evil.example' }, 'iss'],
    ['fapi2-security-profile-final-client-test-invalid-aud', { aud: 'another-client' }, 'aud'],
    ['fapi2-security-profile-final-client-test-invalid-secondary-aud', { aud: ['spa', 'evil'], azp: 'spa' }, 'aud'],
    ['fapi2-security-profile-final-client-test-invalid-expired-exp', { exp: 1 }, 'exp'],
    ['fapi2-security-profile-final-client-test-invalid-missing-exp', { exp: undefined }, 'exp'],
    ['fapi2-security-profile-final-client-test-invalid-missing-aud', { aud: undefined }, 'aud'],
    ['fapi2-security-profile-final-client-test-invalid-missing-iss', { iss: undefined }, 'iss'],
    ['fapi2-security-profile-final-client-test-invalid-nonce', { nonce: 'another' }, 'nonce'],
    ['fapi2-security-profile-final-client-test-invalid-missing-nonce', { nonce: undefined }, 'nonce'],
  ])('%s', (_module, claims, check) =>
    withRelyingParty(async (party) => {
      await expectIdTokenRefused(party, await party.signInWith(claims), check)
    }),
  )

  it('fapi2-security-profile-final-client-test-invalid-null-alg', () =>
    withRelyingParty(async (party) => {
      const { world, page } = party
      const query = await world.start(page)
      const [, payload] = (await world.server.idToken({ nonce: world.server.lastNonce() })).split('.')
      const header = Buffer.from('{"alg":"none"}').toString('base64url')
      world.server.script.token = (form) => world.server.tokens(form, { id_token: `${header}.${payload}.` })
      await expectIdTokenRefused(party, await page.call('POST', '/oauth-agent/login/end', { form: query }), 'alg')
    }))

  it('fapi2-security-profile-final-client-test-invalid-alternate-alg', () =>
    withRelyingParty(async (party) => {
      party.world.server.keys.push(ps384)
      await expectIdTokenRefused(party, await party.signInWith({}, { key: ps384 }), 'alg')
    }))

  it('fapi2-security-profile-final-client-test-valid-aud-as-array', () =>
    withRelyingParty(async (party) => expectSignedIn(await party.signInWith({ aud: ['spa'] }))))

  it('fapi2-security-profile-final-client-test-invalid-authorization-response-iss', () =>
    withRelyingParty(async (party) => {
      const answer = await party.comeBackWith((query) => query.set('iss', 'https://evil.example'))
      expectResponseRefused(party, answer, 'authorization_response_invalid')
    }))

  it('fapi2-security-profile-final-client-test-remove-authorization-response-iss', () =>
    withRelyingParty(async (party) => {
      const answer = await party.comeBackWith((query) => query.delete('iss'))
      expectResponseRefused(party, answer, 'authorization_response_invalid')
    }))

  it('fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails', () =>
    withRelyingParty(async (party) => {
      const answer = await party.comeBackWith((query) => query.set('state', 'x'.repeat(43)))
      expectResponseRefused(party, answer, 'invalid_state')
    }))

  it('fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails', () =>
    withRelyingParty(async (party) => {
      const answer = await party.comeBackWith((query) => query.delete('state'))
      expectResponseRefused(party, answer, 'invalid_state')
    }))

  it('fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in', () =>
    withRelyingParty(async ({ page, world }) => {
      world.server.script.token = (form) => world.server.tokens(form, { expires_in: undefined })
      const answer = await world.signIn(page)
      expectSignedIn(answer)
      expect(answer.json()['access_token_expires_in']).toBe(300)
    }))

  it('fapi2-security-profile-final-client-test-token-type-case-insensitivity', () =>
    withRelyingParty(async ({ page, world }) => {
      world.server.script.token = (form) => world.server.tokens(form, { token_type: 'bEaReR' })
      expectSignedIn(await world.signIn(page))
    }))

  it('fapi2-security-profile-final-client-refresh-token-test', () =>
    withRelyingParty(async ({ page, world }) => {
      await world.signIn(page)
      world.server.script.userinfo = () => ({
        status: 401,
        headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
        body: '',
      })
      const refused = await page.call('GET', '/oauth-agent/userinfo')
      expect([refused.status, refused.json()['error_code']]).toEqual([401, 'upstream_unauthorized'])
      expect(refused.setCookies).toEqual([])
      expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
      world.server.script.userinfo = () => ({ body: { sub: 'alice' } })
      expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
    }))
})
