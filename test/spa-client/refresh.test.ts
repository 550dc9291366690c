import { describe, expect, it } from 'vitest'
import { AgentError } from '../../spa-client/token-handler.ts'
import { createProfile, failure, json } from './profile.ts'

const refreshPath = '/oauth-agent/refresh'

describe('refresh across tabs', () => {
  it('makes one call for all tabs that ask at once', async () => {
    const profile = createProfile()
    const tabs = Array.from({ length: 10 }, () => profile.openTab())
    await Promise.all(tabs.map(({ tokenHandler }) => tokenHandler.onPageLoad()))
    profile.sleep(61_000)
    const answers = await Promise.all(tabs.map(({ tokenHandler }) => tokenHandler.fetch('/api/orders')))
    expect(answers.map(({ status }) => status)).toEqual(tabs.map(() => 200))
    expect(profile.calls(refreshPath)).toHaveLength(1)
  })

  it('asks for the generation after the lock is won, even where no message came', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab({ channel: false }), profile.openTab({ channel: false })]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    await one.tokenHandler.refresh()
    const session = await two.tokenHandler.refresh()
    expect(session.generation).toBe(2)
    expect(profile.calls(refreshPath)).toHaveLength(1)
  })

  it('does not take a token of another tab for new that is about to end itself', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab({ channel: false }), profile.openTab({ channel: false })]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    profile.sleep(30_000)
    await one.tokenHandler.refresh()
    profile.sleep(59_000)
    expect((await two.tokenHandler.refresh()).generation).toBe(3)
  })

  it('tells the other tabs, which then do nothing', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    const told: number[] = []
    two.tokenHandler.on('refreshed', ({ generation }) => told.push(generation ?? 0))
    await one.tokenHandler.refresh()
    await profile.settle()
    expect(told).toEqual([2])
    expect(two.tokenHandler.session().generation).toBe(2)
  })

  it('knows its agent with and without a slash at the end', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab({ agent: '/oauth-agent' }), profile.openTab({ agent: '/oauth-agent/' })]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    await one.tokenHandler.refresh()
    await profile.settle()
    expect(two.tokenHandler.session().generation).toBe(2)
  })

  it('goes on without a lock that another tab never gives back', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab({ locks: 'stuck' })
    await tokenHandler.onPageLoad()
    expect((await tokenHandler.refresh()).generation).toBe(2)
  })

  it('is not tried before expiry where the agent says that there is nothing to refresh with', async () => {
    const profile = createProfile()
    const answer = profile.answers['GET /oauth-agent/session']!
    profile.answers['GET /oauth-agent/session'] = async (request) => {
      const view = (await (await answer(request)).json()) as { session: object }
      return json({ ...view, session: { ...view.session, refresh_in: undefined } })
    }
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    profile.sleep(59_900)
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(200)
    expect(profile.calls(refreshPath)).toEqual([])
  })

  it('works without Web Locks', async () => {
    const profile = createProfile()
    const tab = profile.openTab({ locks: false })
    await tab.tokenHandler.onPageLoad()
    await Promise.all([tab.tokenHandler.refresh(), tab.tokenHandler.refresh()])
    expect(profile.calls(refreshPath)).toHaveLength(1)
  })

  it('waits as long as retry_after says and then succeeds', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    const refresh = profile.answers['POST /oauth-agent/refresh']!
    profile.answers['POST /oauth-agent/refresh'] = () => {
      profile.answers['POST /oauth-agent/refresh'] = refresh
      return failure(503, 'refresh_in_progress', { retry_after: 2 })
    }
    const refreshed = tokenHandler.refresh()
    await profile.pass(1900)
    expect(profile.calls(refreshPath)).toHaveLength(1)
    await profile.pass(200)
    expect((await refreshed).generation).toBe(2)
  })

  it('leaves the agent alone until a long retry_after is over', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    profile.answers['POST /oauth-agent/refresh'] = () =>
      failure(503, 'authorization_server_unavailable', { retry_after: 30 })
    const refused = { code: 'authorization_server_unavailable', retryAfter: 30 }
    await expect(tokenHandler.refresh()).rejects.toMatchObject(refused)
    await expect(tokenHandler.refresh()).rejects.toMatchObject(refused)
    expect(profile.calls(refreshPath)).toHaveLength(1)
    profile.sleep(31_000)
    await expect(tokenHandler.refresh()).rejects.toBeInstanceOf(AgentError)
    expect(profile.calls(refreshPath)).toHaveLength(2)
    expect(tokenHandler.session().isLoggedIn).toBe(true)
  })

  it('does not take a failed network for a sign-out', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    profile.goOffline()
    await expect(tokenHandler.refresh()).rejects.toBeInstanceOf(TypeError)
    expect(tokenHandler.session().isLoggedIn).toBe(true)
  })

  it('learns that the session is over, and says so once', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    const causes: string[] = []
    tokenHandler.on('signedOut', ({ cause }) => causes.push(cause))
    profile.answers['POST /oauth-agent/refresh'] = () => {
      profile.session.isLoggedIn = false
      return failure(401, 'session_expired')
    }
    await expect(tokenHandler.refresh()).rejects.toMatchObject({ code: 'session_expired' })
    expect([tokenHandler.session().isLoggedIn, causes]).toEqual([false, ['end']])
  })
})

describe('refresh ahead of expiry', () => {
  it('comes when the agent proposes it, earlier by the jitter', async () => {
    const profile = createProfile()
    profile.setRandom(1)
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    await profile.pass(35_900)
    expect(profile.calls(refreshPath)).toHaveLength(0)
    await profile.pass(200)
    expect(profile.calls(refreshPath)).toHaveLength(1)
  })

  it('does not happen in a tab that nobody looks at or touches, but when it is looked at again', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    await tab.tokenHandler.refresh()
    tab.visible = false
    await profile.pass(50_000)
    expect(profile.calls(refreshPath)).toHaveLength(1)
    tab.show()
    await profile.settle()
    expect(profile.calls(refreshPath)).toHaveLength(2)
  })

  it('is made up for after sleep', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    profile.sleep(300_000)
    tab.show()
    await profile.settle()
    expect(tab.tokenHandler.session().generation).toBe(2)
  })

  it('is tried again after a failure, now and then', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    profile.goOffline()
    await profile.pass(55_000)
    const tab = profile.openTab()
    tab.goOnline()
    await profile.pass(10_000)
    expect(tokenHandler.session().generation).toBe(2)
  })

  it('is tried again after a failure when the session was asked for meanwhile', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    const refresh = profile.answers['POST /oauth-agent/refresh']!
    profile.answers['POST /oauth-agent/refresh'] = () => failure(500, 'server_error')
    await profile.pass(41_000)
    await tokenHandler.check()
    profile.answers['POST /oauth-agent/refresh'] = refresh
    await profile.pass(15_000)
    expect(tokenHandler.session().generation).toBe(2)
  })

  it('waits once only, however often it was tried in vain', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    profile.answers['GET /oauth-agent/session'] = () => Promise.reject(new TypeError('Failed to fetch'))
    await profile.pass(41_000)
    for (let time = 0; time < 10; time += 1) {
      await profile.pass(6000)
      tab.show()
    }
    const before = profile.calls('/oauth-agent/session').length
    await profile.pass(100_000)
    expect(profile.calls('/oauth-agent/session').length - before).toBeLessThan(12)
  })

  it('is made up for when the network is back', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    profile.sleep(70_000)
    tab.goOnline()
    await profile.settle()
    expect(tab.tokenHandler.session().generation).toBe(2)
  })
})

describe('activity', () => {
  it('is told once, and an idle tab that goes on polling does not prolong the session', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    for (let minute = 0; minute < 5; minute += 1) {
      profile.sleep(61_000)
      await tokenHandler.fetch('/api/orders')
    }
    const bodies = profile.calls(refreshPath).map(({ body }) => body)
    expect(bodies[0]).toBe('')
    expect(new Set(bodies.slice(1))).toEqual(new Set(['activity=background']))
  })

  it('is told with the next refresh', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    await tab.tokenHandler.refresh()
    profile.sleep(1000)
    tab.touch()
    await tab.tokenHandler.refresh()
    expect(profile.calls(refreshPath).map(({ body }) => body)).toEqual(['', ''])
  })

  it('shortly before the idle limit prolongs the session at once, but not in a flood', async () => {
    const profile = createProfile()
    profile.limits.accessSeconds = 3600
    profile.session.accessEndsAt += 3_600_000
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    const warned: boolean[] = []
    tab.tokenHandler.on('expiring', ({ prolongable }) => warned.push(prolongable))
    await profile.pass(845_000)
    expect([warned, profile.calls(refreshPath).length]).toEqual([[true], 0])
    for (let key = 0; key < 5; key += 1) tab.touch()
    await profile.settle()
    expect(profile.calls(refreshPath)).toHaveLength(1)
    expect(tab.tokenHandler.session().idleEndsAt).toBeGreaterThan(profile.limits.idleEndsAt - 1000)
  })

  it('is asked for once, however often the same end is heard of', async () => {
    const profile = createProfile()
    profile.session.accessEndsAt += 3_600_000
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    let warnings = 0
    tokenHandler.on('expiring', () => (warnings += 1))
    await profile.pass(850_000)
    for (let check = 0; check < 4; check += 1) {
      await profile.pass(12_000)
      await tokenHandler.check()
    }
    expect(warnings).toBe(1)
  })

  it('does not press an agent that is away', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    profile.limits.idleEndsAt -= 800_000
    await tab.tokenHandler.onPageLoad()
    profile.answers['POST /oauth-agent/refresh'] = () => failure(500, 'server_error')
    profile.sleep(90_000)
    for (let key = 0; key < 5; key += 1) {
      tab.touch()
      await profile.settle()
    }
    expect(profile.calls(refreshPath)).toHaveLength(1)
  })

  it('cannot prolong the absolute limit', async () => {
    const profile = createProfile()
    profile.limits.endsAt -= 7.5 * 3_600_000
    profile.limits.idle = 3_600_000
    profile.limits.idleEndsAt += 3_600_000
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    const events: string[] = []
    tab.tokenHandler.on('expiring', ({ prolongable }) => events.push(`expiring ${prolongable}`))
    tab.tokenHandler.on('signedOut', ({ cause }) => events.push(`signedOut ${cause}`))
    await profile.pass(29.5 * 60_000)
    const before = profile.calls(refreshPath).length
    tab.touch()
    await profile.settle()
    expect(profile.calls(refreshPath)).toHaveLength(before)
    profile.session.isLoggedIn = false
    await profile.pass(60_000)
    expect(events).toEqual(['expiring false', 'signedOut end'])
  })
})

describe('a clock that is set back by hours', () => {
  const hours = 3 * 3_600_000

  it('does not make the user look idle', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    await tab.tokenHandler.refresh()
    profile.sleep(-hours)
    tab.touch()
    await tab.tokenHandler.refresh()
    await tab.tokenHandler.refresh()
    expect(profile.calls(refreshPath).map(({ body }) => body)).toEqual(['', '', 'activity=background'])
  })

  it('does not prolong the wait for an authorization server that was away', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    const refresh = profile.answers['POST /oauth-agent/refresh']!
    profile.answers['POST /oauth-agent/refresh'] = () =>
      failure(503, 'authorization_server_unavailable', { retry_after: 30 })
    await expect(tokenHandler.refresh()).rejects.toBeInstanceOf(AgentError)
    profile.answers['POST /oauth-agent/refresh'] = refresh
    profile.sleep(-hours)
    expect((await tokenHandler.refresh()).generation).toBe(2)
  })

  it('does not keep a tab from trying again', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    await tab.tokenHandler.refresh()
    profile.goOffline()
    await profile.pass(41_000)
    tab.visible = false
    await profile.pass(10_000)
    profile.sleep(-hours)
    tab.goOnline()
    await profile.settle()
    expect(tab.tokenHandler.session().generation).toBe(3)
  })

  it('that needs the user is not asked for again until the user does something', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    const refreshes = () => profile.calls('/oauth-agent/refresh').length
    profile.answers['POST /oauth-agent/refresh'] = () => failure(401, 'interaction_required')
    await profile.pass(300_000)
    expect(refreshes()).toBe(1)
    tab.touch()
    await profile.settle()
    expect(refreshes()).toBe(2)
  })

  it('that was refused because somebody signed in meanwhile is followed by those of the new session', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    const refresh = profile.answers['POST /oauth-agent/refresh']!
    profile.answers['POST /oauth-agent/refresh'] = () => {
      profile.session.createdAt += 1
      profile.session.accessEndsAt += 60_000
      profile.answers['POST /oauth-agent/refresh'] = refresh
      return failure(401, 'session_expired')
    }
    await profile.pass(120_000)
    expect(tab.tokenHandler.session().generation).toBeGreaterThan(1)
  })
})
