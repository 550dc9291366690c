import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDice } from '../fuzz/mutate.ts'
import { endLogin, type Page, refresh } from '../support/page.ts'
import { openRaw, rawRequest } from '../support/raw-http.ts'
import { resolvable } from '../support/resolvable.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

/** Browsers that leave before they are answered: by closing a tab, by a network that breaks off, or on purpose. */

let world: ScriptedWorld
beforeEach(async () => {
  const much = '{ requests: 1000000, window_seconds: 60 }'
  world = await startScriptedWorld({
    settings: `agent: { rate_limits: { login: ${much}, session: ${much}, refresh: ${much} } }`,
  })
})
afterEach(() => world.close())

/** The bytes with which this page calls the agent. */
function bytesOf(page: Page, method: string, path: string, form = new URLSearchParams()): string {
  const lines = [
    `Host: ${new URL(world.publicOrigin).host}`,
    'token-handler-version: 1',
    'Sec-Fetch-Site: same-origin',
    `Cookie: ${page.jar.header('localhost', path, 'same-site') ?? ''}`,
    ...(method === 'GET' ? [] : [`Origin: ${world.publicOrigin}`, 'Content-Type: application/x-www-form-urlencoded']),
  ]
  return rawRequest(method, path, lines, method === 'GET' ? undefined : form.toString())
}

/** Sends these bytes and leaves, orderly or by a reset, once `until` has come. */
async function sendAndLeave(bytes: string, reset: boolean, until?: () => Promise<void>): Promise<void> {
  const { socket } = await openRaw(Number(new URL(world.publicOrigin).port))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await new Promise<unknown>((resolve) => (bytes === '' ? resolve(undefined) : socket.write(bytes, resolve)))
  await until?.()
  if (reset) socket.resetAndDestroy()
  else socket.destroy()
  await closed
}

describe('D21 whoever leaves while the authorization server is asked', () => {
  const ways = [false, true].flatMap((reset) => [
    ['/oauth-agent/refresh', reset] as const,
    ['/oauth-agent/login/end', reset] as const,
  ])
  it.each(ways)('%s, by a reset: %s: is answered when they come again, and it was asked once', async (path, reset) => {
    const page = world.browser()
    const isRefresh = path === '/oauth-agent/refresh'
    if (isRefresh) await world.signIn(page)
    const query = isRefresh ? new URLSearchParams() : await world.start(page)
    const before = world.server.count('token')
    const released = resolvable()
    world.tap.hold = (endpoint) => (endpoint === 'token' ? released.promise : Promise.resolve())
    await sendAndLeave(bytesOf(page, 'POST', path, query), reset, () =>
      expect.poll(() => world.server.count('token')).toBe(before + 1),
    )
    released.resolve()
    const again = await (isRefresh ? refresh(page) : endLogin(page, query))
    expect([again.status, world.server.count('token')]).toEqual([200, before + 1])
    expect(world.told('internal.failed')).toEqual([])
  })
})

it('FI-24: whoever leaves at any byte, at any endpoint, leaves nothing half done', async () => {
  const dice = createDice(24)
  const page = world.browser()
  const leaver = world.browser()
  await world.signIn(page)
  await world.signIn(leaver)
  for (let round = 0; round < 300; round++) {
    const requests = [
      () => bytesOf(page, 'GET', '/oauth-agent/session'),
      () => bytesOf(page, 'GET', '/oauth-agent/userinfo'),
      () => bytesOf(page, 'POST', '/oauth-agent/refresh', new URLSearchParams({ activity: 'user' })),
      () => bytesOf(world.browser(), 'POST', '/oauth-agent/login/start', new URLSearchParams({ prompt: 'login' })),
      () => bytesOf(world.browser(), 'POST', '/oauth-agent/login/end', new URLSearchParams({ code: 'c', state: 's' })),
      () => bytesOf(leaver, 'POST', '/oauth-agent/logout'),
    ]
    const bytes = requests[dice(requests.length)]?.() ?? ''
    // Every other one goes out whole, since what comes after that is where work is under way.
    await sendAndLeave(dice(2) === 0 ? bytes : bytes.slice(0, dice(bytes.length)), dice(2) === 0)
  }
  expect((await refresh(page)).status).toBe(200)
  expect(world.tap.grants('refresh_token')).toHaveLength(1)
  expect(world.told('internal.failed')).toEqual([])
  expect((await world.signIn(leaver)).status).toBe(200)
})
