import { describe, expect, it } from 'vitest'
import { expectSignedIn, withRelyingParty } from './relying-party.ts'

describe('oidcc-client-refreshtoken-test-plan', () => {
  it('oidcc-client-test-refresh-token', () =>
    withRelyingParty(async ({ page, world }) => {
      expectSignedIn(await world.signIn(page))
      expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
      await page.call('GET', '/oauth-agent/userinfo')
      await page.call('POST', '/oauth-agent/refresh')
      await page.call('GET', '/oauth-agent/userinfo')
      const used = world.server.requests.filter(({ endpoint }) => endpoint === 'userinfo')
      expect(new Set(used.map(({ headers }) => headers.authorization)).size).toBe(2)
    }))

  it('oidcc-client-test-refresh-token-invalid-issuer', () =>
    withRelyingParty(async ({ page, world }) => {
      await world.signIn(page)
      world.server.script.token = (form) => world.server.tokens(form, {}, { iss: 'https://evil.example', name: 'Evil' })
      expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
      expect(world.told('id_token.rejected')[0]?.fields['check']).toBe('iss')
      expect((await page.call('GET', '/oauth-agent/session')).text).not.toContain('Evil')
    }))

  it('oidcc-client-test-refresh-token-invalid-sub', () =>
    withRelyingParty(async ({ page, world }) => {
      await world.signIn(page)
      world.server.script.token = (form) => world.server.tokens(form, {}, { sub: 'mallory' })
      const answer = await page.call('POST', '/oauth-agent/refresh')
      expect([answer.status, answer.json()['error_code']]).toEqual([401, 'session_expired'])
      expect(page.jar.names('localhost')).toEqual([])
    }))
})
