import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { type ProxyWorld, publicOrigin, startProxy } from '../../support/proxy-world.ts'
import { letGo, type RawConnection, openRaw, parseAnswer, rawRequest } from '../../support/raw-http.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../../support/upstream.ts'

const api = createServer((_request, response) => response.writeHead(404).end())
const sockets = new WebSocketServer({
  server: api,
  handleProtocols: (offered) => [...offered][0] ?? false,
  perMessageDeflate: true,
})
const handshakes: { url: string | undefined; headers: NodeJS.Dict<string | string[]> }[] = []
let silent: Upstream
let world: ProxyWorld
let startAnew: () => Promise<ProxyWorld>

beforeAll(async () => {
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  silent = await startUpstream()
  sockets.on('connection', (socket, { url, headers }) => {
    handshakes.push({ url, headers })
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  sockets.on('headers', (lines) => lines.push('Set-Cookie: __Host-Http-th-at=x', 'X-Powered-By: api'))
  const { port } = api.address() as AddressInfo
  startAnew = () =>
    startProxy(`
    - { path: /ws/**, upstream: 'http://127.0.0.1:${port}', websocket: true, headerless: [websocket], strip_prefix: /ws }
    - { path: /plain, upstream: 'http://127.0.0.1:${port}' }
    - { path: /raw, upstream: '${silent.origin}', websocket: true, headerless: [websocket] }
    - { path: /single, upstream: '${silent.origin}', websocket: true, headerless: [websocket], max_concurrent_requests: 1 }
    - { path: /quiet, upstream: '${silent.origin}', websocket: true, headerless: [websocket], stream_idle_timeout_ms: 50 }
    - { path: /gone, upstream: 'http://127.0.0.1:1', websocket: true, headerless: [websocket] }
`)
  world = await startAnew()
})

beforeEach(() => {
  handshakes.length = 0
})

afterAll(async () => {
  await world.close()
  sockets.close()
  api.closeAllConnections()
  await new Promise((resolve) => api.close(resolve))
  await silent.close()
})

interface Opening {
  readonly path?: string
  readonly origin?: string | undefined
  readonly cookie?: string | undefined
  readonly protocols?: string[]
  readonly headers?: Record<string, string>
}

/** A browser's WebSocket; resolves with what became of its handshake. */
async function open(opening: Opening = {}) {
  const { path = '/ws/chat?room=1', protocols = [] } = opening
  const origin = 'origin' in opening ? opening.origin : publicOrigin
  const cookie = 'cookie' in opening ? opening.cookie : world.cookies()
  const socket = new WebSocket(`ws://127.0.0.1:${world.port}${path}`, protocols, {
    headers: {
      host: 'www.example.com',
      ...(origin === undefined ? undefined : { origin }),
      ...(cookie === undefined ? undefined : { cookie }),
      ...opening.headers,
    },
  })
  return new Promise<{ socket: WebSocket; status: number; code: string | undefined; headers: NodeJS.Dict<unknown> }>(
    (resolve) => {
      let headers: NodeJS.Dict<unknown> = {}
      socket.on('upgrade', (response) => {
        headers = response.headers
      })
      socket.on('open', () => resolve({ socket, status: 101, code: undefined, headers }))
      socket.on('unexpected-response', (request, response) => {
        resolve({
          socket,
          status: response.statusCode ?? 0,
          code: String(response.headers['token-handler-error']),
          headers: response.headers,
        })
        request.destroy()
      })
      socket.on('error', () => {})
    },
  )
}

/** The answer of an API that accepts a handshake with these fields (RFC 6455 §4.2.2). */
function handshakeBytes(values: (name: string) => readonly string[]): Buffer {
  const accept = createHash('sha1').update(`${values('sec-websocket-key').join()}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  const lines = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept.digest('base64')}`]
  return Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`)
}

const key = ['Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']

/** A handshake in bytes, on a connection of its own. */
async function shakeHands(
  method: string,
  path: string,
  lines: readonly string[] = key,
  rest = '',
): Promise<RawConnection> {
  const connection = await openRaw(world.port)
  const cookie = `Cookie: ${world.cookies({ accessTokenExpiresAt: 1_900_000_000 })}`
  const usual = ['Host: www.example.com', `Origin: ${publicOrigin}`, cookie, 'Connection: Upgrade']
  connection.write(`${rawRequest(method, path, [...usual, ...lines])}${rest}`)
  return connection
}

const closing = (socket: WebSocket) =>
  new Promise<[number, string]>((resolve) => socket.on('close', (code, reason) => resolve([code, reason.toString()])))

describe('a WebSocket of our own page', () => {
  it('reaches the API with the token, its subprotocol, its extension and nothing of ours', async () => {
    const { socket, status, headers } = await open({ protocols: ['chat.v2'] })
    expect(status).toBe(101)
    expect(socket.protocol).toBe('chat.v2')
    expect(socket.extensions).toBe('permessage-deflate')
    expect(headers['x-request-id']).toBe(handshakes[0]?.headers['x-request-id'])
    expect(headers['set-cookie']).toBeUndefined()
    expect(headers['x-powered-by']).toBeUndefined()
    expect(handshakes).toHaveLength(1)
    expect(handshakes[0]?.url).toBe('/chat?room=1')
    expect(handshakes[0]?.headers.authorization).toMatch(/^Bearer /)
    expect(handshakes[0]?.headers.cookie).toBeUndefined()
    expect(handshakes[0]?.headers.origin).toBeUndefined()
    socket.terminate()
  })

  it('carries text and binary messages both ways', async () => {
    const { socket } = await open()
    const echoed: string[] = []
    const done = new Promise<void>((resolve) =>
      socket.on('message', (data: Buffer) => {
        echoed.push(data.toString('latin1'))
        if (echoed.length === 2) resolve()
      }),
    )
    socket.send('text')
    socket.send(Buffer.alloc(100_000, 7))
    await done
    expect(echoed[0]).toBe('text')
    expect(echoed[1]).toHaveLength(100_000)
    socket.terminate()
  })
})

describe('who may open one', () => {
  it.each<[string, Opening, number, string]>([
    ['FM-6 a foreign origin', { origin: 'https://evil.example' }, 403, 'origin_not_allowed'],
    ['HX-19 no origin', { origin: undefined }, 403, 'origin_not_allowed'],
    ['F02 origin null', { origin: 'null' }, 403, 'origin_not_allowed'],
    ['a cross-site request', { headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'origin_not_allowed'],
    ['HX-19 nobody signed in', { cookie: undefined }, 401, 'session_missing'],
    ['a garbage cookie', { cookie: '__Host-Http-th-at=AAAA' }, 401, 'session_invalid'],
    ['a route without WebSockets', { path: '/plain' }, 400, 'upgrade_not_allowed'],
    ['no route', { path: '/nowhere' }, 404, 'route_not_found'],
    ['an API that is not there', { path: '/gone' }, 502, 'upstream_unreachable'],
  ])('%s', async (_, opening, status, code) => {
    expect(await open(opening)).toMatchObject({ status, code })
    expect(handshakes).toHaveLength(0)
  })

  it.each([
    ['a body in chunks', 'GET', [...key, 'Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n'],
    ['a body with a length', 'GET', [...key, 'Content-Length: 3'], 'abc'],
    ['the length of no body', 'GET', [...key, 'Content-Length: 0'], ''],
    ['an expectation', 'GET', [...key, 'Expect: 100-continue'], ''],
  ])('a handshake with %s is refused before the API is called', async (_, method, lines, rest) => {
    const before = silent.accepted
    const refused = parseAnswer(await (await shakeHands(method, '/raw', lines, rest)).closed())
    expect([refused.status, refused.header('token-handler-error')]).toEqual([400, 'upgrade_not_allowed'])
    expect(silent.accepted).toBe(before)
  })

  it.each([
    ['HX-18 h2c', 'GET', ['Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']],
    ['I08 a body behind the handshake', 'POST', ['Upgrade: h2c', 'Content-Length: 3']],
    ['two protocols', 'GET', ['Upgrade: websocket, h2c']],
    ['no key', 'GET', ['Upgrade: websocket', 'Sec-WebSocket-Version: 13']],
  ])('%s is refused before the API is called', async (_, method, lines) => {
    const before = silent.accepted
    const { status } = parseAnswer(await (await shakeHands(method, '/raw', lines)).closed())
    expect([400, 403, 405]).toContain(status)
    expect(silent.accepted).toBe(before)
  })
})

it('names the methods of the path where a handshake has another (RFC 9110 §15.5.6)', async () => {
  const connection = await openRaw(world.port)
  const lines = ['Host: www.example.com', 'Connection: Upgrade', 'Upgrade: websocket']
  connection.write(rawRequest('POST', '/raw', lines))
  const refused = parseAnswer(await connection.closed())
  expect([refused.status, refused.header('allow')]).toEqual([405, 'GET, HEAD'])
})

describe('an API that does not upgrade', () => {
  it.each([
    ['401', okBytes('', ['WWW-Authenticate: Bearer error="invalid_token"'], '401 No'), 401, 'upstream_unauthorized'],
    [
      'a step-up challenge',
      okBytes('', ['WWW-Authenticate: Bearer error="insufficient_user_authentication", acr_values="gold"'], '401 No'),
      401,
      'insufficient_user_authentication',
    ],
    ['garbage', 'SSH-2.0-x\r\n\r\n', 502, 'upstream_invalid_response'],
    ['a status above all others', 'HTTP/1.1 600 No\r\n\r\n', 502, 'upstream_invalid_response'],
    ['a status below all others', 'HTTP/1.1 099 No\r\n\r\n', 502, 'upstream_invalid_response'],
    [
      'a redirect to elsewhere',
      okBytes('', ['Location: https://evil.example/'], '302 Found'),
      502,
      'upstream_invalid_response',
    ],
    ['half an answer', 'HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nhalf', 502, 'upstream_reset'],
    ['a long answer', okBytes('x'.repeat(65_537), [], '403 No'), 502, 'upstream_invalid_response'],
  ])('%s is refused by us', async (_, bytes, status, code) => {
    silent.behave((socket) => void socket.end(bytes))
    const answered = await open({ path: '/raw' })
    expect(answered).toMatchObject({ status, code })
    expect(answered.headers['set-cookie']).toBeUndefined()
  })

  it.each([
    ['403', '403 Forbidden', ['Set-Cookie: a=b', 'X-Room: full', 'Access-Control-Allow-Origin: *'], 'not in this room'],
    ['429', '429 Too Many Requests', ['Retry-After: 7', 'Server: api'], ''],
    ['503', '503 Service Unavailable', ['Connection: X-Hop', 'X-Hop: 1'], 'later'],
    ['the last status', '599 No', [], 'no'],
    ['200', '200 OK', [], 'x'.repeat(65_536)],
    ['a redirect within the API', '307 Temporary Redirect', ['Location: /raw'], ''],
    ['Latin-1 and nulls', '400 Bad Request', ['X-Name: \u00e9'], '\u00e9\u0000\u00ff'],
  ])('HX-18 %s is passed on like any answer, and the connection ends', async (_, status, lines, body) => {
    silent.behave(answer(okBytes(body, lines, status)))
    const answered = parseAnswer(await (await shakeHands('GET', '/raw')).closed())
    const passed = lines.filter((line) => /^(?:x-room|x-name|retry-after|location)/i.test(line))
    expect([answered.status, answered.body]).toEqual([Number(status.slice(0, 3)), body])
    expect(answered.header('content-length')).toBe(String(body.length))
    expect(answered.lines).toEqual(
      expect.arrayContaining(passed.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()))),
    )
    for (const name of ['set-cookie', 'server', 'x-hop', 'access-control-allow-origin', 'token-handler-error'])
      expect(answered.header(name)).toBeUndefined()
    expect(answered.header('content-security-policy')).toContain('sandbox')
    expect(answered.header('connection')).toBe('close')
  })

  it('is reported as a call with its status, and gives its place on the route back', async () => {
    silent.behave(answer(okBytes('', [], '403 Forbidden')))
    world.events.length = 0
    for (let call = 0; call < 2; call++) expect((await open({ path: '/single' })).status).toBe(403)
    const told = world.events.filter(({ name }) => name === 'upstream.called' || name === 'request.answered')
    expect(told.map(({ name, fields }) => [name, fields['status'], fields['outcome'] ?? fields['error_code']])).toEqual(
      [
        ['upstream.called', 403, 'complete'],
        ['request.answered', 403, undefined],
        ['upstream.called', 403, 'complete'],
        ['request.answered', 403, undefined],
      ],
    )
  })
})

describe('what is told', () => {
  const told = async (opening: Opening) => {
    world.events.length = 0
    const { socket } = await open(opening)
    socket.terminate()
    return world.events
      .filter(({ name }) => name.startsWith('upstream.') || name === 'request.refused')
      .map(({ name, fields }) => [name, fields['outcome'] ?? fields['error_code']])
  }

  it('a handshake that went well is a call of the API', async () => {
    expect(await told({})).toEqual([['upstream.called', 'complete']])
  })

  it('an API that fails is its failure, and no refusal of ours', async () => {
    expect(await told({ path: '/gone' })).toEqual([
      ['upstream.called', 'upstream_unreachable'],
      ['upstream.failed', 'upstream_unreachable'],
    ])
  })

  it('a request that may not pass is refused', async () => {
    expect(await told({ cookie: undefined })).toEqual([['request.refused', 'session_missing']])
  })
})

describe('K06 a WebSocket does not outlive what it was opened with', () => {
  it('closes with 4401 when the access token expires', async () => {
    const { socket } = await open()
    const closed = closing(socket)
    world.clock.pass(301)
    expect(await closed).toEqual([4401, 'token_expired'])
  })

  it('closes with 4401 when the session is ended', async () => {
    const sessionId = 'CCECAwQFBgcICQoLDA0ODw'
    const { socket } = await open({ cookie: world.cookies({ sessionId, accessTokenExpiresAt: 1_900_000_000 }) })
    const closed = closing(socket)
    await world.store.end({ kind: 'session', sessionId, ttlSeconds: 600 })
    world.clock.pass(5)
    expect(await closed).toEqual([4401, 'session_over'])
  })

  /** A WebSocket on which the API has begun a message of ten bytes and stopped after five, and whose session is over then. */
  async function openHalfWay(sessionId: string) {
    const half: { socket?: Duplex } = {}
    silent.behave((socket, { values }) => {
      half.socket = socket
      // In one write, so that the message has begun whenever the handshake is over.
      socket.write(Buffer.concat([handshakeBytes(values), Buffer.from([0x81, 10]), Buffer.from('hello')]))
    })
    const { socket } = await open({
      path: '/raw',
      cookie: world.cookies({ sessionId, accessTokenExpiresAt: 1_900_000_000 }),
    })
    const heard: string[] = []
    socket.on('message', (data: Buffer) => heard.push(data.toString()))
    const closed = closing(socket)
    await world.store.end({ kind: 'session', sessionId, ttlSeconds: 600 })
    world.clock.pass(5)
    return { api: half.socket, heard, closed }
  }

  it('a message that the API has begun is finished before the close frame', async () => {
    const { api: half, heard, closed } = await openHalfWay('FFECAwQFBgcICQoLDA0ODw')
    half?.write('worldand more that is cut off')
    expect(await closed).toEqual([4401, 'session_over'])
    expect(heard).toEqual(['helloworld'])
  })

  it('a message that the API does not finish is waited for one second', async () => {
    const { heard, closed } = await openHalfWay('GGECAwQFBgcICQoLDA0ODw')
    world.clock.pass(1)
    expect(await closed).toEqual([1006, ''])
    expect(heard).toEqual([])
  })

  it('ends at the API when the browser goes', async () => {
    const { socket } = await open({ cookie: world.cookies({ accessTokenExpiresAt: 1_900_000_000 }) })
    const [server] = sockets.clients
    const gone = new Promise((resolve) => server?.on('close', resolve))
    socket.terminate()
    await gone
  })
})

describe('an API that keeps the handshake waiting', () => {
  /** A handshake that has reached the API, which says nothing. */
  async function waiting() {
    silent.behave(() => {})
    const before = silent.seen.length
    const connection = await shakeHands('GET', '/raw')
    await silent.until(() => silent.seen.length > before)
    const [atApi] = [...silent.open].slice(-1)
    return { connection, gone: silent.until(() => atApi !== undefined && !silent.open.has(atApi)) }
  }

  it('is let go when the browser goes', async () => {
    const { connection, gone } = await waiting()
    connection.socket.resetAndDestroy()
    await gone
  })

  it('is let go when the browser closes its sending side', async () => {
    const { connection, gone } = await waiting()
    connection.socket.end()
    await gone
  })

  it('ends when the browser does not wait for it (RFC 6455 §4.1)', async () => {
    const { connection, gone } = await waiting()
    connection.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0]))
    await gone
    expect(parseAnswer(await connection.closed()).json()).toMatchObject({ error_code: 'upgrade_not_allowed' })
  })

  it('is not begun when bytes come right behind the request', async () => {
    const before = silent.seen.length
    const connection = await openRaw(world.port)
    const lines = [
      'Host: www.example.com',
      `Origin: ${publicOrigin}`,
      `Cookie: ${world.cookies({ accessTokenExpiresAt: 1_900_000_000 })}`,
    ]
    const handshake = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13']
    const key = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
    connection.write(`${rawRequest('GET', '/raw', [...lines, ...handshake, ...key])}GET / HTTP/1.1\r\n`)
    expect(parseAnswer(await connection.closed()).json()).toMatchObject({ error_code: 'upgrade_not_allowed' })
    expect(silent.seen.length).toBe(before)
  })

  it('is let go after response_timeout_ms, and the browser is told', async () => {
    const { connection, gone } = await waiting()
    world.clock.pass(30)
    await gone
    expect(parseAnswer(await connection.closed()).json()).toMatchObject({ error_code: 'upstream_response_timeout' })
  })
})

describe('an API that ends a WebSocket', () => {
  it.each([
    ['while the browser still sends', true],
    ['and a browser that never closes its side', false],
  ])('%s leaves its place to the next one', async (_, closes) => {
    const api: { socket?: Duplex } = {}
    silent.behave((socket) => {
      api.socket = socket
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    })
    const connect = async () => {
      const connection = await openRaw(world.port)
      const cookie = `Cookie: ${world.cookies({ accessTokenExpiresAt: 1_900_000_000 })}`
      const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
      const upgrade = ['Upgrade: websocket', 'Connection: Upgrade', `Origin: ${publicOrigin}`, 'Host: www.example.com']
      connection.write(rawRequest('GET', '/single', [cookie, ...key, ...upgrade]))
      const { status } = parseAnswer(await connection.until((text) => text.includes('\r\n\r\n')))
      return { connection, status }
    }
    const { connection } = await connect()
    api.socket?.end()
    await connection.closed()
    if (closes) connection.socket.end('a frame that nobody will read')
    else world.clock.pass(3)
    // The place is free once the proxy has seen the end.
    for (let status = 0; status !== 101; ) {
      const next = await connect()
      status = next.status
      next.connection.socket.destroy()
    }
    connection.close()
  })
})

describe('a client that never closes its side', () => {
  it.each([
    ['after a refusal', ['Origin: https://evil.example'], /^HTTP\/1\.1 403 /],
    ['after a close frame', [`Origin: ${publicOrigin}`], /^HTTP\/1\.1 101 /],
  ])('%s is let go', async (_, more, opening) => {
    const connection = await openRaw(world.port)
    const key = [
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]
    const cookie = `Cookie: ${world.cookies({ accessTokenExpiresAt: world.clock.nowSeconds() + 5 })}`
    connection.write(rawRequest('GET', '/ws/x', ['Host: www.example.com', cookie, ...key, ...more]))
    expect(await connection.until((text) => text.includes('\r\n\r\n'))).toMatch(opening)
    world.clock.pass(6)
    await connection.closed()
    world.clock.pass(3)
    await letGo(connection.socket)
  })
})

it('closes with 1001 when neither side says anything for stream_idle_timeout_ms, and reports it once', async () => {
  world.events.length = 0
  silent.behave((socket, { values }) => void socket.write(handshakeBytes(values)))
  const { socket } = await open({ path: '/quiet', cookie: world.cookies({ accessTokenExpiresAt: 1_900_000_000 }) })
  expect(await closing(socket)).toEqual([1001, 'idle'])
  const told = world.events.filter(({ name }) => name === 'stream.closed').map(({ fields }) => fields)
  expect(told).toEqual([{ request_id: expect.any(String) as unknown, route: '/quiet', cause: 'idle' }])
})

it('closes with 1001 when the process stops', async () => {
  const { socket } = await open({ cookie: world.cookies({ accessTokenExpiresAt: 1_900_000_000 }) })
  const closed = closing(socket)
  world.proxy.endStreams()
  expect(await closed).toEqual([1001, 'stopping'])
  // What comes to this one from now on would end at once.
  await world.close()
  world = await startAnew()
})
