import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Observe } from '../../../shared/observe/events.ts'
import { createTransport, type Transport } from '../../../shared/oauth/transport.ts'
import { createManualClock } from '../../support/manual-clock.ts'

let server: Server
let transport: Transport
let url: string
let events: [string, unknown][]
const clock = createManualClock()
const observe: Observe = { emit: (name, fields) => void events.push([name, fields]) }

async function start(listener: RequestListener, maxConcurrentRequests = 5): Promise<void> {
  events = []
  server = createServer({ maxHeaderSize: 200_000 }, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
  const authorizationServer = { timeoutMs: 8000, maxConcurrentRequests, clockToleranceSeconds: 30 }
  transport = createTransport({ config: { authorizationServer }, clock, observe })
}
afterEach(async () => {
  await transport.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const call = () =>
  transport.call('token', url, { method: 'POST', headers: { accept: 'application/json' }, body: 'a=b' })
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no failure',
    (error: { reason?: string; check?: string }) => error.reason ?? error.check,
  )

describe('transport', () => {
  it('gives status, headers and body, and asks for no compression', async () => {
    await start((request, response) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(request.headers))
    })
    const response = await call()
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ 'accept-encoding': 'identity', 'content-length': '3' })
  })

  it.each([
    [400, { status: 400, outcome: 'answered' }],
    [503, { outcome: 'gateway_error' }],
    [500, { outcome: 'server_error' }],
  ])('tells of a call that is answered with %i what came of it, and how long it took', async (status, told) => {
    await start((_request, response) => {
      clock.pass(2)
      response.writeHead(status).end()
    })
    await failure(call())
    const calls = events.filter(([name]) => name === 'provider.called')
    expect(calls).toEqual([['provider.called', { endpoint: 'token', duration_ms: 2000, ...told }]])
  })

  it.each(['GET', 'POST'] as const)('sends a %s as it is, with the headers it was given', async (method) => {
    await start((request, response) => void response.end(JSON.stringify([request.method, request.headers['accept']])))
    const response = await transport.call('userinfo', url, { method, headers: { accept: 'application/jwt' } })
    expect(await response.json()).toEqual([method, 'application/jwt'])
  })

  it('reads a long head, as servers with many policies and cookies send it', async () => {
    await start((_request, response) => void response.writeHead(200, { x: 'y'.repeat(60_000) }).end('{}'))
    expect((await call()).headers.get('x')).toHaveLength(60_000)
  })

  it.each([204, 205, 304])('gives a %i, which has no body', async (status) => {
    await start((_request, response) => void response.writeHead(status).end())
    const response = await call()
    expect([response.status, await response.text()]).toEqual([status, ''])
  })

  it('never follows a redirect', async () => {
    await start((_request, response) => void response.writeHead(302, { location: `${url}/elsewhere` }).end())
    expect((await call()).status).toBe(302)
  })

  it('10 000 calls at once keep to the cap, the rest is told to come again (D20)', async () => {
    let running = 0
    let most = 0
    await start((_request, response) => {
      running += 1
      most = Math.max(most, running)
      setImmediate(() => {
        running -= 1
        response.end('{}')
      })
    })
    const outcomes = await Promise.all(Array.from({ length: 10_000 }, () => failure(call())))
    expect(most).toBeLessThanOrEqual(5)
    expect(outcomes.filter((outcome) => outcome === 'no failure')).toHaveLength(25)
    expect(outcomes.filter((outcome) => outcome === 'queue_full')).toHaveLength(9975)
    expect(await failure(call())).toBe('no failure')
  })

  it('a full queue says nothing about the server, so the circuit stays closed', async () => {
    const held: (() => void)[] = []
    await start((_request, response) => void held.push(() => response.end('{}')), 1)
    const pending = Array.from({ length: 5 }, () => failure(call()))
    for (let i = 0; i < 9; i++) expect(await failure(call())).toBe('queue_full')
    for (const _each of pending) {
      await expect.poll(() => held.length).toBeGreaterThan(0)
      held.pop()?.()
    }
    expect(await Promise.all(pending)).toEqual(pending.map(() => 'no failure'))
  })

  it('25 calls to a silent server end at the time limit and give their places back (FI-03)', async () => {
    let silent = true
    let arrived = 0
    await start((_request, response) => {
      arrived += 1
      if (!silent) response.end('{}')
    })
    const calls = Array.from({ length: 25 }, () => failure(call()))
    await expect.poll(() => arrived).toBe(5)
    clock.pass(8)
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['timeout']))
    silent = false
    clock.pass(5)
    expect(await failure(call())).toBe('no failure')
  })

  it('an answer that only begins is a timeout too (D04)', async () => {
    let begun = () => {}
    const beginning = new Promise<void>((resolve) => {
      begun = resolve
    })
    await start((_request, response) => {
      response.writeHead(200).write('{')
      begun()
    })
    const pending = failure(call())
    await beginning
    clock.pass(8)
    expect(await pending).toBe('timeout')
  })

  it('an answer without end is cut at one megabyte (D05)', async () => {
    let written = 0
    await start((_request, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(65_536))) written += 65_536
        response.once('drain', more)
      }
      more()
    })
    expect(await failure(call())).toBe('answer_too_large')
    expect(written).toBeLessThan(20_000_000)
  })

  it.each([
    [1_048_576, 'no failure'],
    [1_048_577, 'answer_too_large'],
  ])('an answer of %i bytes: %s', async (size, outcome) => {
    await start((_request, response) => void response.end(Buffer.alloc(size)))
    expect(await failure(call())).toBe(outcome)
  })

  it.each<[string, RequestListener, string, string?]>([
    ['a reset', (request) => void request.socket.resetAndDestroy(), 'connection_lost', 'ECONNRESET'],
    ['a connection that ends', (request) => void request.socket.end(), 'connection_lost', 'UND_ERR_SOCKET'],
    ['garbage', (request) => void request.socket.end('garbage\r\n\r\n'), 'http'],
    [
      'too much head',
      (_request, response) => void response.writeHead(200, { x: 'y'.repeat(100_000) }).end(),
      'http',
      'UND_ERR_HEADERS_OVERFLOW',
    ],
    ['a status beyond all classes', (_request, response) => void response.writeHead(999).end(), 'server_error'],
    ['500', (_request, response) => void response.writeHead(500).end(), 'server_error'],
    ['502', (_request, response) => void response.writeHead(502).end(), 'gateway_error'],
    ['503', (_request, response) => void response.writeHead(503).end(), 'gateway_error'],
    ['504', (_request, response) => void response.writeHead(504).end(), 'gateway_error'],
    ['505', (_request, response) => void response.writeHead(505).end(), 'server_error'],
    ['429', (_request, response) => void response.writeHead(429).end(), 'rate_limited'],
  ])('%s is told as it is', async (_what, listener, reason, code) => {
    await start(listener)
    expect(await failure(call())).toBe(reason)
    expect(events.at(-1)).toEqual([
      'provider.unavailable',
      { endpoint: 'token', reason: reason === 'http' ? 'invalid' : reason, code },
    ])
  })

  it('a clock that differs from theirs is told once in five minutes', async () => {
    let aheadSeconds = 31
    await start((_request, response) => {
      response.writeHead(200, { date: new Date(clock.nowMs() + aheadSeconds * 1000).toUTCString() }).end('{}')
    })
    const skews = () => events.flatMap(([name, fields]) => (name === 'provider.clock_skew' ? [fields] : []))
    for (let i = 0; i < 3; i++) await call()
    expect(skews()).toEqual([{ skew_seconds: 31 }])
    clock.pass(299)
    await call()
    expect(skews()).toHaveLength(1)
    clock.pass(1)
    aheadSeconds = -40
    await call()
    expect(skews()[1]).toEqual({ skew_seconds: -40 })
    clock.pass(300)
    aheadSeconds = 30
    await call()
    expect(skews()).toHaveLength(2)
    // Ours may be the one that was wrong, and is set back: what is told then is told at once.
    clock.pass(-3600)
    aheadSeconds = 3600
    await call()
    expect(skews()[2]).toEqual({ skew_seconds: 3600 })
  })

  it.each([
    ['as old as its Date', 3600, '3600', []],
    ['not as old as its Date', 3600, '3000', [{ skew_seconds: -600 }]],
    ['of an age that is none', 3600, 'old', [{ skew_seconds: -3600 }]],
  ])('an answer that comes from a cache, %s, tells of their clock what it told then', async (_, ago, age, told) => {
    await start((_request, response) => {
      response.writeHead(200, { date: new Date(clock.nowMs() - ago * 1000).toUTCString(), age }).end('{}')
    })
    await call()
    expect(events.flatMap(([name, fields]) => (name === 'provider.clock_skew' ? [fields] : []))).toEqual(told)
  })

  it.each([
    ['7', 7],
    ['0', 1],
    ['86400', 120],
    ['120', 120],
    ['Wed, 21 Oct 2099 07:28:00 GMT', 1],
    ['-5', 1],
    ['999999', 1],
  ])('a Retry-After of %s is passed on within reason', async (value, retryAfterSeconds) => {
    await start((_request, response) => void response.writeHead(429, { 'retry-after': value }).end())
    await expect(call()).rejects.toMatchObject({ reason: 'rate_limited', retryAfterSeconds })
  })

  it('after close every call says so, and nobody is told of an authorization server that cannot be used', async () => {
    await start((_request, response) => void response.end('{}'))
    await call()
    await transport.close()
    expect(await failure(call())).toBe('stopped')
    expect(events.map(([name]) => name)).not.toContain('provider.unavailable')
  })

  it('one endpoint that fails does not close the others', async () => {
    await start((_request, response) => void response.writeHead(503).end())
    for (let i = 0; i < 6; i++) await failure(call())
    expect(await failure(call())).toBe('circuit_open')
    const other = transport.call('revocation', url, { method: 'POST', headers: {} })
    expect(await failure(other)).toBe('gateway_error')
    const sameEndpoint = transport.call('token', url, { method: 'POST', headers: {}, circuit: 'token refresh_token' })
    expect(await failure(sameEndpoint)).toBe('gateway_error')
  })

  it.each([200, 400, 500, 429])(
    'only failures in a row open the circuit: a %i begins the count anew',
    async (status) => {
      let next = 503
      await start((_request, response) => void response.writeHead(next).end())
      for (let i = 0; i < 4; i++) await failure(call())
      next = status
      await failure(call())
      next = 503
      for (let i = 0; i < 5; i++) expect(await failure(call())).toBe('gateway_error')
      expect(await failure(call())).toBe('circuit_open')
    },
  )

  it.each([
    [500, 'server_error'],
    [429, 'rate_limited'],
    [501, 'server_error'],
    [600, 'server_error'],
  ])('%i may be about one request, so the circuit stays closed', async (status, reason) => {
    await start((_request, response) => void response.writeHead(status).end())
    const reasons = new Set<string>()
    for (let i = 0; i < 20; i++) reasons.add(String(await failure(call())))
    expect(reasons).toEqual(new Set([reason]))
  })
})
