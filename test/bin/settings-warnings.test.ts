import { describe, expect, it } from 'vitest'
import type { Mode } from '../../bin/parts.ts'
import { settingsWarnings } from '../../bin/settings-warnings.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

describe('what was hardly meant', () => {
  const socket = { path: '/live', upstream: 'https://a', websocket: true }
  const at = (upstream: string | string[]) => ({ path: '/api', upstream })
  const open = { path: '/open', upstream: 'https://a', anonymous: 'none' }
  const demanding = { path: '/strict', upstream: 'https://a', require: { acr: ['high'] } }
  const anonymous = 'proxy.routes[0].anonymous'
  const key = (header: string, prefix: string) => ({
    path: '/key',
    upstream: 'https://a',
    credential: { kind: 'api_key', header, prefix, value: 'not-a-real-key' },
  })
  const scoped = (...scope: string[]) => ({ path: '/scoped', upstream: 'https://a', require: { scope } })
  it.each<[string, readonly object[], Mode | undefined, readonly string[]]>([
    ['no API', [], 'serve', ['proxy.routes']],
    ['no API, in any process', [], undefined, ['proxy.routes']],
    ['no API, where no proxy runs', [], 'agent', []],
    ['one API', [{ path: '/api/**', upstream: 'https://a' }], 'proxy', []],
    ['an API at the public origin', [at('https://www.example.com')], 'proxy', ['proxy.routes[0].upstream']],
    [
      'one of several, written otherwise',
      [at(['https://a', 'https://WWW.example.com:443'])],
      'proxy',
      ['proxy.routes[0].upstream'],
    ],
    ['an API on another port of its host', [at('https://www.example.com:8443')], 'proxy', []],
    ['WebSockets that no browser can open', [socket], 'proxy', ['proxy.routes[0].websocket']],
    ['WebSockets', [{ ...socket, headerless: ['websocket'] }], 'proxy', []],
    ['WebSockets, where no proxy runs', [socket], 'agent', []],
    ['a scheme joined to its key', [key('authorization', 'Bearer')], 'proxy', ['proxy.routes[0].credential.prefix']],
    ['the same, where no proxy runs', [key('Authorization', 'Bearer')], 'agent', []],
    ['a scheme before its key', [key('Authorization', 'Bearer ')], 'proxy', []],
    ['a key without a scheme', [key('Authorization', '')], 'proxy', []],
    ['a name before a key', [key('Authorization', 'key=')], 'proxy', []],
    ['a word in a field without schemes', [key('X-Api-Key', 'live')], 'proxy', []],
    ['visitors whom a requirement keeps out', [{ ...demanding, anonymous: 'none' }], 'serve', [anonymous]],
    ['the same in a proxy alone', [{ ...demanding, anonymous: 'client_credentials' }], 'proxy', [anonymous]],
    ['visitors where nothing is required', [{ ...open, require: {} }], 'serve', []],
    ['a requirement where visitors are denied', [demanding], 'serve', []],
    ['a token that no visitor gets', [{ ...open, anonymous_token: { scope: 'a' } }], 'proxy', [`${anonymous}_token`]],
    [
      'a token for visitors',
      [{ ...open, anonymous: 'client_credentials', anonymous_token: { scope: 'a' } }],
      'serve',
      [],
    ],
    ['a scope that no sign-in asks for', [scoped('orders')], 'serve', ['proxy.routes[0].require.scope']],
    ['the same in any process', [scoped('orders')], undefined, ['proxy.routes[0].require.scope']],
    ['the same, where other settings say what is asked for', [scoped('orders')], 'proxy', []],
    ['scopes that a sign-in asks for, or a page may', [scoped('openid', 'payments')], 'serve', []],
  ])('%s', (_what, routes, mode, paths) => {
    const warnings = settingsWarnings(
      parse(settingsFile({ login: { optional_scope: 'payments' }, proxy: { routes } })),
      mode,
    )
    expect(warnings.map(({ path }) => path)).toEqual(paths)
  })
})

describe('a step-up that pages may not ask for (RFC 9470)', () => {
  const acr = 'proxy.routes[0].require.acr'
  const maxAge = 'proxy.routes[0].require.max_age'
  const level = { acr: ['high', 'higher'] }
  const both = { acr: ['high'], max_age: 60 }
  const fixed = (extra: object, allowed = ['acr_values', 'max_age']) => ({
    extra_parameters: extra,
    allowed_parameters: allowed,
  })
  const essential = (...values: string[]) => JSON.stringify({ id_token: { acr: { essential: true, values } } })
  it.each<[string, object, object, readonly string[]]>([
    ['by default they may', both, {}, []],
    ['a level', level, fixed({}, ['max_age']), [acr]],
    ['an age', { max_age: 60 }, fixed({}, ['acr_values']), [maxAge]],
    ['both', both, fixed({}, ['prompt']), [acr, maxAge]],
    ['neither is demanded', { scope: ['openid'] }, fixed({}, []), []],
    ['every sign-in demands the level', level, fixed({ acr_values: 'high' }), []],
    ['every sign-in demands one of the levels', level, fixed({ acr_values: 'higher high' }, []), []],
    ['every sign-in demands it as a claim', level, fixed({ claims: essential('high') }, []), []],
    ['both demands leave the level only', level, fixed({ acr_values: 'low high', claims: essential('high') }), []],
    ['a sign-in may end with a lower level', level, fixed({ acr_values: 'high low' }), [acr]],
    ['the claim only wishes for the level', level, fixed({ claims: '{"id_token":{"acr":null}}' }, []), [acr]],
    ['the level is always there, and so repeated with the age', both, fixed({ acr_values: 'high' }), []],
    ['the same, of one level more', { ...both, acr: ['high', 'low'] }, fixed({ acr_values: 'high' }), [acr]],
    ['the same, where pages may send no level', both, fixed({ acr_values: 'high' }, ['max_age']), [acr]],
    ['the age is fixed and ends, and a page repeats it', { max_age: 60 }, fixed({ max_age: '60' }), []],
    ['another age is fixed and ends', { max_age: 60 }, fixed({ max_age: '30' }), [maxAge]],
    ['scope, by which pages ask for more', { scope: ['payments'] }, fixed({}, []), ['proxy.routes[0].require.scope']],
  ])('%s', (_what, require, login, paths) => {
    const routes = [{ path: '/strict', upstream: 'https://a', require }]
    const config = parse(settingsFile({ login: { optional_scope: 'payments', ...login }, proxy: { routes } }))
    const found = (mode?: Mode) => settingsWarnings(config, mode).map(({ path }) => path)
    expect([found(), found('serve'), found('proxy')]).toEqual([paths, paths, []])
  })

  it('the remedy is to list what is missing, and to leave pages what is fixed', () => {
    const routes = [{ path: '/strict', upstream: 'https://a', require: both }]
    const login = fixed({ max_age: '30' }, ['max_age'])
    const remedies = settingsWarnings(parse(settingsFile({ login, proxy: { routes } })), 'serve').map(
      ({ remedy }) => remedy,
    )
    expect(remedies).toEqual([
      expect.stringMatching(/^List acr_values under login\.allowed_parameters\. /),
      expect.stringMatching(/^Remove max_age from login\.extra_parameters\. /),
    ])
  })
})

describe('scopes with a comma, which is part of a scope (RFC 6749 §3.3)', () => {
  const login = { scope: 'openid profile,email', optional_scope: 'payments,refunds' }
  const routes = [
    {
      path: '/a',
      upstream: 'https://a',
      credential: { kind: 'exchange', scope: 'a b,c' },
      require: { scope: ['read', 'write,delete'] },
    },
    { path: '/b', upstream: 'https://a', anonymous: 'client_credentials', anonymous_token: { scope: 'a,b' } },
  ]
  const ofLogin = ['login.scope', 'login.optional_scope']
  const ofRoutes = [
    'proxy.routes[0].credential.scope',
    'proxy.routes[0].require.scope[1]',
    'proxy.routes[1].anonymous_token.scope',
  ]
  const scopes = 'proxy.routes[0].require.scope'
  it.each<[Mode | undefined, readonly string[]]>([
    ['agent', ofLogin],
    ['proxy', ofRoutes],
    ['serve', [...ofLogin, ...ofRoutes, scopes]],
    [undefined, [...ofLogin, ...ofRoutes, scopes]],
  ])('are named where %s reads them', (mode, paths) => {
    const found = settingsWarnings(parse(settingsFile({ login, proxy: { routes } })), mode)
    expect(found.map(({ path }) => path).toSorted()).toEqual(paths.toSorted())
  })

  it('are told with what they are taken for', () => {
    const [warning] = settingsWarnings(parse(settingsFile({ login: { scope: login.scope } })), 'agent')
    expect(warning?.problem).toContain('profile,email for one scope')
  })
})
