import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type NginxWorld, startNginxWorld } from '../support/nginx-world.ts'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, siblingOrigin, startProxy } from '../support/proxy-world.ts'
import { errorCode, sendRaw } from '../support/raw-http.ts'
import { startUpstream } from '../support/upstream.ts'

/** Stands for a part of ours, so it sees what is meant for that. */
const startStandIn = () => startUpstream(() => [])
const upstream = await startUpstream()
beforeEach(() => upstream.reset())
afterAll(() => upstream.close())

const api = (more = '') => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${upstream.origin}
${more}`

describe('where every route stays with the proxy', () => {
  it('nginx starts, and leaves the limits to the proxy', async () => {
    const routes = api('      rate_limit: { requests: 9, window_seconds: 60 }\n')
    const proxy = await startProxy(routes)
    const world = await startNginxWorld(`${routes}  listen: { host: 127.0.0.1, port: ${proxy.port} }\n`)
    const options = { cookies: proxy.cookies(), more: [`Origin: ${publicOrigin}`] }
    const large = await world.call('POST', '/api/echo', { ...options, body: 'x'.repeat(2_000_000) })
    expect(large.status).toBe(200)
    expect(upstream.seen[0]?.body).toHaveLength(2_000_000)
    const tooLarge = await world.call('POST', '/api/echo', { ...options, body: 'x'.repeat(10_485_761) })
    expect([tooLarge.status, errorCode(tooLarge)]).toEqual([413, 'payload_too_large'])
    await world.close()
    await proxy.close()
  })

  it.each([
    ['proxy', '/api/echo'],
    ['agent', '/oauth-agent/session'],
  ])('K18 nginx says in our words when the %s is away, or leaves without an answer', async (part, target) => {
    const leaving = await startStandIn()
    leaving.behave((socket) => void socket.destroy())
    for (const port of [await freePort(), new URL(leaving.origin).port]) {
      const handedOver = api('      rate_limit: { requests: 9, window_seconds: 60 }\n')
      const listen = `{ listen: { host: 127.0.0.1, port: ${port} } }`
      const world = await startNginxWorld(
        part === 'proxy' ? `${handedOver}  listen: { host: 127.0.0.1, port: ${port} }\n` : handedOver,
        part === 'agent' ? `agent: ${listen}` : '',
      )
      const answered = await world.call('POST', target, { more: [`Origin: ${siblingOrigin}`] })
      expect([answered.status, errorCode(answered)]).toEqual([503, 'overloaded'])
      expect(answered.header('token-handler-error')).toBe('overloaded')
      expect(answered.header('retry-after')).toBe('1')
      expect(answered.header('access-control-allow-origin')).toBe(siblingOrigin)
      const unreadable = await sendRaw(world.port, `GET ${target} HTTP/1.1\r\nHost: a b\r\n\r\n`)
      expect([unreadable.status, errorCode(unreadable)]).toEqual([400, 'ambiguous_request'])
      await world.close()
    }
    await leaving.close()
  })

  it.each([
    ['proxy', '/api/echo'],
    ['agent', '/oauth-agent/login/end'],
  ])('B13 passes on an answer of the %s with a head of 16 KiB', async (part, target) => {
    const cookies = Array.from({ length: 4 }, (_, each) => `Set-Cookie: __Host-th-${each}=${'x'.repeat(4000)}\r\n`)
    const behind = await startStandIn()
    behind.behave((socket) => void socket.end(`HTTP/1.1 204 No Content\r\n${cookies.join('')}\r\n`))
    const handedOver = api('      rate_limit: { requests: 9, window_seconds: 60 }\n')
    const listen = `{ host: 127.0.0.1, port: ${new URL(behind.origin).port} }`
    const world = await startNginxWorld(
      part === 'proxy' ? `${handedOver}  listen: ${listen}\n` : handedOver,
      part === 'agent' ? `agent: { listen: ${listen} }` : '',
    )
    expect((await world.call('POST', target)).status).toBe(204)
    await world.close()
    await behind.close()
  })

  describe('nginx refuses what it would take off before the proxy sees it', () => {
    const handedOver = api('      rate_limit: { requests: 999, window_seconds: 60 }\n')
    let proxy: ProxyWorld
    let nginx: NginxWorld
    beforeAll(async () => {
      proxy = await startProxy(handedOver)
      nginx = await startNginxWorld(`${handedOver}  listen: { host: 127.0.0.1, port: ${proxy.port} }\n`)
    })
    afterAll(async () => {
      await nginx.close()
      await proxy.close()
    })

    const line = 'GET /api/a HTTP/1.1'
    it.each([
      ['H01 Connection names the cookie', line, ['Connection: cookie'], 400],
      ['H01 Connection names the credential', line, ['Connection: close, authorization'], 400],
      ['H01 Connection names the host', line, ['Connection: host'], 400],
      ['H01 Connection names something', line, ['Connection: x-foo', 'X-Foo: 1'], 200],
      ['I16 an expectation that nobody knows', line, ['Expect: x'], 417],
      ['HX-1 a whole URL at another host', 'GET http://evil.example/api/a HTTP/1.1', [], 400],
      ['HX-1 a whole URL at our host', 'GET http://www.example.com/api/a HTTP/1.1', [], 400],
      ['another version', 'GET /api/a HTTP/1.2', [], 400],
      ['a version of two digits', 'GET /api/a HTTP/1.10', [], 400],
      ['H02 a field with an underscore', line, ['X_User: 1'], 400],
      ['a field twice', line, ['X-Own: 1', 'X-Own: 2'], 400],
      ['G01 an escaped dot', 'GET /api/b/%2e%2e/a HTTP/1.1', [], 400],
      ['HX-21 a circle', line, ['Via: 1.1 token-handler'], 400],
      ['what is fine', line, ['Accept: a/b', 'Connection: keep-alive', 'X-User-Id: 7', 'traceparent: x'], 200],
    ])('%s', async (_, requestLine, more, status) => {
      const outcomes = await Promise.all(
        [proxy, nginx].map(async ({ port }) => {
          const lines = [hostLine, ...ownPage, `Cookie: ${proxy.cookies()}`, ...more]
          const answered = await sendRaw(port, `${requestLine}\r\n${lines.join('\r\n')}\r\n\r\n`)
          return [answered.status, errorCode(answered), answered.header('x-request-id')?.length]
        }),
      )
      expect(outcomes[0]?.[0]).toBe(status)
      expect(outcomes[1]).toEqual(outcomes[0])
      expect(upstream.seen).toHaveLength(status === 200 ? 2 : 0)
    })
  })

  it('nginx takes nothing off that the proxy reads', async () => {
    const behind = await startStandIn()
    const world = await startNginxWorld(`${api('      websocket: true\n')}
  listen: { host: 127.0.0.1, port: ${behind.port} }\n`)
    const more = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Version: 13',
      'X-Csrf-Token: a',
      'X-Forwarded-Host: a',
      'traceparent: x',
    ]
    await world.call('GET', '/api/a', { more })
    const seen = behind.seen[0]?.lines.map((line) => line.toLowerCase())
    expect(seen).toEqual(expect.arrayContaining([...ownPage, ...more].map((line) => line.toLowerCase())))
    await world.close()
    await behind.close()
  })

  it('leaves the refusals of the proxy as they are', async () => {
    const behind = await startStandIn()
    behind.behave((socket) => void socket.end('HTTP/1.1 502 No\r\nContent-Length: 4\r\n\r\nmine'))
    const world = await startNginxWorld(`${api('      rate_limit: { requests: 9, window_seconds: 60 }\n')}
  listen: { host: 127.0.0.1, port: ${new URL(behind.origin).port} }\n`)
    const answered = await world.call('GET', '/api/echo')
    expect([answered.status, answered.body]).toEqual([502, 'mine'])
    await world.close()
    await behind.close()
  })

  it('nginx answers in our words what it cannot read', async () => {
    const world = await startNginxWorld(api(), 'store: { kind: valkey, url: "redis://127.0.0.1:1" }')
    const answered = await sendRaw(world.port, 'GET /api/echo HTTP/1.1\r\nHost: a b\r\n\r\n')
    expect([answered.status, errorCode(answered)]).toEqual([400, 'ambiguous_request'])
    expect(answered.header('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
    await world.close()
  })
})

it.each([
  ['the API', '/api/a'],
  ['the proxy', '/handed/a'],
  ['the agent', '/oauth-agent/session'],
])('answers of %s stay as they are where the operator has nginx replace those of other servers', async (_, target) => {
  const behind = await startStandIn()
  const listen = `listen: { host: 127.0.0.1, port: ${behind.port} }`
  const routes = `
    - { path: /api/**, upstream: '${behind.origin}' }
    - { path: /handed/**, upstream: '${behind.origin}', rate_limit: { requests: 9, window_seconds: 60 } }
  ${listen}
`
  const world = await startNginxWorld(routes, `agent: { ${listen} }`, async () => ({
    http: (http) => `proxy_intercept_errors on;\n${http}`,
  }))
  for (const status of [400, 405, 413, 500, 503]) {
    behind.behave((socket) => void socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 4\r\n\r\nmine`))
    const answered = await world.call('GET', target)
    expect([answered.status, answered.body]).toEqual([status, 'mine'])
  }
  await world.close()
  await behind.close()
})
