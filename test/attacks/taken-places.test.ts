import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { openRaw, parseAnswer, type RawAnswer, type RawConnection, rawRequest } from '../support/raw-http.ts'
import { type Behaviour, echo, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeEach(async () => {
  api = await startUpstream()
  api.behave(holding)
  world = await startProxy(`
    - path: /api/**
      methods: [GET, POST]
      upstream: '${api.origin}'
      websocket: true
      headerless: [websocket, event_stream]
      max_body_bytes: 100
      max_concurrent_requests: 5
      max_concurrent_requests_per_session: 2
    - path: /other
      upstream: '${api.origin}'
      max_concurrent_requests_per_session: 1
    - path: /gone
      upstream: 'http://127.0.0.1:1'
      max_concurrent_requests_per_session: 1
`)
})
afterEach(async () => {
  await world.close()
  await api.close()
})

/** An API that opens what it is asked for and says nothing more. */
const holding: Behaviour = (socket, seen) => {
  if (seen.target === '/api/events') {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    return
  }
  const [key] = seen.values('sec-websocket-key')
  if (key === undefined) {
    echo(socket, seen)
    return
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  const lines = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`)
}

const alice: Partial<AccessContent> = { sessionId: 'AliceAliceAliceAliceAA' }
const bob: Partial<AccessContent> = { sessionId: 'BobBobBobBobBobBobBobQ' }

type Kind = 'upload' | 'event stream' | 'WebSocket'

/** What holds a place for as long as its sender likes. */
const requests: Readonly<Record<Kind, readonly [method: string, target: string, lines: readonly string[]]>> = {
  // The 100 shows that the place has been taken.
  upload: ['POST', '/api/upload', [...ownPage, 'Expect: 100-continue', 'Transfer-Encoding: chunked']],
  'event stream': ['GET', '/api/events', ['Accept: text/event-stream', 'Sec-Fetch-Site: same-origin']],
  WebSocket: [
    'GET',
    '/api/socket',
    [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ],
  ],
}
const kinds = Object.keys(requests) as Kind[]

interface Held {
  readonly connection: RawConnection
  readonly first: RawAnswer
}

async function begin(kind: Kind, who = alice): Promise<Held> {
  const [method, target, lines] = requests[kind]
  const connection = await openRaw(world.port)
  const usual = [hostLine, `Origin: ${publicOrigin}`, `Cookie: ${world.cookies(who)}`]
  connection.write(rawRequest(method, target, [...usual, ...lines]))
  return { connection, first: parseAnswer(await connection.until((text) => text.includes('\r\n\r\n'))) }
}

const held = ({ first }: Held) => first.status < 300

/** Begins until it is let in: what went is gone for us only when the proxy has seen it. */
async function beginAtLast(kind: Kind, who = alice): Promise<Held> {
  for (;;) {
    const next = await begin(kind, who)
    if (held(next)) return next
    next.connection.close()
  }
}

const statusOf = async (who: Partial<AccessContent>) =>
  (await world.call('GET', '/api/x', { cookies: world.cookies(who) })).status

describe('one session cannot keep everybody else out', () => {
  it.each(kinds)('with a %s more than its share it is refused, and others are served', async (kind) => {
    for (let place = 0; place < 2; place++) expect(held(await begin(kind))).toBe(true)
    for (const other of kinds) expect((await begin(other)).first.status).toBe(429)
    expect(await statusOf(alice)).toBe(429)
    expect(await statusOf(bob)).toBe(200)
    for (let place = 0; place < 2; place++) expect(held(await begin(kind, bob))).toBe(true)
  })

  it('it is told why, and so is the operator', async () => {
    for (let place = 0; place < 2; place++) await begin('event stream')
    world.events.length = 0
    const refused = await world.call('GET', '/api/x', { cookies: world.cookies(alice) })
    expect([refused.status, refused.header('retry-after'), refused.json()]).toEqual([
      429,
      '1',
      {
        error_code: 'too_many_concurrent_requests',
        detailed_error: 'Too many requests of this session are in progress.',
        retry_after: 1,
      },
    ])
    const told = world.events.filter(({ name }) => name.startsWith('request.'))
    expect(told.map(({ name, fields }) => [name, fields['error_code'], fields['route']])).toEqual([
      ['request.refused', 'too_many_concurrent_requests', '/api/**'],
      ['request.answered', 'too_many_concurrent_requests', '/api/**'],
    ])
  })

  it('cookies of one session count together, and each route by itself', async () => {
    await begin('event stream')
    await begin('event stream', { ...alice, generation: 2 })
    expect(await statusOf(alice)).toBe(429)
    expect((await world.call('GET', '/other', { cookies: world.cookies(alice) })).status).toBe(200)
  })
})

describe('a place is given back with the end of what held it', () => {
  const drop = ([first]: readonly Held[]) => void first?.connection.socket.resetAndDestroy()
  const cutByApi = () => {
    for (const socket of api.open) socket.destroy()
  }
  const closeAfterApi = async (both: readonly Held[]) => {
    cutByApi()
    for (const { connection } of both) {
      await connection.closed()
      connection.close()
    }
  }
  const sendFromApi = (text: string) => {
    for (const socket of api.open) socket.write(text)
  }

  it.each<[Kind, string, (both: readonly Held[]) => void | Promise<void>, left: number]>([
    ['upload', 'is finished', ([first]) => first?.connection.write('0\r\n\r\n'), 1],
    ['upload', 'is too large', ([first]) => first?.connection.write(`ff\r\n${'a'.repeat(255)}\r\n`), 1],
    ['upload', 'is broken off', drop, 1],
    ['upload', 'is cut by the API', cutByApi, 0],
    ['event stream', 'is left by the browser', drop, 1],
    ['event stream', 'is ended by the API', () => sendFromApi('0\r\n\r\n'), 0],
    ['event stream', 'is cut by the API', cutByApi, 0],
    ['event stream', 'is ended with the process', () => world.proxy.endStreams(), 0],
    ['WebSocket', 'is left by the browser', drop, 1],
    ['WebSocket', 'is cut by the API', closeAfterApi, 0],
  ])('when a %s %s', async (kind, _, end, left) => {
    const both = [await begin(kind), await begin(kind)]
    expect((await begin(kind)).first.status).toBe(429)
    await end(both)
    // Uploads hold a place in the same way, whatever became of streams.
    for (let place = left; place < 2; place++) await beginAtLast('upload')
    expect((await begin('upload')).first.status).toBe(429)
    expect(await statusOf(bob)).toBe(200)
  })

  it.each([
    ['/other', 200],
    ['/gone', 502],
  ])('with the answer of a call of %s', async (target, status) => {
    for (let call = 0; call < 3; call++) {
      expect((await world.call('GET', target, { cookies: world.cookies(alice) })).status).toBe(status)
    }
  })

  it('when the API refuses the token', async () => {
    api.behave((socket) => void socket.write('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'))
    for (let call = 0; call < 3; call++) expect((await begin('WebSocket')).first.status).toBe(401)
    for (let call = 0; call < 3; call++) expect(await statusOf(alice)).toBe(401)
  })
})
