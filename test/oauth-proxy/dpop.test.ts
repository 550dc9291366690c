import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DpopApi, startDpopApi } from '../support/dpop-api.ts'
import { refresh } from '../support/page.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { clientSecret } from '../support/world.ts'

let world: ProviderWorld
let api: DpopApi

async function start(): Promise<void> {
  api = await startDpopApi()
  world = await startProviderWorld({
    client: `  authentication: client_secret_basic\n  secret: ${clientSecret}\n  dpop_bound_access_tokens: true`,
    metadata: { dpop_bound_access_tokens: true },
    settings: `proxy: { routes: [{ path: /api/**, methods: [GET, POST], upstream: ${api.origin} }] }`,
  })
  api.trust(world.provider.jwks)
}

beforeEach(start)
afterEach(async () => {
  await world.close()
  await api.close()
})

describe('bound tokens', () => {
  it('are asked for with a proof, and proved to the API with every call', async () => {
    const page = world.browser()
    const signedIn = await page.signIn()
    expect([signedIn.status, signedIn.text]).toMatchObject([200, expect.anything()])
    expect((await page.call('GET', '/api/orders?page=2')).text).toContain('"ok"')
    expect((await refresh(page)).status).toBe(200)
    expect((await page.call('GET', '/api/orders')).text).toContain('"ok"')
    expect((await page.call('GET', '/oauth-agent/userinfo')).status).toBe(200)
  })
})
