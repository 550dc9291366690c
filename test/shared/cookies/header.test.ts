import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCookieHeader } from '../../../shared/cookies/header.ts'
import { readHeader } from '../../support/installation.ts'

const at = '__Host-Http-th-at'
const read = (header: string | undefined) => {
  const { ours, others } = readHeader(header)
  return { ours: Object.fromEntries(ours), others }
}

describe('the Cookie header', () => {
  it.each([
    [undefined, {}, undefined],
    ['', {}, undefined],
    [`${at}=v`, { [at]: 'v' }, undefined],
    ['theme=dark; a=b', {}, 'theme=dark; a=b'],
    [`theme=dark; ${at}=v; a=b`, { [at]: 'v' }, 'theme=dark; a=b'],
    [`a=b;${at}=v;c=d`, { [at]: 'v' }, 'a=b; c=d'],
    [`\t ${at}=v \t; a=b`, { [at]: 'v' }, 'a=b'],
    [`${at}=a=b==`, { [at]: 'a=b==' }, undefined],
    [`${at}=`, { [at]: '' }, undefined],
    ['nameless; a=b', {}, 'nameless; a=b'],
    ['a="q;r"; b=%41', {}, 'a="q; r"; b=%41'],
    ['a=1; a=2', {}, 'a=1; a=2'],
    ['a; =b; c=', {}, 'a; =b; c='],
    ['a=b;; =; c=d;', {}, 'a=b; c=d'],
    ['a=b; \t ;c=d; ', {}, 'a=b; c=d'],
    ['a=\x7f; b=\x1f; c=\u0100; d=e', {}, 'd=e'],
    ['a=\xff; b=c\td', {}, 'a=\xff; b=c\td'],
    [`__Host-Http-other-at=1; ${at}=v`, { [at]: 'v' }, '__Host-Http-other-at=1'],
    ['__Host-Http-th2-at=1', {}, '__Host-Http-th2-at=1'],
  ])('%j', (header, ours, others) => {
    expect(read(header)).toEqual({ ours, others })
  })

  it('keeps everything of our namespace from APIs, also what nobody knows', () => {
    expect(read('__Host-Http-th-old=1; __Http-th-rt=2; __Host-Http-th-at.7=3; x=y').others).toBe('x=y')
  })

  it('splits as a plain reader does, for any header', () => {
    const piece = fc.constantFrom(
      'a',
      'b=',
      '=',
      ';',
      ' ',
      '\t',
      '"',
      at,
      `${at}=v`,
      '__Http-th-rt=1',
      '%',
      '$Version=1',
      '\u2000',
      '\x85',
      '\xa0',
      '\x0b',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const header = pieces.join('')
        const plain = header.split(';').map((pair) => pair.replace(/^[ \t]+|[ \t]+$/g, ''))
        const names = plain.filter((pair) => /^__Host-Http-th-|^__Http-th-/.test(pair) && pair.includes('='))
        const unique = new Set(names.map((pair) => pair.slice(0, pair.indexOf('='))))
        if (unique.size < names.length) {
          expect(() => readHeader(header)).toThrow('ambiguous_cookie')
          return
        }
        const { ours, others } = readHeader(header)
        expect([...ours].map(([name, value]) => `${name}=${value}`)).toEqual(names)
        const odd = /^=?$|^__Host-Http-th-|^__Http-th-|[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/
        expect(others ?? '').toBe(plain.filter((pair) => !odd.test(pair)).join('; '))
      }),
      { numRuns: 1000 },
    )
  })

  it('asks only for the prefixes it was given', () => {
    expect(parseCookieHeader('x-a=1; y-a=2', { ownPrefixes: ['x-'] })).toEqual({
      ours: new Map([['x-a', '1']]),
      others: 'y-a=2',
    })
  })
})
