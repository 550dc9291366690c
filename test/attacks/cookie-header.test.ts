import { describe, expect, it } from 'vitest'
import { loginIds } from '../../shared/cookies/open.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { createInstallation, readHeader } from '../support/installation.ts'

/** Attack: a Cookie header that two readers understand differently. */

const at = '__Host-Http-th-at'
const ours = (header: string) => Object.fromEntries(readHeader(header).ours)

describe('B06: spaces that only some readers trim', () => {
  const spaces = ['\xa0', '\x85', '\x0b', '\x0c', '\u2000', '\u2028', '\ufeff', '\u3000', '\xe2\x80\x80']
  it.each(spaces.map((space) => [space.codePointAt(0)?.toString(16), space]))('%s before the name', (_, space) => {
    expect(ours(`x=1; ${space}${at}=evil`)).toEqual({})
    expect(ours(`${space}${at}=evil`)).toEqual({})
  })
  it.each(spaces.map((space) => [space.codePointAt(0)?.toString(16), space]))('%s after the name', (_, space) => {
    expect(ours(`${at}${space}=evil`)[at]).toBeUndefined()
  })
})

describe('B08: names in disguise', () => {
  it.each([
    `__%48ost-Http-th-at=evil`,
    `__Host-Http-th-%61t=evil`,
    `__HOST-HTTP-th-at=evil`,
    `__host-http-th-at=evil`,
    `__Host-Http-th-AT=evil`,
    `__Host-Http-th-at[]=evil`,
    `"${at}"=evil`,
    `$${at}=evil`,
    `${at} =evil`,
    `${at}\t=evil`,
    `__Host-Http-th-at.=evil`,
    `__Host-Http-th_at=evil`,
  ])('%s is another cookie', (header) => {
    const { reader } = createInstallation()
    expect(ours(header)[at]).toBeUndefined()
    expect(reader.access(readHeader(header))).toEqual({ kind: 'absent' })
  })
})

describe('B09: the cookie sandwich', () => {
  it.each([`$Version=1; p="x; ${at}=S; q=end"`, `$Version="1"; p="x; ${at}=S; q="`, `p="\\"; ${at}=S; q="`])(
    '%s swallows nothing',
    (header) => {
      expect(ours(header)).toEqual({ [at]: 'S' })
      expect(readHeader(header).others).not.toContain('S;')
    },
  )
  it('a quoted value is not unquoted', () => {
    expect(ours(`${at}="v"`)).toEqual({ [at]: '"v"' })
  })
})

describe('B10: the same name twice', () => {
  const names = [at, '__Host-Http-th-rt', '__Http-th-id', '__Host-Http-th-login-EBESExQVFhcYGRobHB0eHw', `${at}.1`]
  it.each(names)('%s is ambiguous, in any order and with equal values', (name) => {
    for (const pair of [
      ['good', 'bad'],
      ['bad', 'good'],
      ['same', 'same'],
      ['', 'x'],
    ]) {
      expect(() => readHeader(`${name}=${pair[0]}; theme=dark; ${name}=${pair[1]}`)).toThrow(TokenHandlerError)
      expect(() => readHeader(`${name}=${pair[0]};${name}=${pair[1]}`)).toThrow('ambiguous_cookie')
    }
  })
  it('is nothing to us when the name is not ours', () => {
    expect(readHeader('theme=dark; theme=light').others).toBe('theme=dark; theme=light')
  })
})

describe('B12, B20: what an API sees', () => {
  it.each([
    [`theme=dark; ${at}=v; a=b`, 'theme=dark; a=b'],
    [`${at}=v; ${at}.1=w; __Http-th-rt=x; __Host-Http-th-login-abc=y`, undefined],
    [`a=b; __Host-Http-th-=x; c=d`, 'a=b; c=d'],
    [`a=b;   c=d;e=f`, 'a=b; c=d; e=f'],
  ])('of %j is %j', (header, others) => {
    expect(readHeader(header).others).toBe(others)
  })
})

describe('B16: headers that crash readers', () => {
  const controls = Array.from({ length: 32 }, (_, code) => `a${String.fromCharCode(code)}b=1`)
  const { reader, catalogue } = createInstallation()
  it.each([
    ';',
    ';;;;=;',
    '=',
    '',
    ' ',
    '\t',
    '; ;',
    at,
    `${at}=;`,
    `=${at}=evil`,
    '\x7f=1',
    'a=\u{1F600}',
    ...controls,
  ])('%j is read without failing, and passes on a valid header or none', (header) => {
    const cookies = readHeader(header)
    expect(reader.access(cookies).kind).not.toBe('opened')
    expect(loginIds(catalogue, cookies)).toEqual([])
    expect(cookies.others ?? 'none').toMatch(/^[\t\x20-\x7e\x80-\xff]+$/)
  })
  it('is read in linear time', () => {
    const many = Array.from({ length: 50_000 }, (_, index) => `c${index}=1`).join(';')
    expect(readHeader(many).others?.split('; ')).toHaveLength(50_000)
    expect(readHeader(';'.repeat(200_000)).others).toBeUndefined()
    expect(readHeader(' '.repeat(200_000)).others).toBeUndefined()
  })
})
