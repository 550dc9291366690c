import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { csrfToken } from '../../shared/crypto/csrf-token.ts'
import { rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { root } from '../house/source-files.ts'
import { freePort } from '../support/free-port.ts'
import { seededRandom, testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { type NginxWorld, fromNow, startNginxWorld } from '../support/nginx-world.ts'
import { hostLine, ownPage, publicOrigin } from '../support/proxy-world.ts'
import { errorCode, openRaw, rawRequest } from '../support/raw-http.ts'
import { startUpstream } from '../support/upstream.ts'

const upstream = await startUpstream()
beforeEach(() => upstream.reset())
afterAll(() => upstream.close())

const api = (more = '') => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${upstream.origin}
${more}`

describe('paths below /api that no route names', () => {
  const readme = readFileSync(join(root, 'deploy/nginx/README.md'), 'utf8')
  const [notFound = ''] = /location = \/api \{.*\nlocation \/api\/ \{.*/.exec(readme) ?? []

  it.each([
    ['/api/orders/**', '/api/orders/7'],
    ['/api/*/lines', '/api/7/lines'],
  ])('are 404 with the lines of the README, beside the route %s', async (path, target) => {
    expect(notFound).not.toBe('')
    const page = `location / { return 200 "the page"; } ${notFound}`
    const world = await startNginxWorld(
      `    - { path: '${path}', upstream: '${upstream.origin}' }\n`,
      '',
      async () => ({
        directives: page,
      }),
    )
    const statusOf = async (asked: string) => (await world.call('GET', asked)).status
    expect(await statusOf(target)).toBe(200)
    expect(upstream.seen).toHaveLength(1)
    expect([await statusOf('/api'), await statusOf('/api/'), await statusOf('/api/other')]).toEqual([404, 404, 404])
    expect(await statusOf('/settings')).toBe(200)
    await world.close()
  })
})

it('a path may be a route beside all that is below it', async () => {
  const world = await startNginxWorld(`
    - { path: /api/orders, methods: [POST], upstream: '${upstream.origin}' }
    - { path: /api/orders/**, methods: [GET], upstream: '${upstream.origin}' }
`)
  const asked = ['POST /api/orders', 'POST /api/orders/', 'GET /api/orders', 'GET /api/orders/7', 'POST /api/orders/7']
  const found = await Promise.all(
    asked.map(async (line) => {
      const [method = '', target = ''] = line.split(' ')
      return (await world.call(method, target, { more: [`Origin: ${publicOrigin}`] })).status
    }),
  )
  expect(found).toEqual([200, 200, 405, 200, 405])
  await world.close()
})

describe('a session inside nginx', () => {
  let world: NginxWorld

  beforeAll(async () => {
    world = await startNginxWorld(api('      max_body_bytes: 1000\n'))
  })
  afterAll(() => world.close())

  it('becomes the credential of the API', async () => {
    const answered = await world.call('GET', '/api/echo?a=b')
    expect(answered.status).toBe(200)
    const [seen] = upstream.seen
    expect(seen?.target).toBe('/api/echo?a=b')
    expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
    expect(seen?.values('cookie')).toEqual([])
  })

  it('gives each request an id of its own', async () => {
    const ids = new Set<string | undefined>()
    for (let call = 0; call < 5; call++) ids.add((await world.call('GET', '/api/echo')).header('x-request-id'))
    expect(ids.size).toBe(5)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/)
  })

  it('is missing without a cookie', async () => {
    const answered = await world.call('GET', '/api/echo', { cookies: undefined })
    expect(answered.status).toBe(401)
    expect(JSON.parse(answered.body)).toEqual({ error_code: 'session_missing', detailed_error: 'Nobody is signed in.' })
    expect(answered.header('content-type')).toBe('application/json')
    expect(answered.header('cache-control')).toBe('no-store')
  })

  it.each([
    ['session_expired', { absoluteExpiresAt: -1 }],
    ['session_expired', { idleExpiresAt: -1 }],
    ['access_token_expired', { accessTokenExpiresAt: -1 }],
  ])('ends with %s', async (code, change) => {
    const times = Object.fromEntries(Object.entries(change).map(([name, seconds]) => [name, fromNow(seconds)]))
    const answered = await world.call('GET', '/api/echo', { cookies: world.cookies(times) })
    expect([answered.status, errorCode(answered)]).toEqual([401, code])
    expect(upstream.seen).toEqual([])
  })

  it('ends in time although its cookie was seen before', async () => {
    const cookies = world.cookies({ accessTokenExpiresAt: fromNow(2) })
    const codes = new Set<unknown>()
    while (!codes.has('access_token_expired')) {
      codes.add(errorCode(await world.call('GET', '/api/echo', { cookies })))
    }
    expect(codes).toEqual(new Set([undefined, 'access_token_expired']))
  })

  it('H12 lets no token write header lines of its own', async () => {
    for (const accessToken of ['a\r\nX-Admin: 1', 'a\n', 'a b', 'a\0b', 'caf\xe9', 'a,b', 'a"b', 'a=b', '']) {
      const answered = await world.call('GET', '/api/echo', { cookies: world.cookies({ accessToken }) })
      expect([answered.status, errorCode(answered)]).toEqual([502, 'authorization_server_error'])
    }
    expect(upstream.seen).toEqual([])
  })

  it('K16 refuses bodies over the limit', async () => {
    const more = [`Origin: ${publicOrigin}`]
    expect((await world.call('POST', '/api/echo', { more, body: 'x'.repeat(1000) })).status).toBe(200)
    const answered = await world.call('POST', '/api/echo', { more, body: 'x'.repeat(1001) })
    expect([answered.status, errorCode(answered)]).toEqual([413, 'payload_too_large'])
  })

  it('HX-15 decides before it asks for the body', async () => {
    const lines = [hostLine, ...ownPage, 'Expect: 100-continue', 'Content-Length: 900']
    const connection = await openRaw(world.port)
    connection.write(rawRequest('POST', '/api/echo', lines))
    expect(await connection.until((text) => text.includes('}'))).toMatch(/^HTTP\/1.1 4\d\d/)
    connection.close()
  })

  it('invariant 10: the next request on a connection gets its own answer', async () => {
    const connection = await openRaw(world.port)
    const signedIn = [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]
    connection.write(rawRequest('GET', '/api/%2e', signedIn))
    await connection.until((text) => text.includes('ambiguous_request'))
    connection.write(rawRequest('GET', '/api/second', signedIn))
    expect(await connection.until((text) => text.includes('/api/second'))).toContain('HTTP/1.1 200')
    connection.close()
  })

  it('M05 writes no log line that a client made up', async () => {
    await world.call('GET', '/api/echo', {
      more: ['X-Evil: error_code=none'],
      cookies: '__Host-Http-th-at=error_code=none',
    })
    expect(world.nginx.log()).toContain('error_code=session_invalid check=malformed')
    expect(world.nginx.log()).not.toContain('error_code=none')
  })

  it('K18 says when the API cannot be reached', async () => {
    const gone = await startNginxWorld(`
    - path: /api/**
      upstream: http://127.0.0.1:${await freePort()}
`)
    const answered = await gone.call('GET', '/api/echo')
    expect([answered.status, errorCode(answered)]).toEqual([502, 'upstream_unreachable'])
    await gone.close()
  })

  it('K18 says when the API is silent', async () => {
    const silent = await startNginxWorld(api('      response_timeout_ms: 50\n      idle_timeout_ms: 50\n'))
    upstream.behave(() => {})
    const answered = await silent.call('GET', '/api/echo')
    expect([answered.status, errorCode(answered)]).toEqual([504, 'upstream_response_timeout'])
    await silent.close()
  })
})

describe('what a worker remembers of opened cookies', () => {
  const counted = `
    local remembered = {}
    package.loaded["test.remembered"] = remembered
    package.loaded["resty.lrucache"] = { new = function()
      return { get = function(_, key) return remembered[key] end, set = function(_, key, value) remembered[key] = value end }
    end }`
  const count = `location = /remembered { content_by_lua_block {
    local number = 0
    for _ in pairs(require "test.remembered") do number = number + 1 end
    ngx.header["Content-Length"] = #tostring(number)
    ngx.print(number)
  } }`

  it('is no store that one user could fill with cookies of his own', async () => {
    const world = await startNginxWorld(api(), '', async () => ({
      directives: count,
      http: (http) => http.replace('init_by_lua_block {', `init_by_lua_block {\n${counted}`),
    }))
    const remembered = async () => (await world.call('GET', '/remembered')).body
    const session = world.cookies()
    const callWith = async (more: string) =>
      (await world.call('GET', '/api/echo', { cookies: `${session}; ${more}` })).status
    for (const [more, expected] of [
      ['theme=dark', '1'],
      [Array.from({ length: 50 }, (_, index) => `n${index}=1`).join('; '), '2'],
      [`long=${'x'.repeat(4000)}`, '3'],
      [`long=${'x'.repeat(14_000)}`, '3'],
      ['a;'.repeat(2000), '3'],
      ['theme=dark', '3'],
    ] as const) {
      expect([await callWith(more), await remembered()]).toEqual([200, expected])
    }
    await world.close()
  })
})

describe('an API with several addresses', () => {
  it('HX-33 refuses in our words, also when the first address did not answer', async () => {
    const world = await startNginxWorld(api(), '', async () => ({
      http: (http) => http.replace(/server 127\.0\.0\.1:\d+ max_conns/, `server 127.0.0.1:1 max_fails=0; $&`),
    }))
    upstream.behave((socket) => void socket.write('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'))
    for (let call = 0; call < 2; call++) {
      const answered = await world.call('GET', '/api/echo')
      expect([answered.status, errorCode(answered)]).toEqual([401, 'upstream_unauthorized'])
    }
    await world.close()
  })
})

describe('the CSRF token', () => {
  it('F08 belongs to the session', async () => {
    const world = await startNginxWorld(api(), 'csrf: { token: required }')
    const ring = createKeyRing(testKeys())
    const token = csrfToken(ring, 'AAECAwQFBgcICQoLDA0ODw')
    const other = csrfToken(ring, 'BAECAwQFBgcICQoLDA0ODw')
    const call = (more: readonly string[]) => world.call('GET', '/api/echo', { more })
    expect((await call([`x-csrf-token: ${token}`])).status).toBe(200)
    for (const wrong of [[], ['x-csrf-token:'], [`x-csrf-token: ${other}`], [`x-csrf-token: ${token}a`]]) {
      expect(errorCode(await call(wrong))).toBe('csrf_token_invalid')
    }
    expect(upstream.seen[0]?.values('x-csrf-token')).toEqual([])
    await world.close()
  })
})

it('F08 takes the CSRF token of every key in the ring', async () => {
  const entries = rotateKeyRing(testKeys(), { random: seededRandom('next'), clock: createManualClock() }, 'now')
  const world = await startNginxWorld(api(), 'csrf: { token: required }', undefined, entries)
  for (const entry of entries) {
    const token = csrfToken(createKeyRing([entry]), 'AAECAwQFBgcICQoLDA0ODw')
    expect((await world.call('GET', '/api/echo', { more: [`x-csrf-token: ${token}`] })).status).toBe(200)
  }
  await world.close()
})

describe('a decision that is none', () => {
  it.each(['nil', 'true', '0', '""', '"Allowed"', '"allowed "', 'error("x")', 'ngx.exit(ngx.OK)', 'nothing.at.all'])(
    '%s reaches no API',
    async (decision) => {
      const world = await startNginxWorld(api(), '', async () => ({
        sabotage: (server) => server.replaceAll('return token_handler.decide(1)', `return ${decision}`),
      }))
      const answered = await world.call('GET', '/api/echo')
      await world.close()
      expect(answered.status).toBe(500)
      expect(upstream.seen).toEqual([])
    },
  )
})
