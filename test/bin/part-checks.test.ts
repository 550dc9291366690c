import { describe, expect, it } from 'vitest'
import { memoryWarning, partChecks, processChecks } from '../../bin/part-checks.ts'
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
