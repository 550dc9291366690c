import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { jwt } from '../support/installation.ts'
import { endLogin, isSignedIn, type Page, refresh } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import { createShiftedClock } from '../support/shifted-clock.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ replicas: 2, settings })
})
afterAll(() => world.close())
beforeEach(() => world.server.reset())

const settings = `
agent: { rate_limits: { login: { requests: 99999 } } }
login: { navigation: { enabled: true }, max_attempts: 10 }
session: { idle_seconds: 300 }
`
/** Starts a sign-in by navigation; gives the query with which the browser comes back. */
async function navigate(page: Page, asked = '', user = 'alice'): Promise<URLSearchParams> {
  const start = await page.navigate('GET', `/oauth-agent/login${asked}`)
  return world.server.authorize(start.headers.location ?? '', user)
}
const comeBack = (page: Page, query: URLSearchParams) =>
  page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere' })
const userOf = async (page: Page) => {
  const { id_token_claims: claims } = (await page.call('GET', '/oauth-agent/session')).json()
  return (claims as { sub?: string } | undefined)?.sub
}
const codeOf = ({ status, headers }: Awaited<ReturnType<typeof comeBack>>) => [status, headers['token-handler-error']]

it('C35 a refresh that set out before the idle limit does not come back over the user who signed in after it', async () => {
  const page = world.browser()
  await world.signIn(page)
  const query = await world.start(page, {}, 'bob')
  const go = world.server.holdRefresh()
  world.clock.pass(299)
  const calls = world.server.count('token')
  const refreshing = refresh(page)
  await expect.poll(() => world.server.count('token')).toBe(calls + 1)
  world.clock.pass(2)
  // It clears the cookies, so that the sign-in does not hear of that session.
  expect(await isSignedIn(page)).toBe(false)
  expect((await endLogin(page, query)).status).toBe(200)
  go()
  expect([...codeOf(await refreshing), (await refreshing).setCookies]).toEqual([401, 'session_expired', []])
  expect(await userOf(page)).toBe('bob')
})

it('nor does it revoke what the same user has got by signing in after it, at a server with one grant for both', async () => {
  const page = world.browser()
  await world.signIn(page)
  const query = await world.start(page)
  const go = world.server.holdRefresh()
  world.clock.pass(299)
  const calls = world.server.count('token')
  const refreshing = refresh(world.tab(page))
  await expect.poll(() => world.server.count('token')).toBe(calls + 1)
  world.clock.pass(2)
  expect((await endLogin(page, query)).status).toBe(200)
  const revoked = world.server.count('revocation')
  go()
  expect([...codeOf(await refreshing), (await refreshing).setCookies]).toEqual([503, 'refresh_in_progress', []])
  expect(world.server.count('revocation')).toBe(revoked)
  expect(await userOf(page)).toBe('alice')
})

it('nor does it come back over a step-up that ended after it, when their session had left the browser', async () => {
  const page = world.browser()
  await world.signIn(page)
  const query = await world.start(page, { acr_values: 'high' })
  const go = world.server.holdRefresh()
  world.clock.pass(299)
  const calls = world.server.count('token')
  const refreshing = refresh(world.tab(page))
  await expect.poll(() => world.server.count('token')).toBe(calls + 1)
  world.clock.pass(2)
  expect(await isSignedIn(page)).toBe(false)
  world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
  expect((await endLogin(page, query)).status).toBe(200)
  go()
  expect([...codeOf(await refreshing), (await refreshing).setCookies]).toEqual([503, 'refresh_in_progress', []])
})

describe('an attempt of one tab while another tab signs in', () => {
  it.each<[string, string, string]>([
    ['a step-up', '?acr_values=high', 'login_restart_required'],
    ['a silent sign-in', '?prompt=none', 'login_required'],
  ])('%s by navigation takes no place of another user, although their session is kept back', async (...row) => {
    const [, asked, code] = row
    const page = world.browser()
    await world.signIn(page)
    const query = await navigate(page, asked)
    // Nothing marks a session as ended that has reached its limit.
    world.clock.pass(301)
    await world.signIn(page, {}, 'bob')
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(codeOf(await comeBack(page, query))[1]).toBe(code)
    expect(await userOf(page)).toBe('bob')
  })

  it('a step-up by another user ends with its session for as long as one that begins now can last', async () => {
    const store = createMemoryStore({ clock: createShiftedClock() })
    const ends: number[] = []
    const end: typeof store.end = (entry) => {
      if (entry.kind === 'session') ends.push(entry.ttlSeconds)
      return store.end(entry)
    }
    const twoHours = settings.replace('idle_seconds: 300', 'absolute_seconds: 7200')
    const watched = await startScriptedWorld({ settings: twoHours, store: { ...store, end } })
    const page = watched.browser()
    await watched.signIn(page)
    await watched.start(page, { acr_values: 'high' })
    for (const part of ['at', 'rt', 'id']) page.jar.tamper('localhost', `__Host-Http-th-${part}`, 'x')
    await watched.signIn(page, {}, 'bob')
    expect(ends).toEqual([expect.toSatisfy((seconds: number) => seconds > 7100 && seconds <= 7200)])
    await watched.close()
  })

  it.each(['page', 'navigation'])(
    'a step-up by %s takes none either where the store has lost the end of a session',
    async (by) => {
      const store = createMemoryStore({ clock: createShiftedClock() })
      // As the oldest entries of its list are, after a flood of them.
      const end = () => Promise.resolve()
      const away = await startScriptedWorld({ settings, store: { ...store, end } })
      const page = away.browser()
      await away.signIn(page)
      const started = by === 'page' ? undefined : await page.navigate('GET', '/oauth-agent/login?acr_values=high')
      const query =
        started === undefined
          ? await away.start(page, { acr_values: 'high' })
          : away.server.authorize(started.headers.location ?? '', 'alice')
      await away.signIn(page, {}, 'bob')
      away.server.script.token = (tokenForm) => away.server.tokens(tokenForm, {}, { acr: 'high' })
      const answer = by === 'page' ? await endLogin(page, query) : await comeBack(page, query)
      expect(codeOf(answer)).toEqual([409, 'login_restart_required'])
      expect(away.told('login.failed').at(-1)?.fields['check']).toBe('session')
      expect(await userOf(page)).toBe('bob')
      await away.close()
    },
  )

  it.each(['page', 'navigation'])(
    'a step-up by %s does not undo a sign-out of the session that came after',
    async (by) => {
      const page = world.browser()
      await world.signIn(page)
      const query =
        by === 'page' ? await world.start(page, { acr_values: 'high' }) : await navigate(page, '?acr_values=high')
      await world.signIn(page)
      world.clock.pass(120)
      await page.call('POST', '/oauth-agent/logout')
      world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
      const end = by === 'page' ? await endLogin(page, query) : await comeBack(page, query)
      expect(codeOf(end)).toEqual([409, 'login_restart_required'])
      expect(await isSignedIn(page)).toBe(false)
    },
  )

  it('a step-up of a session that had reached its limit does not undo a sign-out either', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' })
    world.clock.pass(301)
    await world.signIn(page)
    await page.call('POST', '/oauth-agent/logout')
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(codeOf(await endLogin(page, query))).toEqual([409, 'login_restart_required'])
    expect(await isSignedIn(page)).toBe(false)
  })

  it('nor does one that began beside another, when the session of both had left the browser before', async () => {
    const page = world.browser()
    await world.signIn(page)
    const first = await world.start(page, { acr_values: 'high' })
    const second = await world.start(page, { acr_values: 'high' })
    world.clock.pass(301)
    expect(await isSignedIn(page)).toBe(false)
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(codeOf(await endLogin(page, first))).toEqual([200, undefined])
    await page.call('POST', '/oauth-agent/logout')
    expect(codeOf(await endLogin(page, second))).toEqual([409, 'login_restart_required'])
    expect(await isSignedIn(page)).toBe(false)
  })

  it.each([
    ['page', 'alice'],
    ['navigation', 'alice'],
    ['page', 'bob'],
    ['navigation', 'bob'],
  ])('nor does one by %s of a session that had left the browser before %s signed in', async (by, next) => {
    const page = world.browser()
    await world.signIn(page)
    const stepUp = () =>
      by === 'page' ? world.start(page, { acr_values: 'high' }) : navigate(page, '?acr_values=high')
    const first = await stepUp()
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect((await (by === 'page' ? endLogin(page, await stepUp()) : comeBack(page, await stepUp()))).status).toBe(200)
    const second = await stepUp()
    world.clock.pass(301)
    // It clears the cookies, so that the sign-in does not hear of that session.
    expect(await isSignedIn(page)).toBe(false)
    await world.signIn(page, {}, next)
    await page.call('POST', '/oauth-agent/logout')
    for (const query of [first, second]) {
      const end = by === 'page' ? await endLogin(page, query) : await comeBack(page, query)
      expect(codeOf(end)).toEqual([409, 'login_restart_required'])
      expect(await isSignedIn(page)).toBe(false)
    }
  })

  it('nor does one of a session that had left the browser before the user signed in a dozen times', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' })
    world.clock.pass(301)
    expect(await isSignedIn(page)).toBe(false)
    for (let each = 0; each < 12; each += 1) await world.signIn(page)
    await page.call('POST', '/oauth-agent/logout')
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(codeOf(await endLogin(page, query))).toEqual([409, 'login_restart_required'])
    expect(await isSignedIn(page)).toBe(false)
  })

  it.each(['alice', 'bob'])(
    'nor does one of a session that would have ended a moment after %s signed out, and had time until long after',
    async (next) => {
      const short = await startScriptedWorld({
        replicas: 2,
        settings: 'session: { absolute_seconds: 120, idle_seconds: 120 }',
      })
      const page = short.browser()
      await short.signIn(page)
      short.clock.pass(115)
      const query = await short.start(page, { acr_values: 'high' })
      if (next === 'bob') await short.signIn(page, {}, next)
      await page.call('POST', '/oauth-agent/logout')
      short.clock.pass(120)
      short.server.script.token = (form) => short.server.tokens(form, {}, { acr: 'high' })
      expect(codeOf(await endLogin(page, query))).toEqual([409, 'login_restart_required'])
      expect(await isSignedIn(page)).toBe(false)
      await short.close()
    },
  )

  it('that is refused leaves the tokens of that session alone, which may hang on the same grant', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await navigate(page)
    world.server.script.token = (form) => world.server.tokens(form, {}, { nonce: 'other' })
    expect(codeOf(await comeBack(page, query))).toEqual([502, 'id_token_invalid'])
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await refresh(page)).status).toBe(200)
    expect(world.server.count('revocation')).toBe(0)
  })

  it('is not used twice, although the answer of the other tab sets its cookie again', async () => {
    const page = world.browser()
    const query = await navigate(page)
    const other = await world.start(page)
    const late = world.tab({ ...page, jar: page.jar.copy() })
    const { setCookies } = await endLogin(late, other)
    expect((await comeBack(page, query)).status).toBe(200)
    for (const line of setCookies) page.jar.take('localhost', line)
    world.clock.pass(40)
    const calls = world.server.count('token')
    await comeBack(page, query)
    expect(world.server.count('token')).toBe(calls)
  })

  it('whose response comes again beside the cookies of its own session leaves that free to refresh', async () => {
    const page = world.browser()
    const query = await world.start(page)
    const again = world.tab({ ...page, jar: page.jar.copy() })
    const { setCookies } = await endLogin(page, query)
    for (const line of setCookies) if (!line.includes('-login-')) again.jar.take('localhost', line)
    expect((await endLogin(again, query)).status).toBe(200)
    expect((await refresh(again)).status).toBe(200)
  })

  it('and nine large ones: the answer fits into the 16 KiB of a gateway, and the oldest start again', async () => {
    const page = world.browser()
    const queries: URLSearchParams[] = []
    for (let each = 0; each < 9; each += 1) {
      queries.push(await navigate(page, `?return_to=/${'x'.repeat(800)}`))
      world.clock.pass(1)
    }
    world.server.script.token = (form) => world.server.tokens(form, { access_token: jwt(5000) })
    const { status, headers, setCookies } = await world.signIn(page)
    expect(status).toBe(200)
    const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((each) => `${name}: ${each}`))
    expect(lines.join('\r\n').length).toBeLessThan(16_000)
    expect(
      setCookies.filter((line) => line.includes('-login-') && !line.includes('Max-Age=0;')).length,
    ).toBeGreaterThan(3)
    world.server.script.token = (form) => world.server.tokens(form)
    expect(codeOf(await comeBack(page, queries[0] ?? new URLSearchParams()))).toEqual([400, 'invalid_state'])
    expect(codeOf(await comeBack(page, queries[8] ?? new URLSearchParams()))).toEqual([200, undefined])
  })
})
