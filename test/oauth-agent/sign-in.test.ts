import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'

let world: ProviderWorld
beforeAll(async () => {
  world = await startProviderWorld()
})
afterAll(() => world.close())

describe('against the real oidc-provider', () => {
  it('signs in, tells the session, refreshes and signs out', async () => {
    const page = world.browser()
    const signedOut = await page.call('GET', '/oauth-agent/session')
    expect([signedOut.status, signedOut.json()]).toEqual([200, { is_logged_in: false }])

    const end = await page.signIn('alice')
    expect(end.status).toBe(200)
    expect(end.json()).toMatchObject({ is_logged_in: true, id_token_claims: { sub: 'u-1001' }, return_to: '/' })

    const session = await page.call('GET', '/oauth-agent/session')
    expect(session.json()).toMatchObject({ is_logged_in: true, session: { generation: 1 } })
    expect(session.setCookies).toEqual([])

    const refresh = await page.call('POST', '/oauth-agent/refresh')
    expect([refresh.status, refresh.json()]).toMatchObject([200, { session: { generation: 2 } }])

    const logout = await page.call('POST', '/oauth-agent/logout')
    expect(logout.status).toBe(200)
    expect(String(logout.json()['logout_url'])).toContain(`${world.provider.issuer}/session/end`)
    expect(page.jar.names('localhost')).toEqual([])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  })
})
