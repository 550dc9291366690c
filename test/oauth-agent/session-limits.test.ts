import { describe, expect, it } from 'vitest'
import { type Page, refresh, statusAndCode } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

const minute = 60
const hour = 60 * minute
const day = 24 * hour

async function inWorld(settings: string, run: (world: ScriptedWorld, page: Page) => Promise<void>): Promise<void> {
  const world = await startScriptedWorld({ settings })
  const page = world.browser()
  await world.signIn(page)
  await run(world, page)
  await world.close()
}

/** Refreshes with activity in steps that the idle limit allows, for `seconds` in all. */
async function stayActive(world: ScriptedWorld, page: Page, seconds: number, step: number): Promise<void> {
  for (let passed = 0; passed < seconds; passed += step) {
    world.clock.pass(Math.min(step, seconds - passed))
    expect((await refresh(page)).status).toBe(200)
  }
}

describe('the named limits of NIST SP 800-63B-4 (NI-1, NI-2)', () => {
  it.each([
    ['aal1', 30 * day, 30 * day, 10 * day],
    ['aal2', day, hour, 50 * minute],
    ['aal3', 12 * hour, 15 * minute, 14 * minute],
  ])('%s: over at the end of its longest time, however active the user is', (profile, absolute, idle, step) =>
    inWorld(`session: { profile: ${profile} }`, async (world, page) => {
      const first = (await page.call('GET', '/oauth-agent/session')).json()['session'] as Record<string, number>
      expect([first['expires_in'], first['idle_expires_in']]).toEqual([absolute, idle])
      await stayActive(world, page, absolute - 30, step)
      const last = (await page.call('GET', '/oauth-agent/session')).json()['session'] as Record<string, number>
      // Nothing reaches beyond the end: neither the idle limit nor an access token.
      expect(last['idle_expires_in']).toBe(last['expires_in'])
      expect(world.open(page).accessTokenExpiresAt).toBeLessThanOrEqual(world.open(page).absoluteExpiresAt)
      world.clock.pass(31)
      const over = await refresh(page)
      // The browser has dropped the cookies by itself; a copy of them is of no use either.
      expect(over.status).toBe(401)
      expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
    }),
  )

  it.each([
    ['aal2', hour],
    ['aal3', 15 * minute],
  ])('%s: over without activity, although a timer goes on refreshing', (profile, idle) =>
    inWorld(`session: { profile: ${profile} }`, async (world, page) => {
      const step = idle / 4
      for (let passed = step; passed < idle; passed += step) {
        world.clock.pass(step)
        expect((await refresh(page, { activity: 'background' })).status).toBe(200)
      }
      world.clock.pass(step)
      expect(statusAndCode(await refresh(page, { activity: 'background' }))).toEqual([401, 'session_expired'])
      expect(page.jar.names('localhost')).toEqual([])
    }),
  )

  it('over also where the limit comes while a refresh is under way; what it brings is revoked', () =>
    inWorld('session: { profile: aal3 }', async (world, page) => {
      world.clock.pass(15 * minute - 1)
      world.server.script.token = async (form) => {
        const reply = await world.server.tokens(form)
        world.clock.pass(2)
        return reply
      }
      const answer = await refresh(page, { activity: 'background' })
      expect(statusAndCode(answer)).toEqual([401, 'session_expired'])
      expect(world.told('session.ended').map(({ fields }) => fields['cause'])).toEqual(['idle_limit'])
      expect(world.server.count('revocation')).toBe(1)
    }))

  it('over, but signed out of: its tokens are revoked all the same, since a copy of them may be elsewhere', () =>
    inWorld('session: { profile: aal3 }', async (world, page) => {
      world.clock.pass(15 * minute)
      expect((await page.call('POST', '/oauth-agent/logout')).status).toBe(200)
      expect(world.server.count('revocation')).toBe(2)
      expect(world.told('session.ended').map(({ fields }) => fields['cause'])).toEqual(['logout'])
    }))

  it('an access token that would live longer ends with its session, from the sign-in on', () =>
    inWorld('session: { idle_seconds: 100, absolute_seconds: 100 }', (world, page) => {
      const { accessTokenExpiresAt, absoluteExpiresAt, createdAt } = world.open(page)
      expect([accessTokenExpiresAt - createdAt, absoluteExpiresAt - createdAt]).toEqual([100, 100])
      return Promise.resolve()
    }))

  it('looking at the session is no activity', () =>
    inWorld('session: { profile: aal3 }', async (world, page) => {
      for (let passed = 0; passed < 14; passed += 7) {
        world.clock.pass(7 * minute)
        expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
      }
      world.clock.pass(minute)
      expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
    }))

  it('a stolen copy of the cookies stays signed out for as long as its session would have lived', () =>
    inWorld('session: { idle_seconds: 28800, absolute_seconds: 28800 }', async (world, page) => {
      const header = page.jar.header('localhost', '/', 'same-site') ?? ''
      await page.call('POST', '/oauth-agent/logout')
      for (const passed of [minute, hour, 6 * hour, hour + 58 * minute]) {
        world.clock.pass(passed)
        const answer = await world.browser().call('GET', '/oauth-agent/session', { headers: { cookie: header } })
        expect(answer.json()).toEqual({ is_logged_in: false })
      }
    }))

  it('a stolen copy of the cookies dies with the session, although no browser watches over Max-Age', () =>
    inWorld('session: { profile: aal3 }', async (world, page) => {
      const header = page.jar.header('localhost', '/', 'same-site') ?? ''
      world.clock.pass(15 * minute)
      const thief = world.browser()
      const answer = await thief.call('POST', '/oauth-agent/refresh', { headers: { cookie: header } })
      expect(statusAndCode(answer)).toEqual([401, 'session_expired'])
      expect(world.server.count('token')).toBe(1)
    }))
})
