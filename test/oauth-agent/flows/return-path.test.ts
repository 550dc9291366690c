import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseReturnTo } from '../../../oauth-agent/flows/return-path.ts'
import hostile from '../../vectors/hostile-return-paths.json' with { type: 'json' }

const origin = 'https://app.test'
const all = [...Object.values(hostile.refused).flat(), ...hostile.harmless]

function isTaken(value: string): boolean {
  try {
    return parseReturnTo(value, origin) === value
  } catch {
    return false
  }
}

function decodedOnce(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

const toWellFormed = (value: string) => Buffer.from(value).toString()

describe('return_to (E01, E04, E06, E14, BCP-7)', () => {
  it.each(['/', '/orders', '/orders/42?page=2&sort=a%2Fb#top', '/#/route', '/a//b', '/~me/.well', '/%C3%A4'])(
    'takes %s',
    (value) => {
      expect(parseReturnTo(value, origin)).toBe(value)
    },
  )

  it('takes 1,024 characters', () => {
    expect(isTaken(`/${'x'.repeat(1023)}`)).toBe(true)
  })

  it.each(Object.entries(hostile.refused))('refuses %s, in every spelling', (_kind, values) => {
    expect(values.filter((value) => isTaken(value))).toEqual([])
  })

  it(`of ${all.length} hostile values lets none leave the origin: as it is, decoded or encoded once more`, () => {
    expect(all.length).toBeGreaterThan(500)
    for (const value of all.flatMap((each) => [each, decodedOnce(each), encodeURI(toWellFormed(each))])) {
      if (!isTaken(value)) continue
      expect(new URL(value, origin).origin, JSON.stringify(value)).toBe(origin)
      expect(new URL(decodeURIComponent(value), origin).origin, JSON.stringify(value)).toBe(origin)
    }
  })

  it.each(hostile.harmless)('takes %j, which only looks odd', (value) => {
    expect(isTaken(value)).toBe(true)
    expect(new URL(value, origin).origin).toBe(origin)
  })

  it.each([
    '//evil.test',
    '/\\evil.test',
    '/orders?next=\\evil.test',
    '/orders#\\evil.test',
    'https:evil.test',
    '/\t/evil.test',
    '/%2fevil.test',
    '/%09/evil.test',
    '/%5cevil.test',
    'javascript:alert(1)',
    'orders',
    '',
    '/../orders',
    '/./orders',
    '/%2e%2e/orders',
    '/a b',
    '/ä',
    '/%',
    `/${'x'.repeat(1024)}`,
  ])('refuses %j', (value) => {
    expect(() => parseReturnTo(value, origin)).toThrow('return_to_not_allowed')
  })

  it('whatever it takes stays on the origin and is canonical', () => {
    const piece = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '%2f',
      '%5c',
      '%09',
      'evil.test',
      '@',
      ':',
      '?',
      '#',
      'a',
      '\t',
      '%',
      '&',
      ';',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const value = `/${pieces.join('')}`
        try {
          parseReturnTo(value, origin)
        } catch {
          return
        }
        expect(new URL(value, origin).href).toBe(`${origin}${value}`)
        expect(new URL(decodeURIComponent(value), origin).origin).toBe(origin)
      }),
      { numRuns: 2000 },
    )
  })
})
