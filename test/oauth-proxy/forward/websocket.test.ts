import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import { type AddressInfo, connect, createServer as createTcpServer, Socket } from 'node:net'
import Pool from 'undici/lib/dispatcher/pool.js'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type WebSocketCall, openWebSocket } from '../../../oauth-proxy/forward/websocket.ts'
import type { Upstream as ApiUpstream } from '../../../oauth-proxy/forward/upstreams.ts'
import { createCertificate, type TestCertificate } from '../../support/certificate.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { hostLine, type ProxyWorld, publicOrigin, startProxy } from '../../support/proxy-world.ts'
import { letGo, openRaw, parseAnswer, type RawConnection, rawRequest } from '../../support/raw-http.ts'
import { freePort } from '../../support/free-port.ts'
import { type Behaviour, startUpstream, type Upstream } from '../../support/upstream.ts'

const authority = createCertificate({ name: 'test authority' })

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const upgrading: Behaviour = (socket) =>
  void socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
const silent: Behaviour = () => {}

async function place(behaviour: Behaviour): Promise<Upstream> {
  const upstream = await startUpstream()
  upstream.behave(behaviour)
  closers.push(() => upstream.close())
  return upstream
}

/** A place where nobody listens; listed twice, it is two places. */
const down = 'http://127.0.0.1:1'

/** Where TLS is spoken, and nothing but that; the origin. */
async function tlsPlace({ certificate, privateKey }: TestCertificate, options: ServerOptions = {}): Promise<string> {
  const server = createServer({ ...options, cert: certificate, key: privateKey })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => server.close(resolve)))
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A route with these places, the first of which is tried first. */
async function start(...origins: string[]): Promise<ProxyWorld> {
  const world = await startProxy(
    `
    - path: /ws
      upstream: [${origins.map((origin) => `'${origin}'`).join()}]
      websocket: true
      headerless: [websocket]
      max_concurrent_requests: 1
      ca_file: /tls/authority.pem
`,
    '',
    (path) => (path === '/tls/authority.pem' ? authority.certificate : undefined),
  )
  closers.push(() => world.close())
  return world
}

async function ask(world: ProxyWorld, cookies = world.cookies()): Promise<RawConnection> {
  const connection = await openRaw(world.port)
  const lines = [hostLine, `Origin: ${publicOrigin}`, `Cookie: ${cookies}`]
  const handshake = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  connection.write(rawRequest('GET', '/ws', [...lines, ...handshake, key]))
  return connection
}

const answerOf = async (connection: RawConnection) =>
  parseAnswer(await connection.until((text) => text.includes('\r\n\r\n')))

/** What was reported about the calls of the API. */
const told = ({ events }: ProxyWorld) =>
  events
    .filter(({ name }) => name.startsWith('upstream.'))
    .map(({ name, fields }) => [name, fields['outcome'] ?? fields['error_code'], fields['retried'] ?? fields['target']])

it('HX-24 a short token does not come back as the scope that a handshake misses', async () => {
  const up = await place((socket, seen) => {
    const token = seen.values('authorization').join().replace('Bearer ', '')
    const challenge = `WWW-Authenticate: Bearer error="insufficient_scope", scope="${token}"`
    socket.write(`HTTP/1.1 403 No\r\n${challenge}\r\nContent-Length: 0\r\n\r\n`)
  })
  const world = await start(up.origin)
  const connection = await ask(world, world.cookies({ accessToken: 'opaque-1' }))
  const text = await connection.until((read) => read.includes('}'))
  expect([parseAnswer(text).header('token-handler-error'), text.includes('opaque-1')]).toEqual([
    'insufficient_scope',
    false,
  ])
})

const waysToLeave: [string, (connection: RawConnection) => void][] = [
  ['goes', ({ socket }) => void socket.resetAndDestroy()],
  ['closes its sending side', ({ socket }) => void socket.end()],
  ['does not wait', (connection) => connection.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0]))],
]

describe('a handshake whose place cannot be connected to', () => {
  it('goes to another, with the name of that one', async () => {
    const up = await place(upgrading)
    const world = await start(down, up.origin)
    expect((await answerOf(await ask(world))).status).toBe(101)
    expect(up.seen.map((seen) => seen.values('host'))).toEqual([[new URL(up.origin).host]])
    expect(told(world)).toEqual([
      ['upstream.failed', 'upstream_unreachable', 0],
      ['upstream.called', 'complete', true],
    ])
  })

  it('counts as a failure of that place, which is left out after three', async () => {
    const up = await place(upgrading)
    const world = await start(down, up.origin)
    for (let call = 0; call < 10; call++) {
      const connection = await ask(world)
      let answered = await answerOf(connection)
      // The place on the route of the one before is free when the proxy has seen its end.
      while (answered.status === 503) answered = await answerOf(await ask(world))
      expect(answered.status).toBe(101)
      for (const socket of up.open) socket.destroy()
      await connection.closed()
      connection.close()
    }
    expect(told(world).filter(([name]) => name === 'upstream.failed')).toEqual(
      Array.from({ length: 3 }, () => ['upstream.failed', 'upstream_unreachable', 0]),
    )
  })

  it('fails when every place was tried once, and gives its place on the route back', async () => {
    const world = await start(down, down, down)
    for (let call = 0; call < 2; call++) {
      world.events.length = 0
      expect((await answerOf(await ask(world))).json()).toMatchObject({ error_code: 'upstream_unreachable' })
      expect(told(world).map(([name]) => name)).toEqual([
        'upstream.failed',
        'upstream.failed',
        'upstream.called',
        'upstream.failed',
      ])
    }
  })

  it('goes on where a certificate does not convince', async () => {
    const up = await place(upgrading)
    const world = await start(await tlsPlace(createCertificate({ name: 'nobody knows me' })), up.origin)
    expect((await answerOf(await ask(world))).status).toBe(101)
    expect(told(world)[0]).toEqual(['upstream.failed', 'upstream_unreachable', 0])
  })

  it('goes on where the connection breaks before TLS is spoken', async () => {
    const [breaking, up] = [await place(silent), await place(upgrading)]
    breaking.onConnection((socket) => void socket.resetAndDestroy())
    const world = await start(breaking.origin.replace('http:', 'https:'), up.origin)
    expect((await answerOf(await ask(world))).status).toBe(101)
    expect(told(world)[0]).toEqual(['upstream.failed', 'upstream_reset', 0])
  })

  it('goes on where TLS is not spoken before connect_timeout_ms is over', async () => {
    const [mute, up] = [await place(silent), await place(upgrading)]
    const world = await start(mute.origin.replace('http:', 'https:'), up.origin)
    const connection = await ask(world)
    await mute.until(() => mute.accepted === 1)
    world.clock.pass(3)
    expect((await answerOf(connection)).status).toBe(101)
    expect(told(world)[0]).toEqual(['upstream.failed', 'upstream_connect_timeout', 0])
    await mute.until(() => mute.open.size === 0)
    expect(up.accepted).toBe(1)
  })

  it.each(waysToLeave)('goes nowhere else, and that place is not to blame, when the browser %s', async (_, leave) => {
    const [mute, up] = [await place(silent), await place(upgrading)]
    const world = await start(mute.origin.replace('http:', 'https:'), up.origin)
    const connection = await ask(world)
    await mute.until(() => mute.accepted === 1)
    leave(connection)
    await mute.until(() => mute.open.size === 0)
    await connection.closed()
    expect(told(world).map(([name]) => name)).toEqual(['upstream.called'])
    expect(up.accepted).toBe(0)
  })

  it('leaves nothing behind on the connection of the browser', async () => {
    const warnings: string[] = []
    const onWarning = ({ message }: Error) => void warnings.push(message)
    process.on('warning', onWarning)
    const up = await place(upgrading)
    const world = await start(...Array.from({ length: 12 }, () => down), up.origin)
    expect((await answerOf(await ask(world))).status).toBe(101)
    await new Promise(setImmediate)
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })
})

describe('a handshake that a place may have seen', () => {
  it.each<[string, Behaviour, number, string | undefined]>([
    ['resets the connection', (socket) => void socket.resetAndDestroy(), 502, 'upstream_reset'],
    ['refuses it', (socket) => void socket.end('HTTP/1.1 503 No\r\n\r\n'), 503, undefined],
  ])('is not sent again when that one %s', async (_, behaviour, status, code) => {
    const [first, second] = [await place(behaviour), await place(upgrading)]
    const answered = await answerOf(await ask(await start(first.origin, second.origin)))
    expect([answered.status, answered.header('token-handler-error')]).toEqual([status, code])
    expect([first.accepted, second.accepted]).toEqual([1, 0])
  })

  it('says nothing against a place that only breaks it off or refuses', async () => {
    const first = await place((socket) => void socket.resetAndDestroy())
    const second = await place((socket) => void socket.end('HTTP/1.1 503 No\r\n\r\n'))
    const world = await start(first.origin, second.origin)
    for (let call = 0; call < 8; call++)
      expect((await answerOf(await ask(world))).status).toBe(call % 2 === 0 ? 502 : 503)
    expect([first.accepted, second.accepted]).toEqual([4, 4])
  })

  it('is not sent again when that one misses a certificate of ours, of which TLS 1.3 tells late', async () => {
    const server = createCertificate({ name: 'api', issuer: authority, hosts: ['127.0.0.1'] })
    const asking = { ca: authority.certificate, requestCert: true, rejectUnauthorized: true }
    const [first, second] = [await tlsPlace(server, asking), await place(upgrading)]
    expect((await answerOf(await ask(await start(first, second.origin)))).status).toBe(502)
    expect(second.accepted).toBe(0)
  })

  it('is not sent again when response_timeout_ms is over, which each place has for itself', async () => {
    const [first, third] = [await place(silent), await place(upgrading)]
    const world = await start(down, first.origin, third.origin)
    const connection = await ask(world)
    await first.until(() => first.seen.length === 1)
    world.clock.pass(29)
    expect(first.open.size).toBe(1)
    world.clock.pass(1)
    expect((await answerOf(connection)).header('token-handler-error')).toBe('upstream_response_timeout')
    expect(third.accepted).toBe(0)
  })

  it.each(waysToLeave)('is let go at the second place as well when the browser %s', async (_, leave) => {
    const [second, third] = [await place(silent), await place(upgrading)]
    const world = await start(down, second.origin, third.origin)
    const connection = await ask(world)
    await second.until(() => second.seen.length === 1)
    leave(connection)
    await second.until(() => second.open.size === 0)
    await connection.closed()
    expect(third.accepted).toBe(0)
    expect(told(world).map(([name, outcome]) => [name, outcome])).toEqual([
      ['upstream.failed', 'upstream_unreachable'],
      ['upstream.called', expect.stringMatching(/^(?:invalid_request|upgrade_not_allowed)$/)],
    ])
  })
})

/** A call over this connection of a browser, which no place may take unless told otherwise. */
function callOver(socket: Socket, own: Partial<WebSocketCall> = {}): WebSocketCall {
  const request = new IncomingMessage(socket)
  request.method = 'GET'
  return {
    request,
    socket,
    upstreams: {
      pick: () => expect.unreachable(),
      other: () => expect.unreachable(),
    },
    path: '/ws',
    headers: { connection: 'Upgrade', upgrade: 'websocket' },
    proof: undefined,
    onOpen: undefined,
    onHead: () => expect.unreachable(),
    connectTimeoutMs: 10_000,
    responseTimeoutMs: 10_000,
    idleTimeoutMs: 1000,
    requestId: 'r',
    clock: createManualClock(),
    onUnreachable: () => expect.unreachable(),
    ...own,
  }
}

it('a browser that has gone before is not heard of by any place', async () => {
  const socket = new Socket()
  const gone = once(socket, 'close')
  socket.destroy()
  // Whoever asks later hears nothing of it any more.
  await gone
  const call = openWebSocket(callOver(socket))
  await expect(call).rejects.toMatchObject({ code: 'invalid_request', detail: { check: 'aborted' } })
})

it.each<[string, Behaviour, readonly number[]]>([
  ['agrees', upgrading, [101]],
  ['refuses', (socket) => void socket.end('HTTP/1.1 503 No\r\n\r\n'), []],
])('a place that %s is asked in the bytes that were decided on, and counts as one that works', async (...row) => {
  const [, behaviour, opened] = row
  const up = await place(behaviour)
  const browser = connect(up.port, '127.0.0.1')
  closers.push(async () => browser.destroy())
  const reports: boolean[] = []
  const report = (works: boolean) => void reports.push(works)
  const target: ApiUpstream = { origin: up.origin, index: 0, pool: new Pool(up.origin), tls: {}, report }
  const seen: number[] = []
  const path = `/ws?a="b"|{c}'d'`
  await openWebSocket(
    callOver(browser, {
      path,
      upstreams: { pick: () => target, other: () => undefined },
      onOpen: (status) => void seen.push(status),
      onHead: () => ({}),
    }),
  )
  expect([reports, seen, up.seen.map((each) => each.target)]).toEqual([[true], opened, [path]])
})

it.each([
  ['http://127.0.0.1', 80],
  ['https://127.0.0.1', 443],
])('a place that names no port, %s, is at %i', async (origin, port) => {
  const near = await place(silent)
  const browser = connect(near.port, '127.0.0.1')
  closers.push(async () => browser.destroy())
  await once(browser, 'connect')
  // Whatever this machine serves at these two is none of a test's business: the connection goes where nobody listens.
  const [nobody, asked] = [await freePort(), [] as unknown[]]
  const { connect: real } = Socket.prototype
  const elsewhere = vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (
    this: Socket,
    ...args: unknown[]
  ) {
    const options = args.flat().find((each): each is { host: string; port: number } => Object(each) === each)
    if (options?.host === '127.0.0.1') asked.push(options.port)
    if (options !== undefined) options.port = nobody
    return Reflect.apply(real, this, args) as Socket
  })
  onTestFinished(() => elsewhere.mockRestore())
  const target: ApiUpstream = { origin, index: 0, pool: new Pool(origin), tls: {}, report: () => {} }
  const upstreams = { pick: () => target, other: () => undefined }
  await expect(openWebSocket(callOver(browser, { upstreams }))).rejects.toMatchObject({ code: 'upstream_unreachable' })
  expect(asked).toEqual([port])
})

it('I13 an API whose refusal does not end within a second is let go, and half of it is not passed on', async () => {
  const up = await place((socket) => void socket.write('HTTP/1.1 403 No\r\n\r\nhalf'))
  const browser = connect(up.port, '127.0.0.1')
  closers.push(async () => browser.destroy())
  const clock = createManualClock()
  const target: ApiUpstream = { origin: up.origin, index: 0, pool: new Pool(up.origin), tls: {}, report: () => {} }
  const call = openWebSocket(
    callOver(browser, {
      upstreams: { pick: () => target, other: () => undefined },
      clock,
      onHead() {
        queueMicrotask(() => clock.pass(1))
        return {}
      },
    }),
  )
  await expect(call).rejects.toMatchObject({ detail: { check: 'no_upgrade' } })
})

it('an API that never closes its side of a WebSocket is let go when the browser has gone', async () => {
  const atApi: Socket[] = []
  const api = createTcpServer({ allowHalfOpen: true }, (socket) => {
    atApi.push(socket)
    socket.on('error', () => {})
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'),
    )
  })
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    for (const socket of atApi) socket.destroy()
    await new Promise((resolve) => api.close(resolve))
  })
  const world = await start(`http://127.0.0.1:${(api.address() as AddressInfo).port}`)
  const connection = await ask(world)
  expect((await answerOf(connection)).status).toBe(101)
  const [socket] = atApi
  const ended = new Promise((resolve) => socket?.on('end', resolve).resume())
  connection.socket.resetAndDestroy()
  await ended
  world.clock.pass(3)
  if (socket === undefined) throw new Error('nobody called the API')
  await letGo(socket)
})
