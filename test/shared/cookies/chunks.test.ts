import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCatalogue } from '../../../shared/cookies/catalogue.ts'
import { joinValue, maxCookieOctets, splitValue } from '../../../shared/cookies/chunks.ts'
import { cookieSettings } from '../../support/installation.ts'

const row = createCatalogue(cookieSettings()).access
const room = maxCookieOctets - row.name.length
const nextRoom = room - 2
const firstRoom = room - 2

const value = (length: number) => 'x'.repeat(length)
const sent = (length: number) => new Map(splitValue(row, value(length))?.map((piece) => [piece.name, piece.value]))

describe('chunks', () => {
  it('are no longer than browsers take: name and value together 4,096 octets (RFC 6265bis §5.6)', () => {
    expect(maxCookieOctets).toBe(4096)
  })

  it.each([
    [1, 1],
    [room - 1, 1],
    [room, 1],
    [room + 1, 2],
    [firstRoom + nextRoom - 1, 2],
    [firstRoom + nextRoom, 2],
    [firstRoom + nextRoom + 1, 3],
    [firstRoom + 2 * nextRoom, 3],
    [firstRoom + 2 * nextRoom + 1, 4],
    [firstRoom + 8 * nextRoom, 9],
  ])('a value of %i characters takes %i cookies and comes back (B04)', (length, count) => {
    const cookies = sent(length)
    expect(cookies.size).toBe(count)
    for (const [name, piece] of cookies) expect(name.length + piece.length).toBeLessThanOrEqual(maxCookieOctets)
    expect(joinValue(row, cookies)).toEqual({ kind: 'whole', value: value(length) })
  })

  it('a value for which the names are not enough is not split', () => {
    expect(splitValue(row, value(firstRoom + 8 * nextRoom + 1))).toBeUndefined()
    expect(splitValue(createCatalogue(cookieSettings()).login('x'), value(5000))).toBeUndefined()
  })

  it('any length comes back, and in one spelling', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), (length) => {
        expect(joinValue(row, sent(length))).toEqual({ kind: 'whole', value: value(length) })
      }),
      { numRuns: 50 },
    )
  })

  const three = (change: (cookies: Map<string, string>) => unknown) => {
    const cookies = sent(firstRoom + nextRoom + 5)
    change(cookies)
    return joinValue(row, cookies).kind
  }
  it.each<[string, (cookies: Map<string, string>) => unknown]>([
    ['the first is missing', (cookies) => cookies.delete(row.name)],
    ['the middle one is missing', (cookies) => cookies.delete(`${row.name}.1`)],
    ['the last is missing', (cookies) => cookies.delete(`${row.name}.2`)],
    ['one is left over', (cookies) => cookies.set(`${row.name}.3`, 'x')],
    ['one is left over beyond a gap', (cookies) => cookies.set(`${row.name}.8`, 'x')],
    ['one is empty', (cookies) => cookies.set(`${row.name}.2`, '')],
    ['a full one is short', (cookies) => cookies.set(`${row.name}.1`, 'x')],
    ['the last is too long', (cookies) => cookies.set(`${row.name}.2`, 'x'.repeat(nextRoom + 1))],
    ['the first is short', (cookies) => cookies.set(row.name, '3.x')],
    ['an unsplit value has company', (cookies) => cookies.set(row.name, 'x')],
    ['the count is too low', (cookies) => cookies.set(row.name, `2${cookies.get(row.name)?.slice(1)}`)],
    ['the count is too high', (cookies) => cookies.set(row.name, `4${cookies.get(row.name)?.slice(1)}`)],
  ])('are refused when %s (B04)', (_, change) => {
    expect(three(change)).toBe('broken')
  })

  it.each(['0.x', '1.x', ':.x', '/.x', '-.x', '..x'])('are refused for the count in %s (B05)', (first) => {
    expect(joinValue(row, new Map([[row.name, first]])).kind).toBe('broken')
  })

  it.each([':', ';', 'A', 'z', '\xff'])('are refused when nine full ones are counted as %s (B05)', (count) => {
    const cookies = sent(firstRoom + 8 * nextRoom)
    cookies.set(row.name, `${count}${cookies.get(row.name)?.slice(1)}`)
    expect(joinValue(row, cookies).kind).toBe('broken')
  })

  it.each(['99999999999.x', '-1.x', '1e9.x', 'NaN.x', '__chunked__999999'])(
    'are not counted in %s, which no seal opens (B05)',
    (first) => {
      const joined = joinValue(row, new Map([[row.name, first]]))
      expect(joined.kind === 'broken' || (joined.kind === 'whole' && joined.value === first)).toBe(true)
    },
  )

  it('are absent when nothing was sent', () => {
    expect(joinValue(row, new Map([['theme', 'dark']])).kind).toBe('absent')
  })
})
