import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createSecureServer } from 'node:http2'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Pool } from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createUpstreams, type UpstreamSetting } from '../../../oauth-proxy/forward/upstreams.ts'
import { createCertificate } from '../../support/certificate.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { type ProxyWorld, publicOrigin, startProxy } from '../../support/proxy-world.ts'
import { startUpstream, type Upstream } from '../../support/upstream.ts'

/** Nobody listens there, and no system hands out this port; one that was free a moment ago may be taken again. */
const down = 'http://127.0.0.1:1'

const setting: UpstreamSetting = {
  upstream: ['http://127.0.0.1:7001', 'http://127.0.0.1:7002', 'http://127.0.0.1:7003'],
  connectTimeoutMs: 1000,
  responseTimeoutMs: 1000,
  idleTimeoutMs: 1000,
  keepAliveSeconds: 1,
}

it('the pool is the one that the library exports', async () => {
  const upstream = createUpstreams(setting, { clock: createManualClock(), readFile: () => '' })
  expect(upstream.pick().pool).toBeInstanceOf(Pool)
  await upstream.close()
})

it('a connection holds more than one reading of Node brings, or each piece of a body would pause it', async () => {
  const upstream = await startUpstream()
  const marks: number[] = []
  const onConnected = (message: unknown) => marks.push((message as { socket: Socket }).socket.readableHighWaterMark)
  subscribe('undici:client:connected', onConnected)
  const world = await startProxy(`
    - { path: /api, upstream: '${upstream.origin}' }
`)
  await world.call('GET', '/api')
  unsubscribe('undici:client:connected', onConnected)
  await world.close()
  await upstream.close()
  expect(Math.min(...marks)).toBeGreaterThan(65_536)
})

it('an idle connection ends after keep_alive_seconds, or 2 seconds before the API says that it ends', async () => {
  const names = ['ends', 'lasts', 'usual', 'named'] as const
  const apis = await Promise.all(names.map(() => startUpstream()))
  const [ends, lasts, usual, named] = apis as [Upstream, Upstream, Upstream, Upstream]
  named.behave((socket) => void socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=600\r\nContent-Length: 0\r\n\r\n'))
  const world = await startProxy(`
    - { path: /ends, upstream: '${ends.origin}', keep_alive_seconds: 1 }
    - { path: /lasts, upstream: '${lasts.origin}', keep_alive_seconds: 600 }
    - { path: /usual, upstream: '${usual.origin}' }
    - { path: /named, upstream: '${named.origin}', keep_alive_seconds: 1 }
`)
  const callAll = async (): Promise<void> => {
    for (const name of ['lasts', 'usual', 'named', 'ends']) await world.call('GET', `/${name}`)
  }
  await callAll()
  // Those called before it outlive it: nothing is measured here but who goes first.
  await ends.until(() => ends.open.size === 0)
  await callAll()
  expect(apis.map(({ accepted }) => accepted)).toEqual([2, 1, 1, 1])
  for (const each of [world, ...apis]) await each.close()
})

describe('several targets', () => {
  const clock = createManualClock()
  let upstream: ReturnType<typeof createUpstreams>
  const ports = (count: number) => Array.from({ length: count }, () => upstream.pick().origin.at(-1))
  beforeEach(() => {
    upstream = createUpstreams(setting, { clock, readFile: () => '' })
  })
  afterEach(() => upstream.close())

  it('take turns', () => {
    expect(ports(6).join('')).toMatch(/^(?:123123|231231|312312)$/)
  })

  it('one that cannot be reached three times in a row is left out for a while', () => {
    const broken = upstream.pick()
    for (let failure = 0; failure < 3; failure++) broken.report(false)
    expect(ports(6)).not.toContain(broken.origin.at(-1))
    clock.pass(5)
    expect(ports(3)).toContain(broken.origin.at(-1))
    broken.report(false)
    expect(ports(6)).not.toContain(broken.origin.at(-1))
    broken.report(true)
    expect(ports(3)).toContain(broken.origin.at(-1))
  })

  it('one that is left out comes back at once when the clock is set back, and not when the old time comes again', () => {
    const broken = upstream.pick()
    for (let failure = 0; failure < 3; failure++) broken.report(false)
    clock.pass(-3600)
    expect(ports(3)).toContain(broken.origin.at(-1))
    broken.report(true)
  })

  it('failures that are not in a row do not count', () => {
    const target = upstream.pick()
    for (const answered of [false, false, true, false, false]) target.report(answered)
    expect(ports(3)).toContain(target.origin.at(-1))
    target.report(true)
  })

  it('another is one that was not tried, and one that failed lately only if there is no better', () => {
    const [first, second, third] = [upstream.pick(), upstream.pick(), upstream.pick()]
    for (let failure = 0; failure < 3; failure++) second.report(false)
    expect(upstream.other([first])).toBe(third)
    expect(upstream.other([first, third])).toBe(second)
    expect(upstream.other([first, second, third])).toBeUndefined()
    second.report(true)
  })

  it('when none is left all are tried', () => {
    const targets = [upstream.pick(), upstream.pick(), upstream.pick()]
    for (const target of targets) for (let failure = 0; failure < 3; failure++) target.report(false)
    expect(new Set(ports(3)).size).toBe(3)
  })
})

it('calls go on while one of two targets is down', async () => {
  const up = await startUpstream()
  const world = await startProxy(`
    - { path: /api, upstream: ['${down}', '${up.origin}'] }
`)
  for (let call = 0; call < 20; call++) expect((await world.call('GET', '/api')).status).toBe(200)
  const failed = world.events.filter(({ name }) => name === 'upstream.failed').map(({ fields }) => fields)
  expect(failed).toEqual(
    Array.from({ length: 3 }, () =>
      expect.objectContaining({ error_code: 'upstream_unreachable', check: 'ECONNREFUSED', target: 0 }),
    ),
  )
  await world.close()
  await up.close()
})

it('a body that no API has seen goes to another target, whole and once', async () => {
  const up = await startUpstream()
  const world = await startProxy(`
    - { path: /api, upstream: ['${down}', '${up.origin}'], methods: [POST] }
`)
  const body = 'x'.repeat(300_000)
  const more = [`Origin: ${publicOrigin}`]
  for (let call = 0; call < 4; call++) expect((await world.call('POST', '/api', { body, more })).status).toBe(200)
  expect(up.seen.map((seen) => seen.body === body)).toEqual([true, true, true, true])
  await world.close()
  await up.close()
})

it('an API that has seen a body is the only one that gets it', async () => {
  const [one, other] = [await startUpstream(), await startUpstream()]
  for (const each of [one, other]) each.behave((socket) => socket.destroy())
  const world = await startProxy(`
    - { path: /api, upstream: ['${one.origin}', '${other.origin}'], methods: [POST] }
`)
  const answer = await world.call('POST', '/api', { body: 'a=b', more: [`Origin: ${publicOrigin}`] })
  expect(answer.status).toBe(502)
  expect(one.seen.length + other.seen.length).toBe(1)
  for (const each of [world, one, other]) await each.close()
})

it('with every target down the answer says so', async () => {
  const world = await startProxy(`
    - { path: /api, upstream: ['${down}', 'http://127.0.0.1:2'] }
`)
  expect((await world.call('GET', '/api')).json()).toMatchObject({ error_code: 'upstream_unreachable' })
  await world.close()
})

it('HX-30 an API that would rather speak HTTP/2 is asked over HTTP/1.1, one request at a time', async () => {
  const { certificate, privateKey } = createCertificate({ name: 'api', hosts: ['127.0.0.1'] })
  const api = createSecureServer({ cert: certificate, key: privateKey, allowHTTP1: true }, (request, response) => {
    response.end(request.httpVersion)
  })
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  const world = await startProxy(
    `
    - { path: /api, upstream: 'https://127.0.0.1:${(api.address() as AddressInfo).port}', ca_file: ca.pem }
`,
    '',
    () => certificate,
  )
  const { status, body } = await world.call('GET', '/api')
  await world.close()
  await new Promise((resolve) => api.close(resolve))
  expect([status, body]).toEqual([200, '1.1'])
})

describe('mutual TLS to an API', () => {
  const authority = createCertificate({ name: 'test authority' })
  const server = createCertificate({ name: 'api', issuer: authority, hosts: ['127.0.0.1'] })
  const other = createCertificate({ name: 'other', issuer: authority, hosts: ['api.example.com'] })
  const client = createCertificate({ name: 'token handler', issuer: authority })
  const files: Record<string, string> = {
    '/tls/authority.pem': authority.certificate,
    '/tls/client.pem': client.certificate,
    '/tls/client.key': client.privateKey,
  }
  const callers: (string | undefined)[] = []
  const start = ({ certificate, privateKey }: typeof server) =>
    createServer(
      { cert: certificate, key: privateKey, ca: authority.certificate, requestCert: true, rejectUnauthorized: true },
      ({ socket }, response) => {
        if (socket instanceof TLSSocket) callers.push(socket.getPeerCertificate().subject.CN?.toString())
        response.end('over TLS')
      },
    )
  const api = start(server)
  const impostor = start(other)
  const sockets = new WebSocketServer({ server: api })
  let world: ProxyWorld
  let second: Upstream

  beforeAll(async () => {
    second = await startUpstream()
    for (const each of [api, impostor]) await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve))
    const origin = (each: typeof api) => `https://127.0.0.1:${(each.address() as AddressInfo).port}`
    const ca = 'ca_file: /tls/authority.pem'
    const pair = 'client_certificate_file: /tls/client.pem, client_private_key_file: /tls/client.key'
    world = await startProxy(
      `
    - { path: /both, upstream: '${origin(api)}', ${ca}, ${pair} }
    - { path: /ws, upstream: '${origin(api)}', ${ca}, ${pair}, websocket: true, headerless: [websocket] }
    - { path: /no-certificate, upstream: '${origin(api)}', ${ca} }
    - { path: /no-authority, upstream: '${origin(api)}', ${pair} }
    - { path: /impostor, upstream: '${origin(impostor)}', ${ca}, ${pair} }
    - { path: /late, upstream: ['${origin(api)}', '${second.origin}'], ${ca}, methods: [DELETE] }
    - { path: /early, upstream: ['${origin(impostor)}', '${second.origin}'], ${ca}, ${pair}, methods: [DELETE] }
`,
      '',
      (path) => files[path],
    )
  })

  afterAll(async () => {
    await world.close()
    await second.close()
    sockets.close()
    for (const each of [api, impostor]) {
      each.closeAllConnections()
      await new Promise((resolve) => each.close(resolve))
    }
  })

  it('both sides are known', async () => {
    expect((await world.call('GET', '/both')).body).toContain('over TLS')
    expect(callers).toEqual(['token handler'])
  })

  it('also for WebSockets', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${world.port}/ws`, {
      headers: { host: 'www.example.com', origin: publicOrigin, cookie: world.cookies() },
    })
    await new Promise((resolve, reject) => {
      socket.on('open', resolve)
      socket.on('error', reject)
    })
    socket.terminate()
  })

  it.each([
    ['HX-13 an authority that nobody trusts', '/no-authority'],
    ['HX-13 a certificate of another host', '/impostor'],
    ['no certificate of ours', '/no-certificate'],
  ])('%s', async (_, path) => {
    const answered = await world.call('GET', path)
    expect(answered.status).toBe(502)
    expect(answered.json().error_code).toMatch(/^upstream_/)
  })

  it.each([
    ['that we do not trust may go to another place, since nothing was sent', '/early', 200, 1],
    ['that misses a certificate of ours may not: in TLS 1.3 it says so after we have asked', '/late', 502, 0],
  ])('a call to a place %s', async (_, path, status, seen) => {
    second.seen.length = 0
    expect((await world.call('DELETE', path, { more: [`Origin: ${publicOrigin}`] })).status).toBe(status)
    expect(second.seen).toHaveLength(seen)
  })
})
