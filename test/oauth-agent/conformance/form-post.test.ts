import { describe, expect, it } from 'vitest'
import { type RelyingParty, withRelyingParty } from './relying-party.ts'

const settings = 'login: { navigation: { enabled: true, response_mode: form_post } }'

/** Opens the sign-in and gives what the authorization server will post back. */
async function start({ page, world }: RelyingParty): Promise<URLSearchParams> {
  const answer = await page.navigate('GET', '/oauth-agent/login')
  expect(answer.status).toBe(303)
  const url = new URL(answer.headers.location ?? '')
  expect(url.searchParams.get('response_mode')).toBe('form_post')
  return world.server.authorize(url.href)
}

const post = ({ page }: RelyingParty, form: URLSearchParams) =>
  page.navigate('POST', '/oauth-agent/callback', { form, from: 'elsewhere' })

describe('oidcc-client-formpost-basic-certification-test-plan', () => {
  it('oidcc-client-test in this response mode', () =>
    withRelyingParty(async (party) => {
      const answer = await post(party, await start(party))
      expect([answer.status, answer.text.includes('http-equiv="refresh"')]).toEqual([200, true])
      const session = await party.page.call('GET', '/oauth-agent/session')
      expect(session.json()).toMatchObject({ is_logged_in: true, id_token_claims: { sub: 'alice' } })
    }, settings))

  it('oidcc-client-test-form-post-error', () =>
    withRelyingParty(async (party) => {
      const form = await start(party)
      form.delete('code')
      form.set('error', 'access_denied')
      form.set('error_description', '<script>alert(1)</script>')
      const answer = await post(party, form)
      expect([answer.status, answer.headers['token-handler-error']]).toEqual([403, 'access_denied'])
      expect(answer.text).toContain('The sign-in was refused or cancelled.')
      expect(answer.text).not.toContain('alert')
      expect(party.page.jar.names('localhost')).toEqual([])
      expect(party.world.server.count('token')).toBe(0)
    }, settings))
})
