import { afterEach, describe, expect, it } from 'vitest'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

describe('behind a gateway that rewrites and adds headers (D22, E10)', () => {
  const added = {
    'x-forwarded-host': 'inner.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-port': '8081',
    forwarded: 'host=inner.example;proto=http',
    'x-real-ip': '9.9.9.9',
  }

  it('cookies do not depend on them: one refresh, then ten calls without another', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    await page.call('POST', '/oauth-agent/refresh', { headers: added })
    for (let call = 0; call < 10; call++) {
      const answer = await page.call('GET', '/oauth-agent/session', { headers: call % 2 === 0 ? added : {} })
      expect(answer.json()).toMatchObject({ is_logged_in: true, session: { generation: 2 } })
    }
    expect(world.tap.grants('refresh_token')).toHaveLength(1)
  })

  it('X-Forwarded-For counts for limits only from a listed hop', async () => {
    const limit = 'agent: { rate_limits: { login: { requests: 2 } } }'
    const from = (address: string) =>
      world.browser().call('POST', '/oauth-agent/login/start', { headers: { 'x-forwarded-for': address } })
    world = await startScriptedWorld({ settings: limit })
    const statuses = [(await from('1.1.1.1')).status, (await from('2.2.2.2')).status, (await from('3.3.3.3')).status]
    expect(statuses).toEqual([200, 200, 429])
    await world.close()

    world = await startScriptedWorld({ settings: `${limit}\noperations: { trusted_proxies: [127.0.0.1] }` })
    for (let client = 1; client <= 5; client++) expect((await from(`1.1.1.${client}`)).status).toBe(200)
    // What the client itself wrote to the left of it is not believed.
    expect((await from('8.8.8.8, 1.1.1.1')).status).toBe(200)
    expect((await from('9.9.9.9, 1.1.1.1')).status).toBe(429)
  })

  it('events tell the address of the client only where asked to', async () => {
    const from = { headers: { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' } }
    const settings = 'operations: { trusted_proxies: [127.0.0.1] }'
    const names = [
      'login.started',
      'login.completed',
      'session.refreshed',
      'logout.completed',
      'session.ended',
    ] as const
    const addresses = async () => {
      const page = world.browser()
      const { authorization_url: url } = (await page.call('POST', '/oauth-agent/login/start', from)).json()
      const form = world.server.authorize(String(url))
      await page.call('POST', '/oauth-agent/login/end', { ...from, form })
      await page.call('POST', '/oauth-agent/refresh', from)
      await page.call('POST', '/oauth-agent/logout', from)
      await page.call('POST', '/oauth-agent/refresh', { headers: { ...from.headers, origin: 'https://evil.example' } })
      return [...names, 'request.refused' as const].map((name) => world.told(name).at(-1)?.fields['client_address'])
    }
    world = await startScriptedWorld({ settings })
    expect(await addresses()).toEqual(Array(6).fill(undefined))
    await world.close()

    world = await startScriptedWorld({ settings: `${settings}\nobservability: { client_addresses: true }` })
    expect(await addresses()).toEqual(Array(6).fill('198.51.100.7'))
  })
})
