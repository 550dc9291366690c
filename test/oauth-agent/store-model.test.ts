import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type BreakableServer, createBreakableServer, faults } from '../support/breakable-store.ts'
import { outcomeSeconds } from '../../oauth-agent/flows/turn.ts'
import type { CookieJar } from '../support/cookie-jar.ts'
import { endLogin, isSignedIn, logOutByToken, type Page, type PageAnswer, refresh } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { worldTimeoutMs } from '../support/world.ts'
import { modelSearch } from '../support/model-search.ts'
import { turns } from '../support/turns.ts'

const replicas = 3
const replica = fc.integer({ min: 0, max: replicas - 1 })

/** What the tabs of one browser do at once, each at a replica and after `pause` turns of the event loop. */
const acts = [
  'refresh',
  'refresh',
  'refresh',
  'refresh',
  'response twice',
  'navigation',
  'step-up',
  'sign-out',
  'logout token',
] as const
const act = fc.record({
  kind: fc.constantFrom(...acts),
  at: replica,
  pause: fc.integer({ min: 0, max: 12 }),
  fate: fc.constantFrom('arrives', 'arrives', 'arrives', 'arrives last', 'is lost'),
})
/** What becomes of the store at the beginning of a step; `anew` stands for a server that was started again, and is empty. */
const weather = fc.oneof(
  fc.constantFrom('same', 'same', 'back', 'anew', 'away' as const),
  fc.record({ awayFor: replica }),
)
const step = fc.record({
  weather,
  faults: fc.array(fc.array(fc.constantFrom(...faults), { maxLength: 12 }), { minLength: 0, maxLength: replicas }),
  together: fc.array(act, { minLength: 1, maxLength: 4 }),
  passSeconds: fc.integer({ min: 0, max: 4 }),
})

/** For how long a lock proves little after the store was away: a turn at its longest, and what it leaves. */
const longestTurnMs = 4 * worldTimeoutMs + 3000 + outcomeSeconds * 1000

type Act = typeof act extends fc.Arbitrary<infer T> ? T : never

let world: ScriptedWorld
let stores: BreakableServer
beforeAll(async () => {
  const settings = `
agent: { rate_limits: { login: { requests: 99999 }, refresh: { requests: 99999 }, session: { requests: 99999 } } }
logout: { backchannel: true }
login: { navigation: { enabled: true } }`
  world = await startScriptedWorld({
    replicas,
    settings,
    storesOf: (clock) => {
      stores = createBreakableServer({ clock, replicas, whileLocked: () => void passWhileLocked() })
      return stores.stores
    },
  })
  world.balance = ({ headers }) => Number(headers['x-replica'] ?? 0)
})
afterAll(() => world.close())

/** Whoever waits for a lock asks again by the clock, which nobody else moves; but no call may run into its time limit by this. */
async function passWhileLocked(): Promise<void> {
  do await turns(8)
  while (world.tap.calls.some(({ status }) => status === undefined))
  world.clock.pass(0.05)
}

/** The tab, of which this replica answers all requests. */
function at(page: Page, index: number): Page {
  return {
    ...page,
    call: (method, path, options = {}) =>
      page.call(method, path, { ...options, headers: { ...options.headers, 'x-replica': String(index) } }),
    navigate: (method, path, options = {}) =>
      page.navigate(method, path, { ...options, headers: { ...options.headers, 'x-replica': String(index) } }),
  }
}

/** A tab whose answers reach the browser when `deliver` is called, requests being sent with what is there by then. */
function slowTab(page: Page): { readonly tab: Page; deliver(): void } {
  const waiting: (() => void)[] = []
  const jar: CookieJar = { ...page.jar, take: (host, line) => waiting.push(() => page.jar.take(host, line)) > 0 }
  return { tab: world.tab({ ...page, jar }), deliver: () => waiting.splice(0).forEach((take) => take()) }
}

/** A token or code that the authorization server had accepted before. */
interface Reuse {
  readonly token: string
  readonly by: number
  readonly step: number
  readonly first: { readonly by: number; readonly step: number; readonly atSeconds: number }
}

/** Watches which replica presents which token, from now on. */
function watchTokens(): { look(step: number): readonly Reuse[] } {
  const accepted = new Map<string, Reuse['first']>()
  world.tap.calls.length = 0
  let looked = 0
  return {
    look(step) {
      const reuses: Reuse[] = []
      for (const { endpoint, form, replica: by, status } of world.tap.calls.slice(looked)) {
        const token = form.get('refresh_token') ?? form.get('code')
        if (endpoint !== 'token' || token === null) continue
        const first = accepted.get(token)
        if (first !== undefined) reuses.push({ token, by, step, first })
        if (status === 200) accepted.set(token, { by, step, atSeconds: world.clock.nowSeconds() })
      }
      looked = world.tap.calls.length
      return reuses
    },
  }
}

function answered(answer: PageAnswer, statuses: readonly number[]): PageAnswer {
  expect(statuses, `${answer.status} ${answer.text}`).toContain(answer.status)
  return answer
}

/** Whether a tab with a copy of these cookies is signed in, as this replica sees it. */
async function isOpen(page: Page, jar: CookieJar, index: number): Promise<unknown> {
  return isSignedIn(at(world.tab({ ...page, jar: jar.copy() }), index))
}

/** What a step starts before all else: what begins after a sign-out is another matter. */
async function begin({ kind, at: index }: Act, page: Page, subject: string): Promise<URLSearchParams | undefined> {
  const tab = at(page, index)
  if (kind === 'step-up') return world.start(tab, { acr_values: 'high' }, subject)
  if (kind === 'response twice') return world.start(tab, {}, subject)
  if (kind !== 'navigation') return undefined
  const { headers } = await tab.navigate('GET', '/oauth-agent/login?acr_values=high')
  return world.server.authorize(String(headers.location), subject)
}

/** What of this user is over for good: of a sign-out on all replicas once the store is back, of a logout token on all that it reaches. */
interface Over {
  readonly subject: string
  readonly signedOut: CookieJar[]
  readonly loggedOut: CookieJar[]
}

/** Does one act and checks its answer; gives true for what ends the session. */
async function perform(each: Act, tab: Page, query: URLSearchParams | undefined, over: Over): Promise<boolean> {
  const { kind, pause, at: index } = each
  const before = tab.jar.copy()
  if (kind === 'refresh') {
    const reachedForMs = world.clock.steadyMs() - (stores.stores[index]?.reachedSinceMs ?? 0)
    const answer = answered(await refresh(tab), [200, 401, 503])
    const clears = answer.status === 401 && answer.setCookies.length > 0 && (await isOpen(tab, before, index)) === true
    if (!clears || reachedForMs >= longestTurnMs) return false
    const refusals = world.tap.calls.filter(({ replica: by, status }) => by === index && status === 400)
    expect(refusals.length, 'the first refusal is in doubt').toBeGreaterThan(1)
  } else if (kind === 'step-up') {
    answered(await endLogin(tab, query), [200, 400, 409, 503])
  } else if (kind === 'navigation') {
    const path = `/oauth-agent/callback?${query}`
    answered(await tab.navigate('GET', path, { from: 'elsewhere' }), [200, 409, 503])
  } else if (kind === 'response twice') {
    const again = turns(pause * 2).then(() => endLogin(at(tab, (index + (pause % 2)) % replicas), query))
    for (const answer of await Promise.all([endLogin(tab, query), again])) answered(answer, [200, 400, 409, 503])
  } else if (kind === 'sign-out') {
    answered(await tab.call('POST', '/oauth-agent/logout'), [200])
    over.signedOut.push(before)
    expect(await isOpen(tab, before, index)).toBe(false)
    return true
  } else {
    const token = await world.server.logoutToken({ sub: over.subject })
    const { status } = answered(await logOutByToken(at(world.browser(), index), { logout_token: token }), [200, 503])
    if (status === 200) over.loggedOut.push(before)
    return true
  }
  return false
}

it('N12: whatever becomes of the store, nobody is signed out but by two replicas that know nothing of each other, and what has ended stays so', {
  timeout: 60_000,
}, async () => {
  let users = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), fc.boolean(), async (steps, isOld) => {
      const subject = `user-${users++}`
      const page = world.browser()
      const over: Over = { subject, signedOut: [], loggedOut: [] }
      world.server.script.token = async (form) => {
        await turns(form.get('grant_type') === 'refresh_token' ? 3 : 5)
        return world.server.tokens(form, {}, form.get('grant_type') === 'authorization_code' ? { acr: 'high' } : {})
      }
      stores.restart()
      await settle()
      // Long enough for a lock to prove something again.
      if (isOld) world.clock.pass(longestTurnMs / 1000)
      const tokens = watchTokens()
      /** Replicas by step of which a command failed in it, or which had no connection. */
      const troubled: Set<number>[] = []

      /** True when a token was used again, which ends the session of its browser. */
      const isLost = (ended: boolean): boolean => {
        const reuses = tokens.look(troubled.length - 1).filter(({ token }) => {
          // A code whose session ended before it began is worth nothing to anybody.
          return !(ended && token.startsWith('code'))
        })
        for (const { by, first, token } of reuses) {
          // What came of a token is kept for half a minute.
          if (world.clock.nowSeconds() - first.atSeconds >= outcomeSeconds) continue
          const since = troubled.slice(first.step)
          const knewNothing = by !== first.by && since.some((each) => each.has(by) || each.has(first.by))
          expect(knewNothing, `${token}, accepted from ${first.by} in step ${first.step}, again from ${by}`).toBe(true)
        }
        return reuses.length > 0
      }

      let isIn = false
      for (const { weather: now, faults: broken, together, passSeconds } of steps) {
        const trouble = new Set<number>(now === 'anew' ? stores.stores.keys() : [])
        troubled.push(trouble)
        if (now === 'anew') stores.restart()
        for (const [index, store] of stores.stores.entries()) {
          if (now === 'back') store.reach(true)
          if (now === 'away' || (typeof now === 'object' && now.awayFor === index)) store.reach(false)
        }
        const failed = stores.stores.map(({ failures }) => failures)
        if (!isIn) {
          await turns(30)
          answered(await at(page, 0).call('POST', '/oauth-agent/logout'), [200])
          answered(await world.signIn(at(page, 0), {}, subject), [200])
        }
        const queries = new Map<Act, URLSearchParams | undefined>()
        for (const each of together) queries.set(each, await begin(each, page, subject))
        stores.stores.forEach((store, index) => (store.faults = [...(broken[index] ?? [])]))
        const run = async (each: Act): Promise<boolean> => {
          const slow = slowTab(page)
          const tab = each.fate === 'arrives' ? world.tab(page) : slow.tab
          await turns(each.pause)
          const ends = await perform(each, at(tab, each.at), queries.get(each), over)
          await turns(30)
          if (each.fate === 'arrives last') slow.deliver()
          return ends
        }
        const ended = (await Promise.all(together.map(run))).includes(true)
        for (const store of stores.stores) store.faults = []
        await turns(40)
        for (const [index, { failures, available }] of stores.stores.entries()) {
          if (failures !== failed[index] || !available) trouble.add(index)
        }

        const lost = isLost(ended)
        for (const jar of over.loggedOut) {
          for (const [index, { available }] of stores.stores.entries()) {
            if (available) expect(await isOpen(page, jar, index), `logged out, at ${index}`).toBe(false)
          }
        }
        // One process alone knows enough; and a sign-in that is no step-up may begin a session beside a sign-out.
        const places = new Set(trouble.size === 0 ? stores.stores.keys() : together.map((each) => each.at))
        const holds = trouble.size === 0 || places.size === 1
        if (ended && holds && !together.some(({ kind }) => kind === 'response twice')) {
          for (const index of places)
            expect(await isOpen(page, page.jar, index), `in the step, at ${index}`).toBe(false)
        }
        isIn = !ended && !lost
        // Until then requests of the session before may be on their way (flows/replaced-session.ts).
        world.clock.pass(1 + passSeconds + ([...queries.values()].some((query) => query !== undefined) ? 11 : 0))
        if (isIn) expect(await isOpen(page, page.jar, 0), 'in the step').toBe(true)
      }

      await settle()
      troubled.push(new Set())
      for (const jar of [...over.signedOut, ...over.loggedOut]) {
        for (const index of stores.stores.keys())
          expect(await isOpen(page, jar, index), `over, at ${index}`).toBe(false)
      }
      for (const index of stores.stores.keys()) {
        const first = isIn ? await refresh(at(page, index)) : undefined
        if (first === undefined || isLost(false)) break
        // A lock that was taken although nobody heard of it ends by itself.
        if (first.status === 503) world.clock.pass(longestTurnMs / 1000 - outcomeSeconds)
        const { status } = first.status === 503 ? await refresh(at(page, index)) : first
        if (isLost(false)) break
        expect(status, `a refresh at the end, at ${index}`).toBe(200)
        world.clock.pass(1)
      }
      expect(world.told('internal.failed')).toEqual([])
    }),
    modelSearch(20),
  )
})

/** Brings the store back for everybody, and lets all that is under way arrive. */
async function settle(): Promise<void> {
  for (const store of stores.stores) {
    store.faults = []
    store.reach(true)
  }
  await turns(60)
}
