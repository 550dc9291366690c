import { describe, expect, it } from 'vitest'
import { createSigningKey } from '../../support/scripted-authorization-server.ts'
import { expectIdTokenRefused, expectSignedIn, withRelyingParty } from './relying-party.ts'

const next = await createSigningKey()

describe('oidcc-client-config-certification-test-plan', () => {
  it('oidcc-client-test-discovery-openid-config', () =>
    withRelyingParty(async ({ page, world }) => {
      const start = await page.call('POST', '/oauth-agent/login/start')
      expect(String(start.json()['authorization_url'])).toMatch(`${world.server.issuer}/authorize?`)
      expect(world.server.count('metadata')).toBe(1)
    }))

  it('oidcc-client-test-discovery-jwks-uri-keys', () =>
    withRelyingParty(async ({ page, world }) => {
      expectSignedIn(await world.signIn(page))
      expect(world.server.count('jwks')).toBe(1)
    }))

  it('oidcc-client-test-discovery-issuer-mismatch', () =>
    withRelyingParty(async ({ page, world }) => {
      world.server.changeMetadata({ issuer: `${world.server.issuer}/other` })
      const answer = await page.call('POST', '/oauth-agent/login/start')
      expect([answer.status, answer.json()['error_code']]).toEqual([502, 'authorization_server_error'])
      expect(answer.json()).not.toHaveProperty('authorization_url')
    }))

  it('oidcc-client-test-signing-key-rotation-just-before-signing', () =>
    withRelyingParty(async (party) => {
      expectSignedIn(await party.signInWith({}))
      party.world.server.keys.unshift(next)
      expectSignedIn(await party.signInWith({}, { key: next }))
      expect(party.world.server.count('jwks')).toBe(2)
    }))

  it('oidcc-client-test-signing-key-rotation', () =>
    withRelyingParty(async (party) => {
      const { world } = party
      const [old] = world.server.keys
      expectSignedIn(await party.signInWith({}))
      world.server.keys.splice(0, 1, next)
      expectSignedIn(await party.signInWith({}))
      // What was signed with the withdrawn key is refused from then on.
      await party.page.call('POST', '/oauth-agent/logout')
      if (old === undefined) throw new Error('no key')
      await expectIdTokenRefused(party, await party.signInWith({}, { key: old }), 'kid')
    }))
})
