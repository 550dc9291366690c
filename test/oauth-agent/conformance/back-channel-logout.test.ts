import { describe, expect, it } from 'vitest'
import { logOutByToken } from '../../support/page.ts'
import { createSigningKey } from '../../support/scripted-authorization-server.ts'
import { type RelyingParty, withRelyingParty } from './relying-party.ts'

const settings = 'logout: { backchannel: true }'
const event = 'http://schemas.openid.net/event/backchannel-logout'

async function signIn({ page, world }: RelyingParty): Promise<void> {
  world.server.script.token = (form) => world.server.tokens(form, {}, { sid: 'the-session' })
  await world.signIn(page)
}

async function post({ world }: RelyingParty, logoutToken: string): Promise<[number, string | undefined]> {
  const answer = await logOutByToken(world.browser(), { logout_token: logoutToken })
  return [answer.status, answer.headers['cache-control']]
}

const isSignedIn = async ({ page }: RelyingParty) =>
  (await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']

/** A logout token made by `make` is refused, and the session stays. */
const refused = (make: (party: RelyingParty) => Promise<string>) => () =>
  withRelyingParty(async (party) => {
    await signIn(party)
    expect(await post(party, await make(party))).toEqual([400, 'no-store'])
    expect(await isSignedIn(party)).toBe(true)
  }, settings)

describe('oidcc-client-back-channel-logout-rp-basic', () => {
  it('oidcc-client-test-rp-backchannel-rpinitlogout', () =>
    withRelyingParty(async (party) => {
      await signIn(party)
      const token = await party.world.server.logoutToken({ sub: 'alice', sid: 'the-session' })
      expect(await post(party, token)).toEqual([200, 'no-store'])
      expect(await isSignedIn(party)).toBe(false)
    }, settings))

  it(
    'oidcc-client-test-rp-backchannel-rpinitlogout-alg-none',
    refused(async ({ world }) => {
      const [, payload] = (await world.server.logoutToken({ sid: 'the-session' })).split('.')
      return `${Buffer.from('{"alg":"none","typ":"logout+jwt"}').toString('base64url')}.${payload}.`
    }),
  )

  it(
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg',
    refused(async ({ world }) => {
      const key = await createSigningKey('ES384')
      world.server.keys.push(key)
      return world.server.logoutToken({ sid: 'the-session' }, { key })
    }),
  )

  it.each<[string, Record<string, unknown>]>([
    ['oidcc-client-test-rp-backchannel-rpinitlogout-no-event', { events: undefined }],
    ['oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce', { nonce: 'n' }],
    ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud', { aud: 'another-client' }],
    ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event', { events: { [`${event}-other`]: {} } }],
    ['oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss', { iss: 'https://evil.example' }],
  ])('%s', (_module, claims) => refused(({ world }) => world.server.logoutToken({ sid: 'the-session', ...claims }))())
})
