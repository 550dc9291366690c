import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseReturnTo } from '../../../oauth-agent/flows/return-path.ts'

const origin = 'https://app.test'

describe('return_to (E01, E04, E06, E14, BCP-7)', () => {
  it.each(['/', '/orders', '/orders/42?page=2&sort=a%2Fb#top', '/#/route', '/a//b', '/~me/.well', '/%C3%A4'])(
    'takes %s',
    (value) => {
      expect(parseReturnTo(value, origin)).toBe(value)
    },
  )

  // Every way of writing the start of another origin that some browser, framework or decoder understood.
  const slashes = [
    '/',
    '//',
    '///',
    '\\',
    '/\\',
    '\\/',
    '/%2f',
    '/%2F',
    '/%5c',
    '/%5C',
    '%2f',
    '/./',
    '/../',
    '/.%2f',
    '/%2e/',
    '/;/',
    '/:/',
    '/@',
  ]
  const gaps = [
    '',
    '\t',
    '\n',
    '\r',
    '\v',
    '\f',
    '\0',
    ' ',
    '%09',
    '%0a',
    '%0d',
    '%00',
    '%20',
    '\u00a0',
    '\u3000',
    '\ufeff',
    '\u2215',
    '\uff0f',
  ]
  const hosts = [
    'evil.test',
    '/evil.test',
    '\\evil.test',
    '%2fevil.test',
    '%5cevil.test',
    'app.test@evil.test',
    'evil.test%2f@app.test',
  ]
  const schemes = [
    '',
    'https:',
    'http:',
    'HTTPS:',
    'javascript:alert(1)',
    ' javascript:',
    'java\tscript:',
    'data:text/html,x',
    'vbscript:',
    'file:',
    '%68ttp:',
  ]
  const hostile = slashes.flatMap((slash) => gaps.flatMap((gap) => hosts.map((host) => `${slash}${gap}${host}`)))
  const withScheme = schemes.flatMap((scheme) =>
    slashes.flatMap((slash) => hosts.map((host) => `${scheme}${slash}${host}`)),
  )

  it(`of ${hostile.length + withScheme.length} hostile values lets none leave the origin, plain or decoded once`, () => {
    for (const value of [...hostile, ...withScheme]) {
      let accepted: string
      try {
        accepted = parseReturnTo(value, origin)
      } catch {
        continue
      }
      expect(new URL(accepted, origin).origin, JSON.stringify(value)).toBe(origin)
      expect(new URL(decodeURIComponent(accepted), origin).origin, JSON.stringify(value)).toBe(origin)
    }
  })

  it.each([
    '//evil.test',
    '/\\evil.test',
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
