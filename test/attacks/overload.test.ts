import { afterEach, describe, expect, it } from 'vitest'
import { createRouteTable } from '../../oauth-proxy/routes/route-table.ts'
import { parseTarget } from '../../oauth-proxy/gate/path.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../shared/cookies/header.ts'
import { parseReturnTo } from '../../oauth-agent/flows/return-path.ts'
import { type RunningServer, serve } from '../../shared/http/serve.ts'
import { defaultLimits } from '../../shared/http/server-limits.ts'
import { systemClock } from '../../shared/clock.ts'
import { cookieSettings } from '../support/installation.ts'
import { openRaw } from '../support/raw-http.ts'
import { startWorld, type World } from '../support/world.ts'

let server: RunningServer | undefined
let world: World | undefined
afterEach(async () => {
  await server?.stop(0)
  await world?.close()
  server = undefined
  world = undefined
})

async function quickServer() {
  server = await serve({
    handler: {
      handle(request, response) {
        request.resume()
        request.on('end', () => response.end('ok'))
      },
    },
    listen: { host: '127.0.0.1', port: 0 },
    limits: { headersMs: 50, requestMs: 100, checkMs: 10 },
    clock: systemClock,
    observe: { emit: () => {} },
  })
  return server.port
}

describe('slow and endless senders', () => {
  it.each([
    ['nothing but a request line', 'GET / HTTP/1.1\r\n'],
    ['a head that never ends', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: '],
    ['a body that never comes', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'],
    ['half a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc'],
    ['a chunk that never ends', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc'],
  ])('L01: %s is cut', async (_, bytes) => {
    const connection = await openRaw(await quickServer())
    connection.write(bytes)
    const text = await connection.closed()
    expect(text === '' || text.startsWith('HTTP/1.1 408 ')).toBe(true)
  })

  it('L01, K02: the limits in force cut slow senders, and outlast the idle time of balancers', () => {
    expect(defaultLimits.headersMs).toBeLessThanOrEqual(30_000)
    expect(defaultLimits.requestMs).toBeLessThanOrEqual(300_000)
    expect(defaultLimits.keepAliveMs).toBeGreaterThan(75_000)
  })

  it('L02: an endless chunk extension ends the connection', async () => {
    const connection = await openRaw(await quickServer())
    connection.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;')
    const filler = 'a'.repeat(8192)
    for (let sent = 0; sent < 16 && !connection.socket.destroyed; sent++) connection.write(filler)
    const text = await connection.closed()
    expect(text).not.toMatch(/^HTTP\/1\.1 200/)
  })
})

describe('input made to be slow', () => {
  const length = 15_000
  const crooked = ['/', '/a', '/..', '/%2e', '/a;', '//', '/%', '/*', '/**', '\\', '%25', '/a/b/', '=', '; ', '/-', '.']
  const long = crooked.map((piece) => `/${piece.repeat(Math.ceil(length / piece.length)).slice(0, length)}`)

  // A reader whose time grows faster than its input would not come back from these within the time of the test.
  it.each(long.map((path) => [path.slice(0, 12), path] as const))(
    'L04, G20: %s… many times over is read at once',
    (_, path) => {
      const rows = ['/api/*/x/**', '/*/*/*/*/*/*/*/*', '/**', '/a/a/a/a/**'].map((pattern) => ({
        path: pattern,
        methods: ['GET'],
      }))
      const table = createRouteTable(rows)
      for (let round = 0; round < 200; round++) {
        table.match(path)
        refusing(() => parseTarget(path))
        refusing(() => parseReturnTo(path, 'https://www.example.com'))
        refusing(() => parseCookieHeader(path, createCatalogue(cookieSettings())))
      }
    },
  )

  it('L05: a body beyond the limit is refused before anything reads its keys', async () => {
    world = await startWorld({ issuer: 'http://127.0.0.1:1' })
    const colliding = JSON.stringify(
      Object.fromEntries(Array.from({ length: 20_000 }, (_, key) => [String(key * 4096), '1'])),
    )
    const answer = await world.browser().call('POST', '/oauth-agent/login/start', {
      body: colliding,
      headers: { 'content-type': 'application/json' },
    })
    expect([answer.status, answer.json()['error_code']]).toEqual([413, 'payload_too_large'])
  })
})

function refusing(run: () => unknown): void {
  try {
    run()
  } catch {
    // Refusing is a good answer, too.
  }
}
