import { afterEach, expect, it } from 'vitest'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

const generous = 'agent: { rate_limits: { login: { requests: 99999 } } }'

it('500 sign-ins in flight, answered in any order: every browser gets its own user (C04, C05)', {
  timeout: 30_000,
}, async () => {
  world = await startScriptedWorld({ settings: generous, maxConcurrentRequests: 200 })
  const held: (() => void)[] = []
  world.server.script.token = async (form) => {
    await new Promise<void>((resolve) => held.push(resolve))
    return world.server.tokens(form)
  }
  // Lets them go in an order of its own, some at a time, for as long as any are held.
  let done = false
  const shuffle = async () => {
    for (let turn = 0; !done; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const go of held.splice((turn * 7) % (held.length + 1), 50)) go()
    }
  }
  const shuffling = shuffle()
  const users = Array.from({ length: 500 }, (_, index) => `user-${index}`)
  const subjects = await Promise.all(
    users.map(async (user) => {
      const page = world.browser()
      const end = await world.signIn(page, {}, user)
      const refreshed = await page.call('POST', '/oauth-agent/refresh')
      return [end.status, refreshed.status, world.open(page).subject]
    }),
  )
  done = true
  await shuffling
  expect(subjects).toEqual(users.map((user) => [200, 200, user]))
})
