import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { type ScriptedWorld, startScriptedWorld } from '../../support/scripted-authorization-server.ts'

const client = `  authentication: client_secret_basic
  secret: correct-horse-battery-staple
  dpop_bound_access_tokens: true`

/** A client that proves its key, before a server that gives bound tokens; userinfo is the resource. */
async function withBoundTokens(run: (world: ScriptedWorld) => Promise<void>): Promise<void> {
  const world = await startScriptedWorld({ client })
  world.server.script.token = (form) => world.server.tokens(form, { token_type: 'DPoP' })
  try {
    await run(world)
  } finally {
    await world.close()
  }
}

const noncesAt = ({ server }: ScriptedWorld, endpoint: string) =>
  server.requests
    .filter((each) => each.endpoint === endpoint)
    .map(({ headers }) => decodeJwt(String(headers['dpop']))['nonce'])

describe('fapi2-security-profile-final-client-test-plan, sender_constrain=dpop', () => {
  it('fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce', () =>
    withBoundTokens(async (world) => {
      const page = world.browser()
      expect((await world.signIn(page)).status).toBe(200)
      expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
      expect([noncesAt(world, 'token'), noncesAt(world, 'userinfo')]).toEqual([[undefined], [undefined]])
    }))

  it('fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity', () =>
    withBoundTokens(async (world) => {
      world.server.script.userinfo = () =>
        world.server.count('userinfo') === 1
          ? {
              status: 401,
              headers: { 'www-authenticate': 'dpOp error="use_dpop_nonce"', 'dpop-nonce': 'next' },
              body: '',
            }
          : { body: { sub: 'alice' } }
      const page = world.browser()
      await world.signIn(page)
      expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
      expect(noncesAt(world, 'userinfo')).toEqual([undefined, 'next'])
    }))
})
