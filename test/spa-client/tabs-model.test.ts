import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createProfile, failure, json, type Profile, type Tab } from './profile.ts'
import { modelSearch } from '../support/model-search.ts'
import { turns } from '../support/turns.ts'

/** What happens in one of the tabs, or in the browser as a whole, and how long the agent's next answers take. */
const acts = [
  'fetch',
  'fetch',
  'refresh',
  'check',
  'load',
  'sign-out',
  'other user',
  'step-up',
  'time',
  'sleep',
  'network gone',
  'agent busy',
  'cache',
] as const
const act = fc.record({
  kind: fc.constantFrom(...acts),
  tab: fc.integer({ min: 0, max: 2 }),
  latency: fc.integer({ min: 0, max: 8 }),
  pause: fc.integer({ min: 0, max: 4 }),
})
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never

interface Kept {
  readonly sub: string
  readonly createdAt: number
  generation: number
  accessEndsAt: number
  ended: boolean
  /** The same user has signed in again; the agent gives a refresh that crosses with that no cookies. */
  followed: boolean
}

/**
 * An agent whose answers take their time: what a request finds is what the cookies were when it was sent, and what its
 * answer does to the cookies is done when that arrives.
 */
function slowAgent(profile: Profile, now: () => number) {
  const sessions: Kept[] = []
  const newSession = (sub: string): Kept => {
    const kept = {
      sub,
      createdAt: 100 + sessions.length,
      generation: 1,
      accessEndsAt: now() + 60_000,
      ended: false,
      followed: false,
    }
    sessions.push(kept)
    return kept
  }
  /** What took its place in the browser, or whose place it took, ends as well. */
  const end = ({ sub }: Kept) => {
    for (const kept of sessions) if (kept.sub === sub) kept.ended = true
  }
  const state = { latency: 0, refreshing: 0, most: 0, busy: 0, nextUser: 'u1', cookie: undefined as Kept | undefined }
  state.cookie = newSession('u1')
  const view = ({ generation, createdAt, accessEndsAt }: Kept) => ({
    access_token_expires_in: Math.round((accessEndsAt - now()) / 1000),
    session: {
      generation,
      created_at: createdAt,
      expires_in: 28_800,
      idle_expires_in: 900,
      refresh_in: Math.max(0, Math.round((accessEndsAt - now()) / 1000) - 20),
    },
  })
  const signedIn = (kept: Kept) => ({ is_logged_in: true, id_token_claims: { sub: kept.sub }, ...view(kept) })
  const delay = () => turns(state.latency)
  profile.answers['GET /oauth-agent/session'] = async () => {
    const kept = state.cookie
    const answer = json(kept && !kept.ended ? signedIn(kept) : { is_logged_in: false })
    await delay()
    return answer
  }
  profile.answers['POST /oauth-agent/refresh'] = async () => {
    const kept = state.cookie
    state.most = Math.max(state.most, ++state.refreshing)
    try {
      await delay()
      if (state.busy > 0) {
        state.busy--
        return failure(503, 'authorization_server_unavailable', { retry_after: 1 })
      }
      if (kept?.followed) return failure(503, 'refresh_in_progress', { retry_after: 1 })
      if (kept === undefined || kept.ended) return failure(401, kept ? 'session_expired' : 'session_missing')
      kept.generation += 1
      kept.accessEndsAt = now() + 60_000
      const answer = json(view(kept))
      await delay()
      if (!kept.ended && !kept.followed) state.cookie = kept
      return answer
    } finally {
      state.refreshing--
    }
  }
  profile.answers['POST /oauth-agent/login/end'] = async () => {
    const before = state.cookie
    const kept = newSession(state.nextUser)
    if (before && before.sub !== kept.sub) end(before)
    else if (before) before.followed = true
    const answer = json({ ...signedIn(kept), return_to: '/after' })
    await delay()
    state.cookie = kept
    return answer
  }
  profile.answers['POST /oauth-agent/logout'] = async () => {
    if (state.cookie) end(state.cookie)
    await delay()
    state.cookie = undefined
    return json({ logout_url: 'https://op.example/end' })
  }
  profile.answers['GET /api/orders'] = async () => {
    const kept = state.cookie
    const answer =
      kept === undefined || kept.ended
        ? failure(401, kept ? 'session_expired' : 'session_missing')
        : kept.accessEndsAt <= now()
          ? failure(401, 'access_token_expired')
          : json({ orders: [] })
    await delay()
    return answer
  }
  return state
}

it('whatever tabs do at once, all calls come to an end, no two refresh at once, and all see in the end who is signed in', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ locks: fc.boolean(), channel: fc.boolean() }),
      fc.array(act, { minLength: 1, maxLength: 12 }),
      async (has, plan) => {
        const profile = createProfile()
        const agent = slowAgent(profile, profile.now)
        const tabs = [profile.openTab(has), profile.openTab(has), profile.openTab(has)]
        await Promise.all(tabs.map(({ tokenHandler }) => tokenHandler.onPageLoad()))
        const unsettled = new Set<string>()
        const busy = new Set<Tab>()
        const begin = (name: string, call: Promise<unknown>) => {
          unsettled.add(name)
          const settle = () => unsettled.delete(name)
          call.then(settle, settle)
        }

        const run = async ({ kind, tab: index, latency, pause }: Act, at: number) => {
          const tab = tabs[index] as Tab
          // Who is there after a sign-in and a sign-out at once, nobody can say; nor tell of what nobody waits for any more.
          const isAlone = ['sign-out', 'other user', 'step-up', 'network gone'].includes(kind)
          if (isAlone ? busy.size > 0 : kind === 'load' && busy.has(tab)) return
          agent.latency = latency
          const name = `${at} ${kind}`
          if (kind === 'fetch') begin(name, tab.tokenHandler.fetch('/api/orders'))
          else if (kind === 'refresh') begin(name, tab.tokenHandler.refresh())
          else if (kind === 'check') begin(name, tab.tokenHandler.check())
          else if (kind === 'load') {
            tabs[index] = profile.openTab(has)
            tab.tokenHandler.close()
            begin(name, tabs[index].tokenHandler.onPageLoad())
          } else if (kind === 'sign-out') {
            busy.add(tab)
            begin(
              name,
              tab.tokenHandler.signOut().finally(() => busy.delete(tab)),
            )
          } else if (kind === 'other user' || kind === 'step-up') {
            if (kind === 'other user') agent.nextUser = `u${at + 2}`
            else agent.nextUser = agent.cookie?.sub ?? 'u1'
            const back = profile.openTab({ ...has, href: 'https://app.example/callback?code=c&state=s' })
            tab.tokenHandler.close()
            tabs[index] = back
            busy.add(back)
            begin(
              name,
              back.tokenHandler.onPageLoad().finally(() => busy.delete(back)),
            )
          } else if (kind === 'time') await profile.pass(20_000)
          else if (kind === 'sleep') profile.sleep(45_000)
          else if (kind === 'network gone') {
            profile.goOffline()
            await turns(latency)
            tab.goOnline()
          } else if (kind === 'agent busy') agent.busy = latency
          else {
            tab.enterCache()
            await turns(latency)
            tab.leaveCache()
          }
          await turns(pause)
        }
        for (const [at, each] of plan.entries()) await run(each, at)
        agent.latency = 0
        agent.busy = 0
        for (let round = 0; round < 4; round++) {
          await turns(60)
          await profile.pass(2000)
        }
        await profile.pass(30_000)
        await turns(60)

        expect([...unsettled]).toEqual([])
        if (has.locks) expect(agent.most).toBeLessThan(2)
        // Without a channel a tab learns of the others when it asks.
        if (!has.channel) await Promise.all(tabs.map(({ tokenHandler }) => tokenHandler.check()))
        const there =
          agent.cookie !== undefined && !agent.cookie.ended ? [agent.cookie.sub, agent.cookie.createdAt] : []
        const seen = tabs.map(({ tokenHandler }) => {
          const { isLoggedIn, claims, createdAt } = tokenHandler.session()
          return isLoggedIn ? [claims['sub'], createdAt] : []
        })
        expect(seen).toEqual(tabs.map(() => there))
      },
    ),
    modelSearch(300),
  )
})
