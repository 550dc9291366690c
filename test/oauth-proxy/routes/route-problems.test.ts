import { describe, expect, it } from 'vitest'
import { routeProblems } from '../../../oauth-proxy/routes/route-problems.ts'
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
})

describe('prefixes', () => {
  it.each([
    ['/api/**', '/api', []],
    ['/api/orders', '/api', []],
    ['/apix/**', '/api', ['proxy.routes[0].strip_prefix']],
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
])('upstream %s', (upstream, expected) => {
  expect(problems({ upstream })).toEqual(expected)
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
  ])('a key in %s', (header) => {
    expect(problems({ credential: { kind: 'api_key', header, value: 'key' } })).toEqual([
      'proxy.routes[0].credential.header',
    ])
  })
  it.each(['X-Api-Key', 'Authorization', 'Ocp-Apim-Subscription-Key'])('a key in %s is fine', (header) => {
    expect(problems({ credential: { kind: 'api_key', header, value: 'key' } })).toEqual([])
  })
  it('an exchange for nobody', () => {
    expect(problems({ credential: { kind: 'exchange' } })).toEqual(['proxy.routes[0].credential'])
    expect(problems({ credential: { kind: 'exchange', audience: 'orders' } })).toEqual([])
  })
})
