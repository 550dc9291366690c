import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BreakableServer, createBreakableServer, faults } from '../support/breakable-store.ts'
import type { Clock } from '../../shared/clock.ts'
import type { CookieJar } from '../support/cookie-jar.ts'
import { endLogin, isSignedIn, logOutByToken, type Page, refresh } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { modelSearch } from '../support/model-search.ts'
import { turns } from '../support/turns.ts'

/** What the tabs of one browser do at once, each after `pause` turns of the event loop. */
const acts = ['refresh', 'refresh', 'refresh', 'step-up', 'sign-out', 'logout token', 'other user'] as const
const fates = ['arrives', 'arrives', 'arrives last', 'is lost'] as const
const act = fc.record({
  kind: fc.constantFrom(...acts),
  pause: fc.integer({ min: 0, max: 12 }),
  fate: fc.constantFrom(...fates),
})
/** What becomes of the store before a step; `anew` stands for a server that was started again, and is empty. */
const weathers = ['same', 'back', 'anew', 'away', 'away'] as const
const step = fc.record({
  weather: fc.constantFrom(...weathers),
  broken: fc.array(fc.constantFrom(...faults), { maxLength: 12 }),
  together: fc.array(act, { minLength: 1, maxLength: 4 }),
  passSeconds: fc.integer({ min: 0, max: 4 }),
})

type Act = typeof act extends fc.Arbitrary<infer T> ? T : never

const settings = `
agent: { rate_limits: { login: { requests: 99999 }, refresh: { requests: 99999 }, session: { requests: 99999 } } }
logout: { backchannel: true }`
let world: ScriptedWorld
let stores: BreakableServer

async function start(replicas: number): Promise<void> {
  const whileLocked = () => void passWhileLocked()
  const storesOf = (clock: Clock) => (stores = createBreakableServer({ clock, replicas, whileLocked })).stores
  world = await startScriptedWorld({ replicas, settings, storesOf })
}

/** Whoever waits for a lock asks again by the clock, but no call may run into its time limit by this. */
async function passWhileLocked(): Promise<void> {
  do await turns(8)
  while (world.tap.calls.some(({ status }) => status === undefined))
  world.clock.pass(0.05)
}

/** A tab whose answers reach the browser when `deliver` is called, requests being sent with what is there by then. */
function slowTab(page: Page): { readonly tab: Page; deliver(): void } {
  const waiting: (() => void)[] = []
  const jar: CookieJar = { ...page.jar, take: (host, line) => waiting.push(() => page.jar.take(host, line)) > 0 }
  return { tab: world.tab({ ...page, jar }), deliver: () => waiting.splice(0).forEach((take) => take()) }
}

/** `breaksStore` has the store fail in every way; one process alone keeps all promises without it. */
async function checkSessions({ breaksStore }: { breaksStore: boolean }): Promise<void> {
  let users = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async (steps) => {
      const subject = `user-${users++}`
      const page = world.browser()
      world.server.script.token = async (form) => {
        await turns(form.get('grant_type') === 'refresh_token' ? 3 : 5)
        return world.server.tokens(form, {}, form.get('grant_type') === 'authorization_code' ? { acr: 'high' } : {})
      }
      world.tap.calls.length = 0

      for (const { weather, broken, together, passSeconds } of steps) {
        if (breaksStore) {
          if (weather === 'anew') stores.restart()
          for (const store of stores.stores) {
            if (weather === 'back') store.reach(true)
            if (weather === 'away') store.reach(false)
          }
        }

        if ((await isSignedIn(page)) !== true) await world.signIn(page, {}, subject)
        // Begun before the rest, for one that begins after a sign-out is another matter.
        const queries = new Map<Act, URLSearchParams>()
        for (const each of together) {
          if (each.kind === 'step-up') queries.set(each, await world.start(page, { acr_values: 'high' }, subject))
          if (each.kind === 'other user') queries.set(each, await world.start(page, {}, `${subject}-other`))
        }
        if (breaksStore) for (const store of stores.stores) store.faults = [...broken]
        const run = async (each: Act): Promise<boolean> => {
          const { kind, pause, fate } = each
          const slow = slowTab(page)
          const tab = fate === 'arrives' ? world.tab(page) : slow.tab
          await turns(pause)
          if (kind === 'refresh') {
            const { status } = await refresh(tab)
            expect([200, 401, 503]).toContain(status)
          } else if (kind === 'step-up' || kind === 'other user') {
            await endLogin(tab, queries.get(each))
          } else if (kind === 'sign-out') {
            expect((await tab.call('POST', '/oauth-agent/logout')).status).toBe(200)
          } else {
            const token = await world.server.logoutToken({ sub: subject })
            const { status } = await logOutByToken(world.browser(), { logout_token: token })
            expect(breaksStore ? [200, 503] : [200]).toContain(status)
          }
          await turns(20)
          if (fate === 'arrives last') slow.deliver()
          return kind === 'sign-out' || kind === 'logout token'
        }
        const ended = (await Promise.all(together.map(run))).includes(true)
        for (const store of stores.stores) store.faults = []
        const now = (await page.call('GET', '/oauth-agent/session')).json() as { id_token_claims?: { sub: string } }
        const seen = now.id_token_claims?.sub
        if (together.some(({ kind }) => kind === 'other user')) {
          const other = `${subject}-other`
          const mayBeNobody = together.some(
            ({ kind, fate }) =>
              kind === 'sign-out' || (kind === 'other user' ? fate === 'is lost' : fate === 'arrives last'),
          )
          expect(mayBeNobody ? [other, undefined] : [other], JSON.stringify(together)).toContain(seen)
          await page.call('POST', '/oauth-agent/logout')
          world.clock.pass(1 + passSeconds)
          continue
        }
        expect(seen, JSON.stringify(together)).toBe(ended ? undefined : subject)
        // Until then requests of the session before may be on their way (flows/replaced-session.ts).
        if (queries.size > 0) world.clock.pass(11)
        if (!ended) expect((await refresh(page)).status).toBe(200)
        world.clock.pass(1 + passSeconds)
      }

      const presented = world.tap.grants('refresh_token')
      const spent = presented.filter(({ status }) => status === 200).map(({ form }) => form.get('refresh_token'))
      expect(new Set(spent).size).toBe(spent.length)
      const refused = presented.filter(({ status }) => status === 400).map(({ form }) => form.get('refresh_token'))
      expect(refused.filter((token) => spent.includes(token))).toEqual([])
    }),
    modelSearch(25),
  )
}

describe.each([
  { where: 'at three replicas', replicas: 3, breaksStore: false },
  { where: 'at one process, whatever becomes of the store', replicas: 1, breaksStore: true },
])('$where', ({ replicas, breaksStore }) => {
  beforeAll(() => start(replicas))
  afterAll(() => world.close())

  it(
    'N12: whatever tabs do at once, a sign-out holds, nothing else signs anybody out, and no token is used twice',
    {
      timeout: 60_000,
    },
    () => checkSessions({ breaksStore }),
  )
})
