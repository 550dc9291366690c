import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { statusAndCode } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings: 'cookies: { id_token_hint: true }' })
})
afterAll(() => world.close())

const tokenOf = (length: number) => `${'A'.repeat(20)}.${'A'.repeat(length - 42)}.${'A'.repeat(20)}`

describe('tokens that grew at a refresh, when the old refresh token is used up', () => {
  it('fit without claims and hint: the session goes on', async () => {
    const page = world.browser()
    world.server.script.token = (form) => world.server.tokens(form, {}, { name: 'Alice' })
    expect((await world.signIn(page)).json()).toMatchObject({ id_token_claims: { name: 'Alice' } })
    world.server.script.token = (form) =>
      world.server.tokens(form, { access_token: tokenOf(4000) }, { name: 'x'.repeat(3000) })
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
    const session = await page.call('GET', '/oauth-agent/session')
    expect(session.json()).toMatchObject({ is_logged_in: true, id_token_claims: { sub: 'alice' } })
    const out = (await page.call('POST', '/oauth-agent/logout')).json()
    expect(String(out['logout_url'])).not.toContain('id_token_hint')
  })

  it('cannot fit: the sizes are reported, the access token serves its time, and then comes a clean sign-in', async () => {
    const page = world.browser()
    world.server.script.token = (form) => world.server.tokens(form)
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, { access_token: tokenOf(12_000) })
    const answer = await page.call('POST', '/oauth-agent/refresh')
    expect([...statusAndCode(answer), answer.setCookies]).toEqual([502, 'token_too_large', []])
    expect(answer.json()['sizes']).toMatchObject({ limit: 7168 })
    expect(world.told('session.refresh_failed').at(-1)?.fields).toMatchObject({ error_code: 'token_too_large' })
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
    // The same new tokens for half a minute, without another call; after that the used-up token is refused.
    const calls = world.server.count('token')
    expect(statusAndCode(await page.call('POST', '/oauth-agent/refresh'))).toEqual([502, 'token_too_large'])
    expect(world.server.count('token')).toBe(calls)
    world.clock.pass(31)
    const over = await page.call('POST', '/oauth-agent/refresh')
    expect([...statusAndCode(over), page.jar.names('localhost')]).toEqual([401, 'session_expired', []])
  })
})
