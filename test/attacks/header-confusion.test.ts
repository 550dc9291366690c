import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - { path: /api/**, methods: [GET, OPTIONS], upstream: '${api.origin}', forward_cookies: [theme] }
    - { path: /open, upstream: '${api.origin}', credential: { kind: none }, anonymous: none }
`)
})

beforeEach(() => api.reset())

afterAll(async () => {
  await world.close()
  await api.close()
})

/** What must hold of every request that reaches the API with a session, whatever else came with it. */
function checkReached() {
  const [seen] = api.seen
  expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
  expect(seen?.values('cookie').join()).not.toContain('Http-th')
  expect(seen?.values('x-forwarded-for')).toEqual(['127.0.0.1'])
  expect(seen?.values('x-forwarded-host')).toEqual(['www.example.com'])
  expect(seen?.values('x-forwarded-proto')).toEqual(['https'])
  expect(seen?.lines.join('\n')).not.toContain('forged')
  return seen
}

describe('H01 the Connection header of a client takes nothing of ours away', () => {
  it.each([
    'close, authorization',
    'AUTHORIZATION',
    'x-forwarded-for,x-user',
    'cookie',
    'keep-alive, x-request-id, via',
    'host',
    'close,, ,Authorization ,',
  ])('Connection: %s', async (value) => {
    const { status } = await world.call('GET', '/api/x', { more: [`Connection: ${value}`] })
    if (status === 400) expect(api.seen).toHaveLength(0)
    else checkReached()
  })

  it('Proxy-Connection and two Connection headers', async () => {
    await world.call('GET', '/api/x', {
      more: ['Connection: close', 'Connection: x-a', 'X-A: forged', 'Proxy-Connection: authorization'],
    })
    expect(checkReached()?.values('proxy-connection')).toEqual([])
  })
})

describe('H02 H05 H06 H20 G17 names that gateways own, in every spelling', () => {
  const managed = [
    'X-Forwarded-User',
    'X-Forwarded-For',
    'X-Forwarded-Prefix',
    'X-Forwarded-Uri',
    'X-User',
    'X-Th-Sub',
    'Remote-Groups',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method-Override',
    'X-Auth-Request-Groups',
    'X-Real-IP',
    'Forwarded',
    'Authorization',
    'Client-Cert',
    'OIDC-Claim-Sub',
    'X-Amzn-Oidc-Data',
    'X-MS-Client-Principal',
    'X-Remote-User',
    'X-WebAuth-User',
  ]
  const spellings = managed.flatMap((name) => [
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    name.replaceAll('-', '_'),
    name.replaceAll('-', '.'),
    name.replace(/-([^-]*)$/, '_$1'),
  ])

  it.each([...new Set(spellings)])('%s', async (name) => {
    const { status } = await world.call('GET', '/api/x', { more: [`${name}: forged`] })
    if (status === 200) checkReached()
    else expect([status, api.seen.length]).toEqual([400, 0])
  })

  it('any mixture of case, "_" and "."', async () => {
    const separator = fc.constantFrom('-', '_', '.')
    const name = fc
      .tuple(
        fc.constantFrom('x', 'X'),
        separator,
        fc.constantFrom('forwarded', 'Forwarded'),
        separator,
        fc.constantFrom('user', 'FOR', 'Host'),
      )
      .map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(name, async (spelling) => {
        api.seen.length = 0
        const { status } = await world.call('GET', '/api/x', { more: [`${spelling}: forged`] })
        if (status === 200) checkReached()
      }),
      { numRuns: 40 },
    )
  })
})

describe('H08 H09 H10 a client brings a token of its own', () => {
  it.each(['Bearer forged', 'Basic forged', 'Token forged', 'bearer forged', 'DPoP forged'])(
    'Authorization: %s',
    async (value) => {
      await world.call('GET', '/api/x', { more: [`Authorization: ${value}`, 'DPoP: forged'] })
      checkReached()
    },
  )

  it.each([
    ['in a header', '/api/x', ['Authorization: Bearer forged']],
    ['in the query', '/api/x?access_token=forged', []],
  ])('%s, and no session', async (_, target, more) => {
    const { status } = await world.call('GET', target, { cookies: undefined, more })
    expect([400, 401]).toContain(status)
    expect(api.seen).toHaveLength(0)
  })

  it('on an open route it is dropped', async () => {
    await world.call('GET', '/open', { more: ['Authorization: Bearer forged'] })
    expect(api.seen[0]?.values('authorization')).toEqual([])
  })
})

describe('HX-20 B12 cookies', () => {
  it('listed ones go on, ours and others do not', async () => {
    const cookies = `a=1; ${world.cookies()}; theme=dark; THEME=light; themes=x`
    await world.call('GET', '/api/x', { cookies })
    expect(checkReached()?.values('cookie')).toEqual(['theme=dark'])
  })
})

describe('H12 a token that is no token', () => {
  it.each(['at\r\nX-Admin: 1', 'at\0', 'at \u2603', 'at\u00ff', 'a b', ''])(
    '%j never reaches a header',
    async (accessToken) => {
      const { status } = await world.call('GET', '/api/x', { cookies: world.cookies({ accessToken }) })
      expect([401, 502]).toContain(status)
      expect(api.seen).toHaveLength(0)
    },
  )
})

describe('H14 names of prototypes', () => {
  it.each(['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__'])('%s', async (name) => {
    const { status } = await world.call('GET', '/api/x', { more: [`${name}: a`, 'Content-Type: constructor'] })
    expect(status).toBeLessThan(500)
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it('in the answer of the API', async () => {
    api.behave(answer(okBytes('ok', ['__proto__: a', 'constructor: b', 'hasOwnProperty: c'])))
    const answered = await world.call('GET', '/api/x')
    expect([answered.status, answered.body]).toEqual([200, 'ok'])
    expect(Object.keys(Object.prototype)).toEqual([])
  })
})

describe('H16 nothing in a request chooses the API', () => {
  it.each([
    'X-Skipper-Proxy: http://127.0.0.1:9',
    'X-Host: 127.0.0.1:9',
    'X-Forwarded-Host: 127.0.0.1:9',
    'X-Forwarded-Server: a',
  ])('%s', async (line) => {
    await world.call('GET', '/api/x', { more: [line] })
    expect(api.seen[0]?.values('host')).toEqual([`127.0.0.1:${api.port}`])
  })
})

describe('H17 HX-24 what an API may not say to the browser', () => {
  it('cookies, caches, gateways, other origins and the token itself', async () => {
    api.behave((socket, { values }) =>
      socket.write(
        okBytes('ok', [
          'Set-Cookie: __Host-Http-th-at=stolen; Path=/; Secure',
          'Set-Cookie: other=1',
          'Connection: X-Foo',
          'X-Foo: a',
          'X-Accel-Redirect: /internal',
          'X-Sendfile: /etc/passwd',
          'Clear-Site-Data: "*"',
          'Access-Control-Allow-Origin: *',
          'Cache-Control: public, max-age=60',
          `X-Debug: ${values('authorization').join()}`,
        ]),
      ),
    )
    const answered = await world.call('GET', '/api/x')
    const text = answered.lines.join('\n').toLowerCase()
    for (const gone of [
      'set-cookie',
      'x-foo',
      'x-accel',
      'x-sendfile',
      'clear-site-data',
      'access-control',
      'x-debug',
      'public',
    ]) {
      expect(text).not.toContain(gone)
    }
    expect(answered.header('cache-control')).toBe('private, max-age=60')
  })
})

it('K13 nothing is kept for the next user', async () => {
  api.behave((socket) =>
    socket.write(okBytes(`visit ${api.seen.length}`, ['Cache-Control: public, max-age=600', 'ETag: "1"'])),
  )
  expect((await world.call('GET', '/api/x')).body).toBe('visit 1')
  expect((await world.call('GET', '/api/x', { cookies: world.cookies({ subject: 'bob' }) })).body).toBe('visit 2')
})
