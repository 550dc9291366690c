import { describe, expect, it } from 'vitest'
import { memoryWarning, partChecks, processChecks, settingsWarnings } from '../../bin/part-checks.ts'
import type { Mode } from '../../bin/parts.ts'
import { parse, pathsOf, problemsOf, settingsFile } from '../shared/config/settings.ts'

const valkey = { kind: 'valkey', url: 'redis://valkey:6379' }

describe('back-channel logout in several processes (LO-8)', () => {
  it.each<[string, Mode, number | undefined, object, readonly string[]]>([
    ['one process', 'serve', undefined, {}, []],
    ['two workers by the command line', 'serve', 2, {}, ['store.kind']],
    ['two workers by the settings, said once', 'serve', undefined, { operations: { workers: 2 } }, ['store.kind']],
    ['two by the settings, one by the command line', 'serve', 1, { operations: { workers: 2 } }, []],
    ['an agent alone', 'agent', undefined, {}, ['store.kind']],
    ['a proxy alone', 'proxy', undefined, {}, ['store.kind']],
    ['an agent alone with a shared store', 'agent', 4, { store: valkey }, []],
    ['an agent alone without back-channel logout', 'agent', undefined, { logout: {} }, []],
  ])('%s', (_what, mode, workers, change, paths) => {
    const text = settingsFile({ logout: { backchannel: true }, ...change })
    const found = problemsOf(text, { checks: processChecks(mode, workers) })
    expect(found.map(({ path }) => path)).toEqual(paths)
  })

  it('a file is judged for serve where no command says otherwise', () => {
    const withWorkers = (workers: number) => settingsFile({ logout: { backchannel: true }, operations: { workers } })
    expect(problemsOf(withWorkers(2), { checks: partChecks }).map(({ path }) => path)).toEqual(['store.kind'])
    expect(problemsOf(withWorkers(1), { checks: partChecks })).toEqual([])
  })
})

describe('cookies that leave an answer no room for attempts by navigation (B13)', () => {
  const navigation = { enabled: true }
  const large = { max_total_bytes: 14_336 }
  const refused = ['cookies.max_total_bytes']
  it.each<[string, Mode, Record<string, unknown>, readonly string[]]>([
    ['the defaults', 'serve', { login: { navigation } }, []],
    ['ten attempts', 'serve', { login: { navigation, max_attempts: 10 } }, []],
    ['large cookies without navigation', 'serve', { cookies: large, login: { max_attempts: 10 } }, []],
    ['large cookies', 'agent', { cookies: large, login: { navigation } }, refused],
    ['large cookies of an agent elsewhere', 'proxy', { cookies: large, login: { navigation } }, []],
    ['one attempt', 'serve', { cookies: { max_total_bytes: 13_568 }, login: { navigation, max_attempts: 1 } }, []],
    ['and ten', 'serve', { cookies: { max_total_bytes: 13_568 }, login: { navigation, max_attempts: 10 } }, refused],
  ])('%s', (_what, mode, change, paths) => {
    const found = problemsOf(settingsFile(change), { checks: processChecks(mode, undefined) })
    expect(found.map(({ path }) => path)).toEqual(paths)
  })
})

describe('several workers without a shared store', () => {
  it.each<[string, Mode, number, Record<string, unknown>, boolean]>([
    ['agent and proxy', 'serve', 2, {}, true],
    ['agents', 'agent', 4, {}, true],
    ['proxies, which share nothing but limits', 'proxy', 4, {}, false],
    ['one process', 'serve', 1, {}, false],
    ['a shared store', 'serve', 4, { store: valkey }, false],
  ])('%s', (_what, mode, workers, change, warned) => {
    const warning = memoryWarning(parse(settingsFile(change)), mode, workers)
    expect(warning?.includes('store.kind: valkey') ?? false).toBe(warned)
  })
})

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

describe('routes are judged by what is written, not by what stands in for a wrong path or method', () => {
  const whole = { path: '/api/**', upstream: 'https://a' }
  it('two routes for one path and method are reported', () => {
    expect(pathsOf(settingsFile({ proxy: { routes: [whole, whole] } }), { checks: partChecks })).toEqual([
      'proxy.routes[1].path',
    ])
  })

  it.each<[string, readonly object[], string]>([
    ['the path of another', [{ ...whole, path: 'api' }, whole], 'proxy.routes[0].path'],
    ['the methods of another', [{ ...whole, methods: ['PST'] }, whole], 'proxy.routes[0].methods[0]'],
    ['its methods', [whole, { ...whole, methods: ['PST'] }], 'proxy.routes[1].methods[0]'],
    ['the path that has a prefix', [{ ...whole, path: '/v1/', strip_prefix: '/v1' }], 'proxy.routes[0].path'],
  ])('%s', (_what, routes, path) => {
    expect(pathsOf(settingsFile({ proxy: { routes } }), { checks: partChecks })).toEqual([path])
  })
})
