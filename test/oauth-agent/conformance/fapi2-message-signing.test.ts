import { describe, it } from 'vitest'
import { createSigningKey } from '../../support/scripted-authorization-server.ts'
import { expectResponseRefused, type RelyingParty, withRelyingParty } from './relying-party.ts'

/** The browser comes back with a response made by `make`, which is refused before any token endpoint hears of it. */
const refused = (make: (party: RelyingParty, good: Record<string, string>) => Promise<string>) => () =>
  withRelyingParty(async (party) => {
    const { page, world } = party
    const response = await make(party, Object.fromEntries(await world.start(page)))
    const answer = await page.call('POST', '/oauth-agent/login/end', { form: { response } })
    expectResponseRefused(party, answer, 'authorization_response_invalid')
  }, 'login: { response_mode: jwt }')

describe('fapi2-message-signing-final-client-test-plan', () => {
  it.each<[string, Record<string, unknown>]>([
    ['fapi2-security-profile-final-client-test-ensure-jarm-without-iss-fails', { iss: undefined }],
    ['fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-iss-fails', { iss: 'https://evil.example' }],
    ['fapi2-security-profile-final-client-test-ensure-jarm-without-aud-fails', { aud: undefined }],
    ['fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-aud-fails', { aud: 'another-client' }],
    ['fapi2-security-profile-final-client-test-ensure-jarm-without-exp-fails', { exp: undefined }],
    ['fapi2-security-profile-final-client-test-ensure-jarm-with-expired-exp-fails', { exp: 1 }],
    ['for several audiences', { aud: ['spa', 'another-client'] }],
  ])('%s', (_module, claims) => refused(({ world }, good) => world.server.signedResponse({ ...good, ...claims }))())

  it(
    'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-sig-fails',
    refused(async ({ world }, good) => {
      const stranger = await createSigningKey('ES256', world.server.keys[0]?.kid)
      return world.server.signedResponse(good, { key: stranger })
    }),
  )

  it(
    'fapi2-security-profile-final-client-test-ensure-jarm-signature-is-not-none',
    refused(async ({ world }, good) => {
      const [, payload] = (await world.server.signedResponse(good)).split('.')
      return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
    }),
  )
})
