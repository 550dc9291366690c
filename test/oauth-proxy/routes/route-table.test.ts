import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRouteTable } from '../../../oauth-proxy/routes/route-table.ts'

const route = (path: string, ...methods: string[]) => ({ path, methods })
const matched = (patterns: readonly string[], path: string) =>
  createRouteTable(patterns.map((pattern) => route(pattern)))
    .match(path)
    ?.map((found) => found.path)

describe('what a pattern covers', () => {
  it.each<[string, string, boolean]>([
    ['/', '/', true],
    ['/', '/a', false],
    ['/api', '/api', true],
    ['/api', '/api/', true],
    ['/api', '/apix', false],
    ['/api', '/api/x', false],
    ['/api', '/api%20', false],
    ['/api/*', '/api/x', true],
    ['/api/*', '/api/x/', true],
    ['/api/*', '/api', false],
    ['/api/*', '/api/', false],
    ['/api/*', '/api/x/y', false],
    ['/api/*/lines', '/api/1/lines', true],
    ['/api/**', '/api', true],
    ['/api/**', '/api/', true],
    ['/api/**', '/api/x/y', true],
    ['/api/**', '/apix', false],
    ['/**', '/', true],
    ['/**', '/anything/at/all', true],
  ])('G16 %s covers %s: %s', (pattern, path, covers) => {
    expect(matched([pattern], path)).toEqual(covers ? [pattern] : undefined)
  })
})

describe('the most specific pattern decides', () => {
  it.each<[string, string]>([
    ['/api/orders', '/api/orders'],
    ['/api/orders/7', '/api/orders/*'],
    ['/api/orders/7/lines', '/api/orders/*/lines'],
    ['/api/orders/7/other', '/api/**'],
    ['/api/orders/latest', '/api/orders/latest'],
    ['/api/orders/latest/lines', '/api/orders/*/lines'],
    ['/api/x', '/api/**'],
    ['/other', '/**'],
  ])('%s goes to %s', (path, pattern) => {
    const patterns = ['/**', '/api/**', '/api/orders', '/api/orders/*', '/api/orders/latest', '/api/orders/*/lines']
    expect(matched(patterns, path)).toEqual([pattern])
    expect(matched(patterns.toReversed(), path)).toEqual([pattern])
  })

  it('the first differing segment decides, whatever follows', () => {
    expect(matched(['/a/*/c', '/a/b/**'], '/a/b/c')).toEqual(['/a/b/**'])
  })
})

describe('J16 G18 what does not fall through', () => {
  it.each(['/ADMIN', '/Admin/x', '/public/SECRET'])('%s is nobody, though /** covers it', (path) => {
    expect(matched(['/**', '/admin/**', '/public/secret'], path)).toBeUndefined()
  })

  it('two literals that differ in case only are each themselves', () => {
    expect(matched(['/a', '/A'], '/A')).toEqual(['/A'])
  })

  it.each(['/**', '/admin/**'])('a path whose methods are all elsewhere stays with its pattern, not %s', (wider) => {
    const table = createRouteTable([route(wider, 'DELETE'), route('/admin', 'GET')])
    expect(table.match('/admin')).toEqual([route('/admin', 'GET')])
  })
})

it('the order of the routes does not matter', () => {
  const segment = fc.constantFrom('a', 'b', '*')
  const pattern = fc
    .tuple(fc.array(segment, { maxLength: 3 }), fc.boolean())
    .map(([segments, subtree]) => `/${[...segments, ...(subtree ? ['**'] : [])].join('/')}`)
  const path = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }).map((segments) => `/${segments.join('/')}`)
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { maxLength: 6 }), path, (patterns, asked) => {
      expect(matched(patterns, asked)).toEqual(matched(patterns.toReversed(), asked))
    }),
    { numRuns: 500 },
  )
})
