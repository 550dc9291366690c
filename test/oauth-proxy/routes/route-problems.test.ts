import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTarget } from '../../../oauth-proxy/gate/path.ts'
import { routeProblems } from '../../../oauth-proxy/routes/route-problems.ts'
import { patternSegments } from '../../../oauth-proxy/routes/route-table.ts'
import { routeSettings } from '../../../shared/config/proxy.ts'
import { proxyConfig } from '../../support/proxy-world.ts'

const usual = { path: '/', upstream: 'https://api.example.com' }

/** Where the problems of these routes are; JSON is YAML. */
function problems(...routes: Record<string, unknown>[]) {
  const items = routes.map((route) => `    - ${JSON.stringify({ ...usual, ...route })}`)
  return routeProblems(proxyConfig(items.join('\n')).proxy.routes).map(({ path }) => path)
}

describe('routes that contradict each other', () => {
  it('the same path and method twice', () => {
    expect(problems({ path: '/a', methods: ['GET', 'POST'] }, { path: '/a', methods: ['POST'] })).toEqual([
      'proxy.routes[1].path',
    ])
  })

  it('the same path with methods of its own is fine', () => {
    expect(problems({ path: '/a', methods: ['GET'] }, { path: '/a', methods: ['POST'] })).toEqual([])
  })

  it('the same method of another path is fine', () => {
    expect(problems({ path: '/a', methods: ['GET'] }, { path: '/b', methods: ['GET'] })).toEqual([])
  })
})

describe('what the settings take for a pattern', () => {
  const accepted = routeSettings.shape.path
  const segment = fc.constantFrom('', 'a', 'a.', '.a', '.', '..', '*', '**', '~', '%61', 'b.c')
  const pattern = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join('/'))

  it.each(['/', '/**', '/*', '/*/**', '/.well-known/a', '/api/*/lines', '/a.b'])('%s is one', (path) => {
    expect(accepted.safeParse(path).success).toBe(true)
  })

  it('has one spelling, so that two routes of one rank are found by their text', () => {
    fc.assert(
      fc.property(pattern, (path) => {
        if (accepted.safeParse(path).success) expect(path).toBe(`/${patternSegments(path).join('/')}`)
      }),
      { numRuns: 2000 },
    )
  })

  it('is within reach: the gate lets a path pass that it covers', () => {
    fc.assert(
      fc.property(pattern, (path) => {
        if (accepted.safeParse(path).success) expect(() => parseTarget(path.replaceAll('*', 'x'))).not.toThrow()
      }),
      { numRuns: 2000 },
    )
  })
})

describe('prefixes', () => {
  it.each([
    ['/api/**', '/api', []],
    ['/api/orders', '/api', []],
    ['/apix/**', '/api', ['proxy.routes[0].strip_prefix']],
    ['/api/v2/**', '/api/v1', ['proxy.routes[0].strip_prefix']],
    ['/api', '/api/v1', ['proxy.routes[0].strip_prefix']],
    ['/*/x', '/api', ['proxy.routes[0].strip_prefix']],
    ['/**', '/api', ['proxy.routes[0].strip_prefix']],
  ])('%s without %s', (path, prefix, expected) => {
    expect(problems({ path, strip_prefix: prefix })).toEqual(expected)
  })
})

it.each([
  ['https://api.example.com', []],
  ['https://api.example.com/v1', ['proxy.routes[0].upstream']],
  ['https://api.example.com/?a=b', ['proxy.routes[0].upstream']],
  ['https://user:secret@api.example.com', ['proxy.routes[0].upstream']],
  ['https://user@api.example.com', ['proxy.routes[0].upstream']],
  ['https://:secret@api.example.com', ['proxy.routes[0].upstream']],
])('upstream %s', (upstream, expected) => {
  expect(problems({ upstream })).toEqual(expected)
})

it.each([
  [{ max_concurrent_requests_per_session: 512 }, []],
  [{ max_concurrent_requests_per_session: 513 }, ['proxy.routes[0].max_concurrent_requests_per_session']],
  [{ max_concurrent_requests: 4, max_concurrent_requests_per_session: 4 }, []],
  [
    { max_concurrent_requests: 4, max_concurrent_requests_per_session: 5 },
    ['proxy.routes[0].max_concurrent_requests_per_session'],
  ],
  [{ max_concurrent_requests: 4 }, []],
])('places %j', (places, expected) => {
  expect(problems(places)).toEqual(expected)
})

describe('credentials', () => {
  it.each([
    'Cookie',
    'Host',
    'Connection',
    'X-Forwarded-For',
    'X-Auth-Subject',
    'Transfer-Encoding',
    'token-handler-version',
    'Content-Type',
    'Expect',
    'Forwarded',
    'Keep-Alive',
    'Origin',
    'Proxy-Authorization',
    'Sec-Fetch-Site',
    'Set-Cookie',
    'TE',
    'Trailer',
    'Upgrade',
    'Via',
    'X-Auth-Scope',
    'X-Auth-Acr',
    'X-Auth-Time',
    'X-CSRF-Token',
    'X-Original-URI',
    'X-Request-Id',
    'HTTP2-Settings',
  ])('a key in %s', (header) => {
    expect(problems({ credential: { kind: 'api_key', header, value: 'key' } })).toEqual([
      'proxy.routes[0].credential.header',
    ])
  })
  it.each(['X-Api-Key', 'Authorization', 'Ocp-Apim-Subscription-Key', 'X-Host', 'X-Auth-Subject-Key'])(
    'a key in %s is fine',
    (header) => {
      expect(problems({ credential: { kind: 'api_key', header, value: 'key' } })).toEqual([])
    },
  )
  it('an exchange for nobody', () => {
    expect(problems({ credential: { kind: 'exchange' } })).toEqual(['proxy.routes[0].credential'])
    for (const target of [{ audience: 'orders' }, { resource: 'https://orders.example' }, { scope: 'orders:read' }]) {
      expect(problems({ credential: { kind: 'exchange', ...target } })).toEqual([])
    }
  })
})
