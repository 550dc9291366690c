import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { echo, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - { path: /api/**, methods: [GET, HEAD, POST, PUT, DELETE], upstream: '${api.origin}' }
`)
})

beforeEach(() => api.reset())

afterAll(async () => {
  await world.close()
  await api.close()
})

const origin = { more: ['Origin: https://www.example.com'] }

/** The API hangs up on the next `times` requests instead of answering, as it does with idle connections (K01). */
function hangUp(times: number, how: 'fin' | 'reset' = 'fin') {
  let left = times
  api.behave((socket, seen) => {
    if (left-- <= 0) echo(socket, seen)
    else if (how === 'fin') socket.end()
    else socket.resetAndDestroy()
  })
}

describe.each(['fin', 'reset'] as const)('K01 the API closes a kept-alive connection (%s)', (how) => {
  it.each(['GET', 'HEAD'])('%s is asked once more', async (method) => {
    hangUp(1, how)
    expect((await world.call(method, '/api/x')).status).toBe(200)
    expect(api.seen).toHaveLength(2)
  })

  it.each(['GET', 'HEAD'])('%s is asked no third time', async (method) => {
    hangUp(5, how)
    expect((await world.call(method, '/api/x')).status).toBe(502)
    expect(api.seen).toHaveLength(2)
  })

  it.each(['POST', 'PUT', 'DELETE'])('%s is never sent twice', async (method) => {
    hangUp(5, how)
    const answered = await world.call(method, '/api/x', { ...origin, ...(method === 'DELETE' ? {} : { body: 'once' }) })
    expect([answered.status, answered.json().error_code]).toEqual([502, 'upstream_reset'])
    expect(api.seen).toHaveLength(1)
  })

  it('a GET with a body is never sent twice', async () => {
    hangUp(5, how)
    expect((await world.call('GET', '/api/x', { body: 'odd' })).status).toBe(502)
    expect(api.seen).toHaveLength(1)
  })
})

it('an answer that has begun is not begun again', async () => {
  api.behave((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab'))
  await world.call('GET', '/api/x')
  expect(api.seen).toHaveLength(1)
})

it('two hundred calls over connections that close at any moment: every one is answered once', async () => {
  let turn = 0
  api.behave((socket, seen) => {
    echo(socket, seen)
    // Every third connection is closed right behind its answer, while the next call may already be on its way.
    if (turn++ % 3 === 0) socket.end()
  })
  for (let index = 0; index < 200; index++) {
    const method = index % 2 === 0 ? 'GET' : 'POST'
    const answered = await world.call(method, `/api/${index}`, {
      ...origin,
      ...(method === 'POST' ? { body: 'b' } : {}),
    })
    if (answered.status === 200) expect(answered.json().target).toBe(`/api/${index}`)
    else expect([method, answered.status]).toEqual(['POST', 502])
  }
  const posts = api.seen.filter(({ method }) => method === 'POST').map(({ target }) => target)
  expect(new Set(posts).size).toBe(posts.length)
})
