import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  const limit = '{ requests: 2, window_seconds: 60'
  world = await startProxy(
    `
    - { path: /session, upstream: '${api.origin}', rate_limit: ${limit} } }
    - { path: /session, methods: [POST], upstream: '${api.origin}', rate_limit: ${limit} } }
    - { path: /address, upstream: '${api.origin}', rate_limit: ${limit}, by: address } }
    - { path: /visitors, upstream: '${api.origin}', credential: { kind: none }, anonymous: none, rate_limit: ${limit} } }
    - { path: /api, upstream: '${api.origin}' }
`,
    'operations: { trusted_proxies: [127.0.0.1] }',
  )
})
afterAll(async () => {
  await world.close()
  await api.close()
})

const alice = { sessionId: 'AliceAliceAliceAliceAA' }
const bob = { sessionId: 'BobBobBobBobBobBobBobQ' }

async function codes(times: number, ...call: Parameters<ProxyWorld['call']>): Promise<string[]> {
  const all: string[] = []
  for (let n = 0; n < times; n += 1) {
    const answer = await world.call(...call)
    all.push(answer.status === 200 ? 'passed' : `${answer.status} ${answer.header('token-handler-error')}`)
  }
  return all
}

describe('rate limits', () => {
  it('by session: each has its own, and each method of a path its own', async () => {
    const refused = '429 too_many_requests'
    expect(await codes(3, 'GET', '/session', { cookies: world.cookies(alice) })).toEqual(['passed', 'passed', refused])
    expect(await codes(1, 'GET', '/session', { cookies: world.cookies(bob) })).toEqual(['passed'])
    const post = { cookies: world.cookies(alice), more: ['Origin: https://www.example.com'], body: '' }
    expect(await codes(1, 'POST', '/session', post)).toEqual(['passed'])
  })

  it('Retry-After says when the window ends, and then it ends', async () => {
    const carol = { sessionId: 'CarolCarolCarolCarolCQ' }
    await codes(2, 'GET', '/session', { cookies: world.cookies(carol) })
    const answer = await world.call('GET', '/session', { cookies: world.cookies(carol) })
    expect(answer.status).toBe(429)
    const wait = Number(answer.header('retry-after'))
    expect(JSON.parse(answer.body)).toMatchObject({ retry_after: wait })
    expect(wait).toBeGreaterThan(0)
    world.clock.pass(wait)
    expect(await codes(1, 'GET', '/session', { cookies: world.cookies(carol) })).toEqual(['passed'])
  })

  it('by address: a new session is no new start, and only trusted hops tell the address', async () => {
    const from = (address: string, who = alice) => ({
      cookies: world.cookies(who),
      more: [`X-Forwarded-For: 198.51.100.7, ${address}`],
    })
    await codes(2, 'GET', '/address', from('192.0.2.1'))
    expect(await codes(1, 'GET', '/address', from('192.0.2.1', bob))).toEqual(['429 too_many_requests'])
    expect(await codes(1, 'GET', '/address', from('192.0.2.2'))).toEqual(['passed'])
  })

  it('who is refused for want of a session uses up nothing of those who share the address', async () => {
    expect(await codes(3, 'GET', '/address', { cookies: undefined })).toEqual(Array(3).fill('401 session_missing'))
    expect(await codes(1, 'GET', '/address', { cookies: world.cookies(alice) })).toEqual(['passed'])
  })

  it('visitors are counted by address', async () => {
    await codes(2, 'GET', '/visitors', { cookies: undefined })
    expect(await codes(1, 'GET', '/visitors', { cookies: undefined })).toEqual(['429 too_many_requests'])
    expect(await codes(1, 'GET', '/visitors', { cookies: world.cookies(alice) })).toEqual(['passed'])
  })
})

it('H04 an API behind this proxy never hears a browser speak as a gateway about the user', async () => {
  const names = ['x-auth-subject', 'x-auth-scope', 'x-auth-acr', 'x-auth-time']
  const more = names.map((name) => `${name}: admin`)
  expect((await world.call('GET', '/api', { more })).status).toBe(200)
  for (const name of names) expect(api.seen.at(-1)?.values(name)).toEqual([])
})
