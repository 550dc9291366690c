import { afterEach, expect, it } from 'vitest'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

const generous = 'agent: { rate_limits: { login: { requests: 99999 } } }'

it('500 sign-ins in flight, answered in any order: every browser gets its own user (C04, C05)', {
  // What it may cost is counted below, in calls; the time is only there to end what hangs.
  timeout: 120_000,
}, async () => {
  world = await startScriptedWorld({ settings: generous, maxConcurrentRequests: 200 })
  // Each call lets another one go that came earlier, so answers come back in an order of their own.
  const held: (() => void)[] = []
  let turn = 0
  const letOneGo = () => held.splice((turn++ * 7) % Math.max(held.length, 1), 1)[0]?.()
  world.server.script.token = async (form) => {
    if (held.length >= 20) letOneGo()
    await new Promise<void>((resolve) => held.push(resolve))
    return world.server.tokens(form)
  }
  // The last ones have nobody who comes after them.
  const sweeping = setInterval(letOneGo, 1)
  const users = Array.from({ length: 500 }, (_, index) => `user-${index}`)
  const subjects = await Promise.all(
    users.map(async (user, index) => {
      const page = world.browser()
      const end = await world.signIn(page, {}, user)
      if (index % 4 === 0) await page.call('POST', '/oauth-agent/refresh')
      const { subject, generation } = world.open(page)
      return [end.status, subject, generation]
    }),
  )
  clearInterval(sweeping)
  expect(subjects).toEqual(users.map((user, index) => [200, user, index % 4 === 0 ? 2 : 1]))
  const calls = (['metadata', 'jwks', 'token'] as const).map((endpoint) => world.server.count(endpoint))
  expect([...calls, world.server.requests.length]).toEqual([1, 1, 500 + 125, 627])
})
