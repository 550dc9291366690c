import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CallOptions, Page, PageAnswer } from '../support/page.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

const sibling = 'http://localhost:1'
const settings = `
cors: { origins: ["${sibling}"] }
csrf: { token: required }
agent: { rate_limits: { session: { requests: 60 } } }
`
const direct = '/oauth-agent/session'
/** A query means nothing to this endpoint, but with one the target is another, and Koa answers. */
const throughKoa = `${direct}?koa`

let world: ScriptedWorld
let signedIn: Page
let over: Page
beforeAll(async () => {
  world = await startScriptedWorld({ settings })
  over = world.browser()
  await world.signIn(over)
  world.clock.pass(9 * 3600)
  signedIn = world.browser()
  await world.signIn(signedIn)
})
afterAll(() => world.close())

/** Everything that a browser can see but what differs each time. */
function visible({ status, headers, setCookies, text }: PageAnswer): unknown {
  const { date: _, 'x-request-id': requestId, ...rest } = headers
  return { status, headers: rest, hasId: /^[0-9a-f]{32}$/.test(String(requestId)), setCookies, text }
}

/** What was told of the request since `from`, without what differs each time. */
function told(from: number): unknown {
  return world.events.slice(from).map(({ name, fields }) => {
    const { request_id: id, duration_ms: _, cached: __, ...rest } = fields as Record<string, unknown>
    return { name, fields: rest, hasId: id !== undefined }
  })
}

async function answerOf(page: Page, path: string, options: CallOptions) {
  const header = page.jar.header('localhost', '/', 'same-site')
  const from = world.events.length
  // Sent by a jar of its own, so that an answer that clears cookies leaves them for the other path.
  const answer = await world.browser().call('GET', path, {
    headers: { ...(header === undefined ? undefined : { cookie: header }), ...options.headers },
  })
  return { visible: visible(answer), told: told(from), status: answer.status }
}

describe('GET /session is the same whether Koa answers it or we do without it', () => {
  it.each<[string, () => Page, Readonly<Record<string, string>>, number]>([
    ['signed in', () => signedIn, {}, 200],
    ['signed out', () => world.browser(), {}, 200],
    ['a session that is over', () => over, {}, 200],
    ['a listed origin', () => signedIn, { origin: sibling, 'sec-fetch-site': 'same-site' }, 200],
    ['an origin that is not listed', () => signedIn, { origin: 'https://evil.example' }, 403],
    ['another site', () => signedIn, { 'sec-fetch-site': 'cross-site' }, 403],
    ['without the header', () => signedIn, { 'token-handler-version': '' }, 403],
    ['a navigation', () => signedIn, { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }, 403],
    ['another host', () => signedIn, { host: 'evil.example' }, 421],
    ['an ambiguous field', () => signedIn, { x_user: 'root' }, 400],
    ['the same cookie twice', () => signedIn, { cookie: '__Host-Http-th-at=a; __Host-Http-th-at=b' }, 400],
    ['an unreadable cookie', () => signedIn, { cookie: '__Host-Http-th-at=garbage' }, 200],
  ])('%s', async (_, page, headers, status) => {
    const one = await answerOf(page(), direct, { headers })
    const other = await answerOf(page(), throughKoa, { headers })
    expect(one).toEqual(other)
    expect(one.status).toBe(status)
  })

  it('and both count for one limit', async () => {
    const page = world.browser()
    await world.signIn(page)
    let refused: string | undefined
    for (let call = 0; refused === undefined; call++) {
      const path = call % 2 === 0 ? direct : throughKoa
      if ((await answerOf(page, path, {})).status === 429) refused = path
      expect(call).toBeLessThan(70)
    }
    const [one, other] = [await answerOf(page, direct, {}), await answerOf(page, throughKoa, {})]
    expect(one).toEqual(other)
    expect(one.status).toBe(429)
  })
})
