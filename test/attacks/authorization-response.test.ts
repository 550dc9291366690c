import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Page, PageAnswer } from '../support/page.ts'
import { createSigningKey, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

/** How a response travels, and how a changed one is sent the same way. */
interface Way {
  readonly name: string
  readonly settings: string
  start(world: ScriptedWorld, page: Page, subject?: string): Promise<URLSearchParams>
  send(world: ScriptedWorld, page: Page, response: URLSearchParams): Promise<PageAnswer>
}

const login = 'agent: { rate_limits: { login: { requests: 99999 } } }\nlogin'
const byPage = (world: ScriptedWorld, page: Page, subject?: string) => world.start(page, {}, subject)
const byNavigation = async (world: ScriptedWorld, page: Page, subject?: string) =>
  world.server.authorize((await page.navigate('GET', '/oauth-agent/login')).headers.location ?? '', subject)
async function signed(world: ScriptedWorld, response: URLSearchParams): Promise<URLSearchParams> {
  const claims: Record<string, unknown> = { iss: undefined, ...Object.fromEntries(response) }
  return new URLSearchParams({ response: await world.server.signedResponse(claims) })
}

const ways: readonly Way[] = [
  {
    name: 'the query of the page',
    settings: `${login}: {}`,
    start: byPage,
    send: (_world, page, form) => page.call('POST', '/oauth-agent/login/end', { form }),
  },
  {
    name: 'a signed response',
    settings: `${login}: { response_mode: jwt }`,
    start: byPage,
    send: async (world, page, response) =>
      page.call('POST', '/oauth-agent/login/end', { form: await signed(world, response) }),
  },
  {
    name: 'a navigation',
    settings: `${login}: { navigation: { enabled: true } }`,
    start: byNavigation,
    send: (_world, page, query) => page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere' }),
  },
  {
    name: 'a posted form',
    settings: `${login}: { navigation: { enabled: true, response_mode: form_post } }`,
    start: byNavigation,
    send: (_world, page, form) => page.navigate('POST', '/oauth-agent/callback', { form, from: 'elsewhere' }),
  },
]

describe.each(ways)('an authorization response by $name', ({ name, settings, start, send }) => {
  let world: ScriptedWorld
  beforeAll(async () => {
    world = await startScriptedWorld({ settings })
  })
  afterAll(() => world.close())

  async function expectNobody(page: Page, answer: PageAnswer): Promise<void> {
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
    expect(answer.setCookies.filter((line) => !line.includes('Max-Age=0'))).toEqual([])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  }

  it('of another browser signs nobody in, and no token endpoint hears of it (C02, C29)', async () => {
    const [attacker, victim] = [world.browser(), world.browser()]
    const foreign = await start(world, attacker, 'mallory')
    const calls = world.server.count('token')
    // With no attempt of their own, and with one.
    await expectNobody(victim, await send(world, victim, foreign))
    await start(world, victim, 'alice')
    await expectNobody(victim, await send(world, victim, foreign))
    expect(world.server.count('token')).toBe(calls)
  })

  it('with the code of somebody else in the own state is not theirs (nonce, C02)', async () => {
    const [attacker, victim] = [world.browser(), world.browser()]
    const foreign = await start(world, attacker, 'mallory')
    const own = await start(world, victim, 'alice')
    own.set('code', foreign.get('code') ?? '')
    const answer = await send(world, victim, own)
    expect(answer.status).toBe(502)
    expect(world.told('login.failed').at(-1)?.fields['check']).toBe('nonce')
    expect((await victim.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
  })

  it('changed in any one place signs nobody in (C02, C10, C14)', async () => {
    const change = fc.oneof(
      fc.record({ kind: fc.constant('drop' as const), name: fc.constantFrom('code', 'state', 'iss') }),
      fc.record({
        kind: fc.constant('set' as const),
        name: fc.constantFrom('state', 'iss'),
        value: fc.oneof(fc.string({ maxLength: 60 }), fc.constantFrom('', ' ', 'null', '%00', '\u0000')),
      }),
      fc.record({ kind: fc.constant('cut' as const), name: fc.constantFrom('state', 'iss'), value: fc.nat(20) }),
      fc.record({ kind: fc.constant('case' as const), name: fc.constantFrom('state', 'iss') }),
      fc.record({ kind: fc.constant('add' as const), name: fc.constant('error'), value: fc.string({ minLength: 1 }) }),
    )
    await fc.assert(
      fc.asyncProperty(change, async (each) => {
        const page = world.browser()
        const response = await start(world, page)
        const present = response.get(each.name) ?? ''
        if (each.kind === 'drop') response.delete(each.name)
        if (each.kind === 'set') response.set(each.name, each.value)
        if (each.kind === 'cut') response.set(each.name, present.slice(0, -1 - each.value))
        if (each.kind === 'case') response.set(each.name, present.toUpperCase())
        if (each.kind === 'add') response.append(each.name, each.value)
        fc.pre((response.get(each.name) ?? '') !== present)
        await expectNobody(page, await send(world, page, response))
      }),
      { numRuns: 25 },
    )
  })

  it('works once (BCP-4)', async () => {
    const page = world.browser()
    const response = await start(world, page)
    expect((await send(world, page, response)).status).toBe(200)
    const thief = world.browser()
    await expectNobody(thief, await send(world, thief, response))
  })

  if (name === 'a signed response') {
    it('signed by somebody else, or moved into plain parameters, is refused', async () => {
      const stranger = await createSigningKey()
      const page = world.browser()
      const good = await start(world, page)
      const forged = await world.server.signedResponse(Object.fromEntries(good), { key: stranger })
      await expectNobody(page, await page.call('POST', '/oauth-agent/login/end', { form: { response: forged } }))
      const plain = world.browser()
      const form = await start(world, plain)
      await expectNobody(plain, await plain.call('POST', '/oauth-agent/login/end', { form }))
      const both = world.browser()
      const response = await signed(world, await start(world, both))
      for (const [key, value] of await start(world, both)) response.append(key, value)
      const answer = await both.call('POST', '/oauth-agent/login/end', { form: response })
      // Beside a signed response plain parameters count for nothing.
      expect([answer.status, answer.json()['is_logged_in']]).toEqual([200, true])
    })
  } else {
    it('with any parameter twice is refused (C10)', async () => {
      for (const parameter of ['code', 'state', 'iss', 'anything']) {
        const page = world.browser()
        const response = await start(world, page)
        if (!response.has(parameter)) response.append(parameter, 'x')
        response.append(parameter, response.get(parameter) ?? '')
        await expectNobody(page, await send(world, page, response))
      }
    })
  }
})
