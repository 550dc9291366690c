import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { EndedEntry } from '../../shared/store/store.ts'
import { mfaLevel } from '../../spa-example/openid-provider.ts'
import { endLogin, type Page, refresh, statusAndCode } from '../support/page.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings: 'agent: { rate_limits: { login: { requests: 999 } } }' })
})
afterAll(() => world.close())
beforeEach(() => {
  world.server.script.token = (form) => world.server.tokens(form)
})

const essential = (acr: object) => JSON.stringify({ id_token: { acr: { essential: true, ...acr } } })
const session = async (page: Page) => (await page.call('GET', '/oauth-agent/session')).json()
const revoked = () =>
  world.server.requests.flatMap(({ endpoint, form }) => (endpoint === 'revocation' ? [form.get('token')] : []))

describe('a step-up (OID-9, OID-10, X-3)', () => {
  it('that succeeds is a session of its own, whole and new (CK-17)', async () => {
    const page = world.browser()
    await world.signIn(page)
    const before = world.open(page)
    world.clock.pass(10)
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    const answer = await world.signIn(page, { acr_values: 'high', return_to: '/pay' })
    expect(answer.json()).toMatchObject({ return_to: '/pay', session: { acr: 'high', generation: 1 } })
    const after = world.open(page)
    expect(after.sessionId).not.toBe(before.sessionId)
    expect(after.createdAt).toBeGreaterThan(before.createdAt)
    expect(world.told('login.completed').at(-1)?.fields).toMatchObject({ step_up: true, acr: 'high' })
  })

  it.each<[string, Record<string, string>, Record<string, unknown>]>([
    ['another level', { acr_values: 'high higher' }, { acr: 'low' }],
    ['no level', { acr_values: 'high' }, { acr: undefined }],
    ['a level that begins alike', { acr_values: 'high' }, { acr: 'highest' }],
    ['both levels as one', { acr_values: 'high higher' }, { acr: 'high higher' }],
    ['another level than the essential one', { claims: essential({ values: ['high', 'higher'] }) }, { acr: 'low' }],
    ['no essential level', { claims: essential({ value: 'high' }) }, { acr: undefined }],
    [
      'a level of one list only',
      { acr_values: 'high low', claims: essential({ values: ['high', 'higher'] }) },
      { acr: 'low' },
    ],
    ['an old authentication', { max_age: '60' }, { auth_time: 1000 }],
    ['an old authentication for max_age 0', { max_age: '0' }, { auth_time: Math.floor(Date.now() / 1000) - 40 }],
  ])('that comes back with %s is refused, and the old session stays', async (_what, form, claims) => {
    const page = world.browser()
    await world.signIn(page)
    const before = world.open(page)
    world.server.script.token = (tokenForm) => world.server.tokens(tokenForm, {}, claims)
    expect(statusAndCode(await world.signIn(page, form))).toEqual([403, 'step_up_not_reached'])
    expect(world.open(page)).toEqual(before)
    expect(
      world.told('login.completed').filter(({ fields }) => fields['step_up'] === true && fields['acr'] === 'low'),
    ).toEqual([])
  })

  it('may ask for its level by an essential claim, and brings the same user (OpenID Connect Core §5.5.1.1)', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    const form = { claims: essential({ values: ['high'] }) }
    expect(statusAndCode(await world.signIn(page, form, 'bob'))).toEqual([403, 'step_up_not_reached'])
    expect((await world.signIn(page, form)).json()).toMatchObject({ session: { acr: 'high' } })
  })

  it('that the user cancels, or the server cannot do, leaves the old session', async () => {
    for (const [error, expected] of [
      ['access_denied', [403, 'access_denied']],
      ['unmet_authentication_requirements', [403, 'step_up_not_reached']],
    ] as const) {
      const page = world.browser()
      await world.signIn(page)
      const query = await world.start(page, { acr_values: 'high' })
      query.delete('code')
      query.set('error', error)
      expect(statusAndCode(await page.call('POST', '/oauth-agent/login/end', { form: query }))).toEqual(expected)
      expect((await session(page))['is_logged_in']).toBe(true)
    }
  })

  it('does not stop refreshes of the old session while it goes on', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' })
    expect((await page.call('POST', '/oauth-agent/refresh')).status).toBe(200)
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    const answer = await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect(answer.json()).toMatchObject({ session: { acr: 'high', generation: 1 } })
  })

  it.each<[string, Record<string, string>, [number, string]]>([
    ['a step-up', { acr_values: 'high' }, [409, 'login_restart_required']],
    ['a silent sign-in', { prompt: 'none' }, [401, 'login_required']],
  ])('%s does not undo a sign-out of another tab', async (_what, form, expected) => {
    world.server.script.token = (tokenForm) => world.server.tokens(tokenForm, {}, { acr: 'high' })
    for (const when of ['before the code is sent', 'while the code is sent']) {
      const page = world.browser()
      await world.signIn(page)
      const other = world.tab(page)
      const query = await world.start(page, form)
      const sent = world.server.count('token')
      if (when === 'before the code is sent') await other.call('POST', '/oauth-agent/logout')
      else {
        world.server.script.token = async (tokenForm) => {
          await other.call('POST', '/oauth-agent/logout')
          return world.server.tokens(tokenForm, {}, { acr: 'high' })
        }
      }
      expect(statusAndCode(await page.call('POST', '/oauth-agent/login/end', { form: query }))).toEqual(expected)
      expect(world.told('login.failed').at(-1)?.fields['check']).toBe('ended')
      expect(world.server.count('token')).toBe(when === 'before the code is sent' ? sent : sent + 1)
      expect((await session(page))['is_logged_in']).toBe(false)
    }
  })

  it.each([
    ['a sign-out', (page: Page) => page.call('POST', '/oauth-agent/logout'), [false, undefined]],
    ['another user', (page: Page) => world.signIn(page, {}, 'bob'), [true, 'bob']],
  ])('whose answer is on its way when %s arrives does not undo that', async (_what, overtake, expected) => {
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' })
    const tab = world.tab({ ...page, jar: page.jar.copy() })
    const late = await endLogin(tab, query)
    expect(late.status).toBe(200)
    await overtake(page)
    const seen = async (of: Page) => {
      const { is_logged_in, id_token_claims } = await session(of)
      return [is_logged_in, (id_token_claims as { sub?: string } | undefined)?.sub]
    }
    expect(await seen(page)).toEqual(expected)
    for (const line of late.setCookies) page.jar.take('localhost', line)
    expect(await seen(page)).toEqual([false, undefined])
  })

  it('does not undo a sign-out that comes when the tokens are there and nobody knows yet what the new session follows', async () => {
    const unused = { access_token: 'unused-access', refresh_token: 'unused-refresh' }
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = (form) => world.server.tokens(form, unused, { acr: 'high' })
    const other = world.tab({ ...page, jar: page.jar.copy() })
    const { get, put, end } = world.store
    let signedOut = false
    let begun: string | undefined
    const ended: string[] = []
    onTestFinished(() => void Object.assign(world.store, { get, put, end }))
    Object.assign(world.store, {
      async get(key: string) {
        if (key.startsWith('followed:') && !signedOut) {
          signedOut = true
          expect((await other.call('POST', '/oauth-agent/logout')).status).toBe(200)
        }
        return get(key)
      },
      put(...given: Parameters<typeof put>) {
        if (given[0].startsWith('followed:')) begun = given[1].split(' ')[1]
        return put(...given)
      },
      async end(entry: EndedEntry) {
        for (let turns = 0; turns < 9; turns += 1) await new Promise(setImmediate)
        await end(entry)
        if (entry.kind === 'session') ended.push(entry.sessionId)
      },
    })
    const answer = await world.signIn(page, { acr_values: 'high' })
    expect([signedOut, ...statusAndCode(answer)]).toEqual([true, 409, 'login_restart_required'])
    // Whoever was given its cookies as well, by the same response on another replica, is signed out by now.
    expect(ended).toContain(begun)
    expect((await session(page))['is_logged_in']).toBe(false)
    await expect.poll(revoked).toEqual(expect.arrayContaining(Object.values(unused)))
  })

  it('that was overtaken by a sign-out leaves no tokens behind', async () => {
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = async (form) => {
      await world.tab(page).call('POST', '/oauth-agent/logout')
      return world.server.tokens(form, { access_token: 'late-access', refresh_token: 'late-refresh' }, { acr: 'high' })
    }
    await world.signIn(page, { acr_values: 'high' })
    await expect.poll(revoked).toEqual(expect.arrayContaining(['late-access', 'late-refresh']))
  })

  it('takes no place of another user who has signed in since', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' })
    await world.signIn(world.tab(page), {}, 'bob')
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(statusAndCode(await page.call('POST', '/oauth-agent/login/end', { form: query }))).toEqual([
      409,
      'login_restart_required',
    ])
    expect(await session(page)).toMatchObject({ id_token_claims: { sub: 'bob' } })
  })

  it('takes no place of another user either where nobody could end the session that it began in', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' })
    for (const name of page.jar.names('localhost'))
      if (!name.includes('-login-')) page.jar.tamper('localhost', name, 'x')
    await world.signIn(world.tab(page), {}, 'bob')
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect(statusAndCode(await page.call('POST', '/oauth-agent/login/end', { form: query }))).toEqual([
      409,
      'login_restart_required',
    ])
    expect(await session(page)).toMatchObject({ id_token_claims: { sub: 'bob' } })
  })

  it('is not taken back by a refresh of the session before it that was under way', async () => {
    const page = world.browser()
    await world.signIn(page)
    const before = page.jar.copy()
    const calls = world.server.count('token')
    const go = world.server.holdRefresh()
    const refreshing = refresh(world.tab(page))
    await expect.poll(() => world.server.count('token')).toBe(calls + 1)
    const query = await world.start(page, { acr_values: 'high' })
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect((await endLogin(page, query)).status).toBe(200)
    const { sessionId } = world.open(page)
    go()
    const late = await refreshing
    expect([...statusAndCode(late), late.setCookies]).toEqual([503, 'refresh_in_progress', []])
    // One that was sent before the page had its new cookies comes a little later.
    const crossed = await refresh(world.tab({ ...page, jar: before.copy() }))
    expect([...statusAndCode(crossed), crossed.setCookies]).toEqual([503, 'refresh_in_progress', []])
    expect(world.open(page)).toMatchObject({ sessionId, acr: 'high' })
    expect((await refresh(page)).status).toBe(200)
    expect(world.open(page)).toMatchObject({ sessionId, acr: 'high' })
    // A browser that never heard of the step-up keeps the session that it has.
    world.clock.pass(11)
    expect((await refresh(world.tab({ ...page, jar: before }))).status).toBe(200)
  })

  it('is not signed out by a refresh of the session before it, whose token the server gave up for it', async () => {
    const page = world.browser()
    await world.signIn(page)
    const before = page.jar.copy()
    const query = await world.start(page, { acr_values: 'high' })
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect((await endLogin(page, query)).status).toBe(200)
    world.server.script.token = () => ({ status: 400, body: { error: 'invalid_grant' } })
    const late = world.tab({ ...page, jar: before })
    for (const _again of [1, 2]) {
      const answer = await refresh(late)
      expect([...statusAndCode(answer), answer.setCookies]).toEqual([503, 'refresh_in_progress', []])
    }
    // A browser that never heard of the step-up has to sign in again.
    world.clock.pass(11)
    expect(statusAndCode(await refresh(late))).toEqual([401, 'session_expired'])
  })

  it('of two tabs at the same time succeeds in both', async () => {
    const page = world.browser()
    await world.signIn(page)
    const form = { acr_values: 'high' }
    const queries = [await world.start(page, form), await world.start(page, form)]
    world.server.script.token = (tokenForm) => world.server.tokens(tokenForm, {}, { acr: 'high' })
    for (const query of queries) {
      expect((await page.call('POST', '/oauth-agent/login/end', { form: query })).status).toBe(200)
    }
  })

  it('needs the same user even when the session cannot be read any more in the meantime', async () => {
    const page = world.browser()
    await world.signIn(page)
    const query = await world.start(page, { acr_values: 'high' }, 'bob')
    for (const name of page.jar.names('localhost'))
      if (!name.includes('-login-')) page.jar.tamper('localhost', name, 'x')
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    const answer = await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect(statusAndCode(answer)).toEqual([403, 'step_up_not_reached'])
    expect(world.told('login.failed').at(-1)?.fields['check']).toBe('sub')
    expect((await session(page))['is_logged_in']).toBe(false)
  })
})

describe('a silent sign-in (prompt=none)', () => {
  it.each(['login_required', 'consent_required', 'interaction_required', 'account_selection_required'])(
    '%s is told as it is, and who is signed in stays so',
    async (error) => {
      const page = world.browser()
      await world.signIn(page)
      const query = await world.start(page, { prompt: 'none' })
      query.delete('code')
      query.set('error', error)
      const answer = await page.call('POST', '/oauth-agent/login/end', { form: query })
      expect([...statusAndCode(answer), answer.json()['prompt']]).toEqual([401, error, 'none'])
      expect((await session(page))['is_logged_in']).toBe(true)
    },
  )

  it.each([
    ['access_denied', { prompt: 'none' }],
    ['consent_required', {}],
    ['login_required', { prompt: 'login' }],
  ])('that fails is not told from another by %s after %j', async (error, asked) => {
    const page = world.browser()
    const query = await world.start(page, asked)
    query.delete('code')
    query.set('error', error)
    const answer = await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect([answer.json()['error_code'], answer.json()['prompt']]).toEqual([error, undefined])
  })

  it('never puts another user into the place of the one who is signed in', async () => {
    const page = world.browser()
    await world.signIn(page)
    expect(statusAndCode(await world.signIn(page, { prompt: 'none' }, 'bob'))).toEqual([401, 'login_required'])
    expect(await session(page)).toMatchObject({ id_token_claims: { sub: 'alice' } })
    expect((await world.signIn(page, { prompt: 'none' })).status).toBe(200)
    expect(world.told('login.completed').at(-1)?.fields['step_up']).toBe(false)
  })

  it('signs in whoever is signed in there when nobody is signed in here', async () => {
    const page = world.browser()
    expect((await world.signIn(page, { prompt: 'none' }, 'bob')).json()).toMatchObject({
      id_token_claims: { sub: 'bob' },
    })
  })

  it('an ordinary sign-in, which the user sees, may change the user', async () => {
    const page = world.browser()
    await world.signIn(page)
    expect((await world.signIn(page, {}, 'bob')).json()).toMatchObject({ id_token_claims: { sub: 'bob' } })
  })
})

it('with the real oidc-provider: a second factor, then a fresh authentication', async () => {
  const real = await startProviderWorld()
  const page = real.browser()
  await page.signIn()
  const stepped = await page.signIn('alice', { acr_values: mfaLevel })
  expect(stepped.json()).toMatchObject({ is_logged_in: true, session: { acr: mfaLevel } })
  const fresh = await page.signIn('alice', { max_age: '0', prompt: 'login' })
  expect(fresh.json()).toMatchObject({ is_logged_in: true })
  expect((fresh.json()['session'] as Record<string, unknown>)['auth_time']).toBeGreaterThan(0)
  await real.close()
})
