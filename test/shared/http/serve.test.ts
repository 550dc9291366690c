import { once } from 'node:events'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect as connectTo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../shared/clock.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { failureCode } from '../../../shared/failure-code.ts'
import { requestIdOf } from '../../../shared/http/request-id.ts'
import type { HttpHandler } from '../../../shared/http/http-handler.ts'
import { serve } from '../../../shared/http/serve.ts'
import { createManualClock, type ManualClock } from '../../support/manual-clock.ts'
import { oneServer } from '../../support/one-server.ts'
import { letGo, openRaw, type RawConnection, sendRaw } from '../../support/raw-http.ts'

const { start, open, events, speakTls } = oneServer()

const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

const close = (raw: RawConnection): void => raw.close()

const answerOk: HttpHandler = {
  handle: (request, response) => void response.setHeader('x-request-id', requestIdOf(request)).end('ok'),
}

it('a Unix socket is for its owner and group, names who connects, and is gone in the end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const socket = join(folder, 'agent.sock')
  const running = await start(
    { handle: (request, response) => void response.end(request.socket.remoteAddress) },
    { listen: { host: '127.0.0.1', port: 0, socket } },
  )
  expect(running.port).toBe(0)
  expect(statSync(socket).mode & 0o777).toBe(0o660)
  expect((await sendRaw(socket, get)).body).toBe('unix:')
  await running.stop(0)
  expect(existsSync(socket)).toBe(false)
})

describe.each([
  ['plain HTTP', false],
  ['TLS', true],
])('over %s', (_, tls) => {
  speakTls(tls)

  it('an upgrade behind a request that has no answer yet ends the connection: no answer may take the place of another', async () => {
    const upgrades: string[] = []
    const pending: ServerResponse[] = []
    const running = await start({
      handle: (_request, response) => void pending.push(response),
      upgrade: (request, socket) => {
        upgrades.push(request.url ?? '')
        socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      },
    })
    const upgrade = get
      .replace('GET / ', 'GET /ws ')
      .replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const busy = await open(running)
    busy.write(get + upgrade)
    expect(await busy.closed()).toBe('')
    expect([upgrades, pending.length]).toEqual([[], 1])

    const idle = await open(running)
    idle.write(get)
    await expect.poll(() => pending.length).toBe(2)
    pending[1]?.end('ok')
    await idle.until((text) => text.endsWith('ok\r\n0\r\n\r\n') || text.endsWith('ok'))
    idle.write(upgrade)
    expect(await idle.closed()).toContain('101 Switching Protocols')
  })

  it('a client that closes its sending side before it has an answer has gone', async () => {
    let request: IncomingMessage | undefined
    const running = await start({ handle: (asked) => void (request = asked) })
    const client = await open(running)
    client.write(get)
    await expect.poll(() => request).toBeDefined()
    client.socket.end()
    await expect.poll(() => request?.destroyed).toBe(true)
    expect(await client.closed()).toBe('')
  })

  it('an upgraded connection ends one side after the other', async () => {
    let upgraded: Duplex | undefined
    const running = await start({
      ...answerOk,
      upgrade: (_request, socket) => {
        socket.resume().once('end', () => setImmediate(() => socket.end('last words')))
        socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
        upgraded = socket
      },
    })
    const client = await open(running)
    client.write('GET / HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await client.until((text) => text.includes('101'))
    client.socket.end()
    expect(await client.closed()).toMatch(/last words$/)
    await expect.poll(() => upgraded?.destroyed).toBe(true)
  })

  it('an upgrade that fails is told, and its connection is cut', async () => {
    const upgrade = () => Promise.reject(new TypeError('secret text'))
    const client = await open(await start({ ...answerOk, upgrade }))
    client.write('GET / HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    expect(await client.closed()).toBe('')
    expect(events).toMatchObject([{ name: 'internal.failed', fields: { error_name: 'TypeError' } }])
  })

  describe('what the parser refuses', () => {
    it.each([
      ['a header without a colon', 'GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n', 400, 'ambiguous_request'],
      ['a space before the colon', 'GET / HTTP/1.1\r\nHost : localhost\r\n\r\n', 400, 'ambiguous_request'],
      ['a folded header', 'GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n', 400, 'ambiguous_request'],
      [
        'two lengths',
        'POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
        400,
        'ambiguous_request',
      ],
      [
        'length and chunks',
        'POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
        400,
        'ambiguous_request',
      ],
      [
        'a header beyond 16 KiB',
        `GET / HTTP/1.1\r\nHost: l\r\nCookie: ${'a'.repeat(17_000)}\r\n\r\n`,
        431,
        'request_header_too_large',
      ],
    ])('%s is answered in our own words, and the connection ends', async (_, bytes, status, code) => {
      const connection = await open(await start(answerOk))
      connection.write(bytes)
      const text = await connection.closed()
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
      expect(text).toContain('content-type: application/json\r\n')
      expect(text).toContain('cache-control: no-store\r\n')
      expect(text).toContain(`"error_code":"${code}"`)
      const requestId = /x-request-id: (\w+)/.exec(text)?.[1]
      const facts = { side: 'none', route: 'none', status, error_code: code }
      expect(events).toEqual([{ name: 'request.answered', fields: { request_id: requestId, ...facts } }])
    })
    it('a head that does not arrive in time is answered 408', async () => {
      const connection = await open(await start(answerOk, { limits: { headersMs: 1, requestMs: 2, checkMs: 5 } }))
      connection.write('GET / HTTP/1.1\r\nHost')
      expect(await connection.closed()).toContain('"error_code":"request_timeout"')
    })
    it('a head has no more time than its whole request', async () => {
      const connection = await open(await start(answerOk, { limits: { requestMs: 2, checkMs: 5 } }))
      connection.write('GET / HTTP/1.1\r\nHost')
      expect(await connection.closed()).toContain('"error_code":"request_timeout"')
    })
    it.each([
      ['a request', 'Content-Length: 0\r\n\r\n'],
      ['an upgrade', 'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ])('%s that was answered 408 has no effect when its rest arrives after all', async (_, rest) => {
      const handled: string[] = []
      const handler: HttpHandler = {
        handle: ({ url = '' }, response) => void (handled.push(url), response.end()),
        upgrade: ({ url = '' }, socket) => void (handled.push(url), socket.destroy()),
      }
      const running = await start(handler, { limits: { headersMs: 1, requestMs: 2, checkMs: 5 } })
      const late = await open(running)
      late.write('POST /late HTTP/1.1\r\nHost: l\r\n')
      await late.closed()
      const gone = new Promise((resolve) => late.socket.once('close', resolve))
      // In a piece of its own: what comes together with the end of a connection is not read any more.
      late.write(rest)
      await new Promise((resolve) => setImmediate(resolve))
      late.socket.end()
      await gone
      expect(handled).toEqual([])
    })
    it('a connection is let go although the client never closes its side', async () => {
      const clock = createManualClock()
      const running = await start(answerOk, { clock, limits: { headersMs: 1, requestMs: 2, checkMs: 5 } })
      const connection = await open(running)
      connection.write('GET / HTTP/1.1\r\nHost')
      await connection.closed()
      clock.pass(2)
      const gone = new Promise((resolve) => connection.socket.once('close', resolve))
      connection.socket.on('error', () => {})
      // What is sent to a socket that is gone is answered by a reset.
      const prod = setInterval(() => connection.socket.write('x'), 5)
      await gone
      clearInterval(prod)
    })
    it('an answer on its way is cut, not mixed with another, when the body of its request takes too long', async () => {
      const handler: HttpHandler = { handle: (_, response) => void response.writeHead(200).write('begun') }
      const connection = await open(await start(handler, { limits: { headersMs: 250, requestMs: 250, checkMs: 5 } }))
      connection.write('POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 9\r\n\r\nslow')
      const text = await connection.closed()
      expect(text).toContain('begun')
      expect(text).not.toContain('request_timeout')
    })
  })

  describe('requests', () => {
    it('get an id of ours, never theirs', async () => {
      const connection = await open(await start(answerOk))
      connection.write('GET / HTTP/1.1\r\nHost: l\r\nX-Request-Id: theirs\r\n\r\n'.repeat(2))
      const text = await connection.until((found) => found.split('\r\n\r\nok').length === 3)
      const ids = [...text.matchAll(/x-request-id: (.*)\r\n/g)].map((match) => match[1])
      expect(new Set(ids).size).toBe(2)
      for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/)
    })
    it.each([
      ['one of ours', new TokenHandlerError('overloaded'), 503, 'overloaded'],
      ['any other', new Error('secret text'), 500, 'server_error'],
    ])('that fail with %s error are answered from the error table', async (_, error, status, code) => {
      const connection = await open(await start({ handle: () => Promise.reject(error) }))
      connection.write(get)
      const text = await connection.closed()
      expect(text).toContain(`HTTP/1.1 ${status} `)
      expect(text).toContain(`"error_code":"${code}"`)
      expect(text).not.toContain('secret text')
      expect(events.map(({ name }) => name)).toEqual(['internal.failed'])
    })
    it('that fail after the answer began are cut, so that nobody takes half for whole', async () => {
      const handle = async (_: IncomingMessage, response: ServerResponse): Promise<void> => {
        response.writeHead(200, { 'content-length': '10' })
        await new Promise((resolve) => response.write('half', resolve))
        throw new Error('too late')
      }
      const connection = await open(await start({ handle }))
      connection.write(get)
      expect(await connection.closed()).toMatch(/\r\n\r\nhalf$/)
    })

    /** A client that asks for far more than any buffer holds, and does not read it. */
    async function unread(clock: ManualClock) {
      let socket: Socket | undefined
      const handler: HttpHandler = {
        async handle(request, response) {
          response.write(Buffer.alloc(15_000_000))
          await new Promise((resolve) => setImmediate(resolve))
          response.end(Buffer.alloc(15_000_000))
          socket = request.socket
        },
      }
      const connection = await open(await start(handler, { clock }))
      connection.socket.pause()
      connection.write(get)
      const until = async (condition: () => boolean) => {
        while (!condition()) await new Promise((resolve) => setImmediate(resolve))
      }
      await until(() => socket !== undefined)
      return { connection, left: () => socket?.writableLength ?? 0, until, isCut: () => socket?.destroyed === true }
    }

    it('that nobody reads are given up, with the memory they take', async () => {
      const clock = createManualClock()
      const { until, isCut } = await unread(clock)
      clock.pass(59)
      expect(isCut()).toBe(false)
      clock.pass(1)
      await until(isCut)
    })

    it('that somebody reads, however slowly, are not', async () => {
      const clock = createManualClock()
      const { connection, left, until, isCut } = await unread(clock)
      const before = left()
      clock.pass(59)
      connection.socket.resume()
      await until(() => left() < before)
      clock.pass(1)
      await connection.until((text) => text.length > 30_000_000)
      expect(isCut()).toBe(false)
    })

    it.each([
      ['that end their connection', 'Connection: close\r\n'],
      ['that were not told to send their body', 'Expect: 100-continue\r\n'],
    ])('%s are answered although their body goes on: a reset would take the answer back', async (_, line) => {
      const running = await start({ handle: (_request, response) => void response.writeHead(413).end('too long') })
      const connection = await open(running)
      connection.write(`POST / HTTP/1.1\r\nHost: l\r\n${line}Content-Length: 9000\r\n\r\n`)
      const text = await connection.closed()
      expect(text).toMatch(/^HTTP\/1.1 413 .*too long/s)
      expect(text).toContain('Connection: close\r\n')
      for (let piece = 0; piece < 9; piece += 1) {
        connection.write('x'.repeat(1000))
        await new Promise((resolve) => setImmediate(resolve))
      }
      connection.socket.end()
      await expect.poll(() => connection.socket.closed).toBe(true)
      expect(connection.socket.errored).toBeNull()
    })

    it('whose body goes on and on behind the last answer of their connection are cut after a moment', async () => {
      const clock = createManualClock()
      const handler: HttpHandler = { handle: (_request, response) => void response.writeHead(413).end('too long') }
      const connection = await open(await start(handler, { clock }))
      connection.write('POST / HTTP/1.1\r\nHost: l\r\nConnection: close\r\nContent-Length: 9000\r\n\r\n')
      await connection.closed()
      clock.pass(2)
      await letGo(connection.socket)
    })

    it('that wait for 100 Continue are decided before their body is asked for', async () => {
      const handle = (_: IncomingMessage, response: ServerResponse): void => {
        response.shouldKeepAlive = false
        response.writeHead(401).end()
      }
      const connection = await open(await start({ handle }))
      connection.write('POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
      const text = await connection.closed()
      expect(text).toMatch(/^HTTP\/1\.1 401 /)
      expect(text).not.toContain('100 Continue')
    })
    it('to upgrade without a handler for it are plain requests', async () => {
      const connection = await open(await start(answerOk))
      connection.write('GET / HTTP/1.1\r\nHost: l\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n')
      expect(await connection.closed()).toMatch(/^HTTP\/1\.1 200 /)
    })
  })

  describe('stopping', () => {
    it('lets a request in flight finish, and closes its connection', async () => {
      let answer: (() => void) | undefined
      const running = await start({
        handle: (_, response) => {
          answer = () => response.end('done')
        },
      })
      const connection = await open(running)
      connection.write(get)
      await expect.poll(() => answer).toBeDefined()
      const stopped = running.stop(60_000)
      answer?.()
      expect(await connection.closed()).toMatch(/connection: close[^]*done$/i)
      await stopped
    })
    it('retires first: connections end with their next answer, new ones are still taken', async () => {
      const running = await start(answerOk)
      const known = await open(running)
      known.write(get)
      await known.until((text) => text.endsWith('ok'))
      running.retire()
      known.write(get)
      expect(await known.closed()).toMatch(/connection: close[^]*ok$/i)
      const late = await open(running)
      late.write(get)
      expect(await late.closed()).toMatch(/connection: close[^]*ok$/i)
    })
    it('closes idle connections at once, and refuses new ones', async () => {
      const running = await start(answerOk)
      const idle = await open(running)
      idle.write(get)
      await idle.until((text) => text.endsWith('ok'))
      await running.stop(60_000)
      expect(await idle.closed()).toMatch(/ok$/)
      await expect(openRaw(running.port)).rejects.toThrow('ECONNREFUSED')
    })
    it('answers the first request of a connection that was open already', async () => {
      const running = await start(answerOk)
      const answered = await open(running)
      answered.write(get)
      await answered.until((text) => text.endsWith('ok'))
      const fresh = await open(running)
      const stopped = running.stop(60_000)
      await expect.poll(() => openRaw(running.port).then(close, failureCode)).toBe('ECONNREFUSED')
      fresh.write(get)
      expect(await fresh.closed()).toMatch(/connection: close[^]*ok$/i)
      await stopped
    })
    it('tells streams first, and cuts what is left when the time is over', async () => {
      const clock = createManualClock()
      const told: string[] = []
      const running = await start(
        {
          handle: (_, response) => void response.write('endless'),
          endStreams: () => void told.push('streams'),
        },
        { clock },
      )
      const connection = await open(running)
      connection.write(get)
      await connection.until((text) => text.includes('endless'))
      const stopped = running.stop(25_000)
      expect(told).toEqual(['streams'])
      clock.pass(25)
      await stopped
      await connection.closed()
    })
    it('waits for upgraded sockets too', async () => {
      const clock = createManualClock()
      const running = await start(
        { ...answerOk, upgrade: (_, socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n') },
        { clock },
      )
      const connection = await open(running)
      connection.write('GET / HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      await connection.until((text) => text.includes('101'))
      const stopped = running.stop(1000)
      clock.pass(1)
      await stopped
      expect(await connection.closed()).toContain('101')
    })
  })
})

it('without TLS requests take a piece as large as Node reads without asking to wait', async () => {
  let more: boolean | undefined
  const handle = (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { 'content-length': 65_536 })
    more = response.write(Buffer.alloc(65_536, 'a'))
    response.end()
  }
  const connection = await open(await start({ handle }))
  connection.write(get)
  await connection.until((text) => text.endsWith('a'.repeat(65_536)))
  expect(more).toBe(true)
})

it('listens at the address it is given, and at no other of the machine', async () => {
  const places: unknown[] = []
  const note = (message: unknown) => void places.push((message as { server: Server }).server.address())
  subscribe('tracing:net.server.listen:asyncEnd', note)
  onTestFinished(() => void unsubscribe('tracing:net.server.listen:asyncEnd', note))
  const { port } = await start(answerOk)
  expect(places).toEqual([{ address: '127.0.0.1', family: 'IPv4', port }])
  const connect = (host: string) =>
    new Promise<string>((resolve) => {
      const socket = connectTo({ host, port }, () => resolve('connected'))
      socket.on('error', (error) => resolve(String(failureCode(error))))
      onTestFinished(() => void socket.destroy())
    })
  expect(await connect('127.0.0.1')).toBe('connected')
  // All of 127.0.0.0/8 is this machine (RFC 1122 §3.2.1.3); macOS knows only the first address of it.
  if (process.platform === 'linux') expect(await connect('127.0.0.2')).toBe('ECONNREFUSED')
})

it('tells clients how long an idle connection is kept, which outlasts the idle time of balancers (K02)', async () => {
  const connection = await open(await start(answerOk))
  connection.write(get)
  expect(await connection.until((text) => text.includes('\r\n\r\nok'))).toMatch(/\r\nKeep-Alive: timeout=90\r\n/i)
})

it('a port in use is an error with its code', async () => {
  const { port } = await start(answerOk)
  await expect(
    serve({ handler: answerOk, listen: { host: '127.0.0.1', port }, clock: systemClock, observe: { emit: () => {} } }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

it('half an answer by HTTP/1.0 does not look whole when the body of its request takes too long', async () => {
  const handler: HttpHandler = { handle: (_, response) => void response.writeHead(200).write('begun') }
  const connection = await open(await start(handler, { limits: { headersMs: 250, requestMs: 250, checkMs: 5 } }))
  const over = once(connection.socket, 'end').catch(failureCode)
  connection.write('POST / HTTP/1.0\r\nHost: l\r\nContent-Length: 9\r\n\r\nslow')
  expect(await over).toBe('ECONNRESET')
})
