import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Reply, type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

/** What happens to one refresh: to its call at the authorization server, if it makes one, and to its answer on the way home. */
const fates = ['arrives', 'arrives', 'arrives', 'arrives last', 'is lost'] as const
const faults = ['none', 'none', 'none', '503', '429', 'reset', 'invalid_client'] as const

const step = fc.record({
  tabs: fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 4 }),
  fault: fc.constantFrom(...faults),
  passSeconds: fc.integer({ min: 0, max: 4 }),
})

const replies: Readonly<Record<(typeof faults)[number], Reply | undefined>> = {
  none: undefined,
  '503': { status: 503, body: '' },
  '429': { status: 429, body: '' },
  reset: 'reset',
  invalid_client: { status: 401, body: { error: 'invalid_client' } },
}

let world: ScriptedWorld
beforeAll(async () => {
  const settings =
    'agent: { rate_limits: { login: { requests: 99999 }, refresh: { requests: 99999 }, session: { requests: 99999 } } }'
  world = await startScriptedWorld({ replicas: 3, settings })
})
afterAll(() => world.close())

it('N12: whatever tabs, replicas, faults and late answers do within half a minute, nobody is signed out and no token is used twice', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
      const page = world.browser()
      world.server.script.token = (form) => world.server.tokens(form)
      await world.signIn(page)
      world.tap.calls.length = 0

      for (const { tabs, fault, passSeconds } of steps) {
        world.server.script.token = (form) => replies[fault] ?? world.server.tokens(form)
        const before = page.jar.copy()
        const answers = await Promise.all(
          tabs.map(() => world.tab({ ...page, jar: before.copy() }).call('POST', '/oauth-agent/refresh')),
        )
        for (const answer of answers) {
          expect([200, 502, 503]).toContain(answer.status)
          if (answer.status !== 200) expect(answer.setCookies).toEqual([])
        }
        // The browser hears of them in any order: the last one heard wins, whichever generation it holds.
        const heard = answers
          .map((answer, index) => ({ answer, fate: tabs[index] }))
          .filter(({ fate }) => fate !== 'is lost')
        const late = heard.filter(({ fate }) => fate === 'arrives last')
        for (const { answer } of [...heard.filter(({ fate }) => fate === 'arrives'), ...late]) {
          for (const line of answer.setCookies) page.jar.take('localhost', line)
        }
        world.clock.pass(passSeconds)
      }

      // Enough time for every circuit to close again, and still within the half minute.
      world.server.script.token = (form) => world.server.tokens(form)
      world.clock.pass(5)
      for (let round = 0; round < 2; round++) {
        const answer = await page.call('POST', '/oauth-agent/refresh')
        expect(answer.status).toBe(200)
      }
      expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
      const spent = world.tap.grants('refresh_token').filter(({ status }) => status === 200)
      const tokens = spent.map(({ form }) => form.get('refresh_token'))
      expect(new Set(tokens).size).toBe(tokens.length)
    }),
    { numRuns: 15 },
  )
})
