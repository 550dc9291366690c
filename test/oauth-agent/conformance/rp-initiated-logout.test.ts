import { describe, expect, it } from 'vitest'
import { type RelyingParty, withRelyingParty } from './relying-party.ts'

async function signOut({ page, world }: RelyingParty): Promise<URL> {
  await world.signIn(page)
  return new URL(String((await page.call('POST', '/oauth-agent/logout')).json()['logout_url']))
}

/** The browser comes back to the page of the SPA, which asks who is signed in. */
async function expectSignedOut({ page }: RelyingParty): Promise<void> {
  expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  expect(page.jar.names('localhost')).toEqual([])
}

describe('oidcc-client-rp-initiated-logout-rp-basic', () => {
  it('oidcc-client-test-rp-init-logout', () =>
    withRelyingParty(async (party) => {
      const url = await signOut(party)
      const { world } = party
      expect(`${url.origin}${url.pathname}`).toBe(`${world.server.issuer}/logout`)
      expect(url.searchParams.get('client_id')).toBe('spa')
      expect(url.searchParams.get('post_logout_redirect_uri')).toBe(`${world.publicOrigin}/`)
      expect(url.searchParams.get('state')).toMatch(/^[A-Za-z0-9_-]{43}$/)
      expect(url.searchParams.has('id_token_hint')).toBe(false)
      await expectSignedOut(party)
    }))

  it('oidcc-client-test-rp-init-logout-other-state', () =>
    withRelyingParty(async (party) => {
      const first = await signOut(party)
      const second = await signOut(party)
      expect(second.searchParams.get('state')).not.toBe(first.searchParams.get('state'))
      await expectSignedOut(party)
    }))

  it('oidcc-client-test-rp-init-logout-no-state', () =>
    withRelyingParty(async (party) => {
      await signOut(party)
      await expectSignedOut(party)
    }))

  it('with id_token_hint switched on the ID token goes along, in a form where the URL would grow too long (LO-1, LO-2)', () =>
    withRelyingParty(async (party) => {
      const { world, page } = party
      expect((await signOut(party)).searchParams.get('id_token_hint')).toMatch(/^eyJ/)
      world.server.script.token = (form) => world.server.tokens(form, {}, { padding: 'x'.repeat(1500) })
      await world.signIn(page)
      const { logout_url: long, logout_form: form } = (await page.call('POST', '/oauth-agent/logout')).json()
      const url = new URL(String(long))
      expect(url.searchParams.has('id_token_hint')).toBe(false)
      expect(form).toEqual({
        action: `${world.server.issuer}/logout`,
        fields: { ...Object.fromEntries(url.searchParams), id_token_hint: expect.stringMatching(/^eyJ/) },
      })
      expect(page.jar.names('localhost')).toEqual([])
    }, 'cookies: { id_token_hint: true }'))
})
