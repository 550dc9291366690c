import { createHash } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { openRaw, type RawConnection, rawRequest } from '../support/raw-http.ts'
import { modelSearch } from '../support/model-search.ts'

/** Event streams, WebSockets and answers without an end, while sessions are renewed, pass their limits and are ended. */

const places = 8
/** The watch looks at all of them together so often. */
const checkEverySeconds = 5

const step = fc.record({
  kind: fc.constantFrom(
    'opens',
    'opens',
    'opens',
    'passes',
    'passes',
    'renews',
    'signs out',
    'client closes',
    'API closes',
  ),
  of: fc.constantFrom('events', 'answer', 'socket'),
  who: fc.nat(1),
  which: fc.nat(5),
  seconds: fc.constantFrom(1, 3, 5, 7, 20, 40),
  /** How long the token and the session of the cookie that is sent live from then on. */
  tokenSeconds: fc.constantFrom(8, 30, 300),
  idleSeconds: fc.constantFrom(6, 25, 60),
})
const limits = fc.array(fc.constantFrom(30, 70, 100_000), { minLength: 2, maxLength: 2 })

type Kind = 'events' | 'answer' | 'socket'

interface Open {
  readonly id: string
  readonly of: Kind
  readonly session: Session
  readonly connection: RawConnection
  readonly api: Socket
  readonly tokenEnds: number
  readonly idleEnds: number
  /** Its time was up at least once. */
  due: boolean
  over: boolean
}

interface Session {
  readonly sessionId: string
  readonly absoluteEnds: number
  /** The latest of the cookies that were sent while an answer went on. */
  newestIdle: number
  endedAt: number | undefined
}

const apiSockets = new Map<string, Socket>()
const api = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = text.slice(0, end)
    text = ''
    const [, of = '', id = ''] = /^GET \/api\/(\w+)\/(\w+)/.exec(head) ?? []
    apiSockets.set(id, socket)
    if (of === 'socket') {
      const key = /^sec-websocket-key: (.*)$/im.exec(head)?.[1] ?? ''
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      socket.write(
        `HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
    } else if (of === 'renew') {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    } else {
      const type = of === 'events' ? 'text/event-stream' : 'text/plain'
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n`)
    }
  })
})

let world: ProxyWorld
beforeAll(() => new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve)))
afterAll(() => new Promise((resolve) => api.close(resolve)))

async function startWorld(): Promise<void> {
  const { port } = api.address() as AddressInfo
  world = await startProxy(`
    - path: /api/**
      upstream: 'http://127.0.0.1:${port}'
      websocket: true
      headerless: [websocket]
      max_concurrent_requests: ${places}
      max_concurrent_requests_per_session: ${places}
`)
}

async function closeWorld(): Promise<void> {
  await world.close()
  for (const socket of apiSockets.values()) socket.destroy()
  apiSockets.clear()
}

let ids = 0
const now = () => world.clock.nowSeconds()

function newSession(absoluteSeconds: number): Session {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(ids++)
  return {
    sessionId: bytes.toString('base64url'),
    absoluteEnds: now() + absoluteSeconds,
    newestIdle: 0,
    endedAt: undefined,
  }
}

/** Sends a request of this session; resolves with the status of its answer. */
async function ask(of: Kind | 'renew', session: Session, tokenEnds: number, idleEnds: number) {
  const id = `i${ids++}`
  const cookie = world.cookies({
    sessionId: session.sessionId,
    createdAt: 1_800_000_000,
    absoluteExpiresAt: session.absoluteEnds,
    idleExpiresAt: idleEnds,
    accessTokenExpiresAt: tokenEnds,
  })
  const handshake = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  const lines = [hostLine, `Origin: ${publicOrigin}`, `Cookie: ${cookie}`, ...(of === 'socket' ? handshake : ownPage)]
  const connection = await openRaw(world.port)
  connection.write(rawRequest('GET', `/api/${of}/${id}`, lines))
  const wanted = of === 'events' || of === 'answer' ? /begun|error_code/ : /\r\n\r\n/
  const text = await connection.until((all) => wanted.test(all))
  return { id, connection, status: Number(text.slice(9, 12)) }
}

/** When the session of what is open, and with it that, comes to its end. */
function endOf({ of, session, tokenEnds, idleEnds }: Open): number {
  const idle = of === 'answer' ? Math.max(idleEnds, session.newestIdle) : idleEnds
  const token = of === 'answer' ? Number.POSITIVE_INFINITY : tokenEnds
  return Math.min(session.absoluteEnds, idle, token, session.endedAt ?? Number.POSITIVE_INFINITY)
}

/** An event stream ends in good order, so that its connection may go on; anything else ends with it. */
function isGone({ of, connection: { socket, received } }: Open): boolean {
  return socket.readableEnded || socket.destroyed || (of === 'events' && received().endsWith('\r\n0\r\n\r\n'))
}

it('K06 what has no end in sight ends with its session, within five seconds and not before, and leaves its place', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc
      .asyncProperty(limits, fc.array(step, { minLength: 1, maxLength: 14 }), async (absolutes, steps) => {
        const sessions = absolutes.map(newSession)
        const all: Open[] = []
        let asks = 0
        const running = () => all.filter(({ over }) => !over)
        const settle = async (expected: (each: Open) => 'open' | 'over' | 'either') => {
          for (const each of running()) {
            const what = expected(each)
            // The watch may have looked at it by now, or not.
            if (what === 'either') continue
            if (what === 'over') {
              await expect.poll(() => isGone(each), { interval: 1 }).toBe(true)
              await expect.poll(() => each.api.destroyed, { interval: 1 }).toBe(true)
              each.over = true
              each.connection.close()
            } else {
              // Alive: what the API says arrives.
              const before = each.connection.received().length
              each.api.write(each.of === 'socket' ? Buffer.from([0x82, 1, 0x78]) : '1\r\nx\r\n')
              await each.connection.until((text) => text.length > before)
              expect([each.of, isGone(each), now(), endOf(each)]).toEqual([each.of, false, now(), endOf(each)])
            }
          }
        }
        for (const { kind, of, who, which, seconds, tokenSeconds, idleSeconds } of steps) {
          const session = sessions[who]
          const one = running()[which]
          if (session === undefined) continue
          if (kind === 'opens' || kind === 'renews') {
            if (running().length >= places - 1) continue
            const [tokenEnds, idleEnds] = [now() + tokenSeconds, now() + idleSeconds]
            asks++
            const asked = await ask(kind === 'opens' ? of : 'renew', session, tokenEnds, idleEnds)
            const isOver = now() >= Math.min(session.absoluteEnds, session.endedAt ?? Number.POSITIVE_INFINITY)
            expect(asked.status).toBe(isOver ? 401 : kind === 'renews' ? 200 : of === 'socket' ? 101 : 200)
            const goesOn = running().some((each) => each.of === 'answer' && each.session === session)
            if (!isOver && goesOn) session.newestIdle = Math.max(session.newestIdle, idleEnds)
            const socket = apiSockets.get(asked.id)
            if (isOver || kind === 'renews' || socket === undefined) {
              asked.connection.close()
              continue
            }
            if (of === 'answer') session.newestIdle = Math.max(session.newestIdle, idleEnds)
            all.push({ ...asked, of, session, api: socket, tokenEnds, idleEnds, due: false, over: false })
          } else if (kind === 'passes') {
            world.clock.pass(seconds)
            await settle((each) => {
              // A renewal that comes when its time was up may have come too late.
              each.due ||= now() >= endOf(each)
              if (now() >= endOf(each) + checkEverySeconds) return 'over'
              return each.due ? 'either' : 'open'
            })
          } else if (kind === 'signs out') {
            session.endedAt ??= now()
            await world.store.end({ kind: 'session', sessionId: session.sessionId, ttlSeconds: 200_000 })
          } else if (one !== undefined) {
            one.over = true
            if (kind === 'client closes') one.connection.close()
            else one.api.destroy()
            await expect.poll(() => one.api.destroyed && isGone(one), { interval: 1 }).toBe(true)
            one.connection.close()
          }
          for (const each of sessions) {
            if (!running().some(({ of: kindOf, session: its }) => kindOf === 'answer' && its === each))
              each.newestIdle = 0
          }
        }
        const told = world.events
          .filter(({ name }) => name === 'stream.closed')
          .map(({ fields }) => fields['request_id'])
        expect(new Set(told).size).toBe(told.length)
        for (const each of running()) {
          each.connection.close()
          await expect.poll(() => each.api.destroyed, { interval: 1 }).toBe(true)
        }
        // Each is told of once, and when it is, has left its place.
        const answered = () => world.events.filter(({ name }) => name === 'request.answered').length
        await expect.poll(answered, { interval: 1 }).toBe(asks)
        const probe = newSession(1000)
        const probes = await Promise.all(
          Array.from({ length: places }, () => ask('events', probe, now() + 900, now() + 900)),
        )
        expect(probes.map(({ status }) => status)).toEqual(probes.map(() => 200))
        for (const { id, connection } of probes) {
          connection.close()
          await expect.poll(() => apiSockets.get(id)?.destroyed, { interval: 1 }).toBe(true)
        }
        expect(world.events.filter(({ name }) => name === 'internal.failed')).toEqual([])
      })
      .beforeEach(startWorld)
      .afterEach(closeWorld),
    modelSearch(30),
  )
})
