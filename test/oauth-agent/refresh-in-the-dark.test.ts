import { request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../shared/clock.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { endLogin, isSignedIn, type Page, refresh, statusAndCode } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

let world: ScriptedWorld
afterEach(() => world.close())

/** A shared store that is away: what each replica knows by itself stays, also who has signed out; every other call fails. */
function storeThatIsAway(): Store {
  const memory = createMemoryStore({ clock: systemClock })
  const away = () => Promise.reject(new StoreUnavailable())
  return { ...memory, available: false, acquire: away, get: away, put: away, count: away }
}

describe('while the shared store is away', () => {
  it('one process still asks once for 20 tabs', async () => {
    world = await startScriptedWorld({ store: storeThatIsAway() })
    const page = world.browser()
    await world.signIn(page)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => refresh(world.tab({ ...page, jar: page.jar.copy() }))),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(world.tap.grants('refresh_token')).toHaveLength(1)
  })

  it('the loser of a race between replicas keeps its cookies; only who comes back in vain is signed out (RT-4, D02)', async () => {
    world = await startScriptedWorld({ store: storeThatIsAway(), replicas: 2 })
    const page = world.browser()
    await world.signIn(page)
    const loser = world.tab({ ...page, jar: page.jar.copy() })
    world.balance = () => 0
    expect((await refresh(page)).status).toBe(200)
    world.balance = () => 1
    const lost = await refresh(loser)
    expect([lost.status, lost.json()['error_code'], lost.setCookies]).toEqual([503, 'refresh_in_progress', []])
    // Another tab of the loser is no second try: the winner's answer may be on its way still.
    const asked = world.server.count('token')
    const beside = await refresh(world.tab({ ...page, jar: loser.jar.copy() }))
    expect([beside.status, beside.json()['error_code'], beside.setCookies]).toEqual([503, 'refresh_in_progress', []])
    expect(world.server.count('token')).toBe(asked)
    // The browser has the winner's cookies by now; a browser that had not would be told on its second try.
    world.clock.pass(1)
    const again = await refresh(loser)
    expect([again.status, again.json()['error_code']]).toEqual([401, 'session_expired'])
  })

  it('a store that fails once the tokens are there costs nobody anything', async () => {
    const fail = () => Promise.reject(new RangeError('broken'))
    const memory = createMemoryStore({ clock: systemClock })
    const acquire: Store['acquire'] = async (key, holdMs) => ({ ...(await memory.acquire(key, holdMs)), release: fail })
    world = await startScriptedWorld({ store: { ...memory, acquire, put: fail } })
    const page = world.browser()
    await world.signIn(page)
    const late = world.tab({ ...page, jar: page.jar.copy() })
    expect((await refresh(page)).status).toBe(200)
    expect((await refresh(late)).status).toBe(200)
    expect(world.tap.grants('refresh_token')).toHaveLength(1)
  })

  it('a process that refreshed before knows what came of it, for a tab that comes late (D01)', async () => {
    const memory = createMemoryStore({ clock: systemClock })
    const store = { ...memory }
    world = await startScriptedWorld({ store })
    const page = world.browser()
    await world.signIn(page)
    const late = world.tab({ ...page, jar: page.jar.copy() })
    expect((await refresh(page)).status).toBe(200)
    Object.assign(store, storeThatIsAway())
    expect((await refresh(late)).status).toBe(200)
    expect(world.tap.grants('refresh_token')).toHaveLength(1)
  })

  it('one process uses the code of a response once, however late it comes again', async () => {
    world = await startScriptedWorld({ store: storeThatIsAway() })
    const page = world.browser()
    const query = await world.start(page)
    const [again, late] = [1, 2].map(() => world.tab({ ...page, jar: page.jar.copy() }))
    expect((await endLogin(page, query)).status).toBe(200)
    if (again === undefined || late === undefined) throw new Error('no tabs')
    expect((await endLogin(again, query)).status).toBe(200)
    expect(world.open(again).sessionId).toBe(world.open(page).sessionId)
    world.clock.pass(31)
    expect(statusAndCode(await endLogin(late, query))).toEqual([409, 'login_restart_required'])
    expect(world.server.count('token')).toBe(1)
  })

  it('a sign-out ends also the step-up that this process let take the place of its session', async () => {
    world = await startScriptedWorld({ store: storeThatIsAway() })
    const page = world.browser()
    await world.signIn(page)
    const signingOut = world.tab({ ...page, jar: page.jar.copy() })
    world.server.script.token = (form) => world.server.tokens(form, {}, { acr: 'high' })
    expect((await world.signIn(page, { acr_values: 'high' })).status).toBe(200)
    expect((await signingOut.call('POST', '/oauth-agent/logout')).status).toBe(200)
    expect(await isSignedIn(page)).toBe(false)
  })

  it('a request that crosses with the sign-in of another user does not sign that one out', async () => {
    world = await startScriptedWorld({ store: storeThatIsAway() })
    const page = world.browser()
    await world.signIn(page)
    const late = world.tab({ ...page, jar: page.jar.copy() })
    expect((await world.signIn(page, {}, 'bob')).status).toBe(200)
    const answer = await refresh(late)
    expect([...statusAndCode(answer), answer.setCookies]).toEqual([401, 'session_missing', []])
  })

  it('signing in and out goes on', async () => {
    world = await startScriptedWorld({ store: storeThatIsAway() })
    const page = world.browser()
    expect((await world.signIn(page)).status).toBe(200)
    expect((await page.call('POST', '/oauth-agent/logout')).status).toBe(200)
    expect(world.server.count('revocation')).toBe(2)
  })
})

describe('answers that do not arrive', () => {
  /** Sends a refresh and hangs up once the authorization server was asked. */
  async function hangUp(page: Page): Promise<void> {
    const before = world.server.count('token')
    const { port } = new URL(world.publicOrigin)
    const client = request({
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/oauth-agent/refresh',
      headers: {
        host: `localhost:${port}`,
        'token-handler-version': '1',
        'sec-fetch-site': 'same-origin',
        cookie: page.jar.header('localhost', '/', 'same-site') ?? '',
      },
    })
    client.on('error', () => {})
    client.end()
    await expect.poll(() => world.server.count('token')).toBe(before + 1)
    client.destroy()
  }

  it('a browser that hung up gets the new cookies when it asks again with its old ones (D09)', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    const go = world.server.holdRefresh()
    await hangUp(page)
    go()
    const answer = await refresh(page)
    expect([answer.status, world.tap.grants('refresh_token').length]).toEqual([200, 1])
  })

  it('when the rotated token was lost on the way, one 401 and a new sign-in, never a loop (FI-04)', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    const good = world.server.script.token
    world.server.script.token = async (form, request) => {
      await good(form, request)
      return 'cut' as const
    }
    expect((await refresh(page)).json()['error_code']).toBe('token_response_lost')
    world.server.script.token = good
    const answer = await refresh(page)
    expect([answer.status, answer.json()['error_code']]).toEqual([401, 'session_expired'])
    expect((await page.call('GET', '/oauth-agent/session')).json()).toEqual({ is_logged_in: false })
    expect((await world.signIn(page)).status).toBe(200)
  })

  it('with a grace interval the same is no loss at all', async () => {
    world = await startScriptedWorld()
    const page = world.browser()
    await world.signIn(page)
    world.server.script.token = () => 'cut'
    await refresh(page)
    world.server.script.token = (form) => world.server.tokens(form)
    expect((await refresh(page)).status).toBe(200)
  })
})
