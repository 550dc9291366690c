import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseTokenLifetime } from '../../../shared/oauth/token-lifetime.ts'

const settings = { defaultAccessTokenSeconds: 300, maxAccessTokenSeconds: 86_400 }

it('is a whole number of seconds between nothing and the limit, whatever came (D06)', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.double(), fc.integer().map(String), fc.double().map(String)), (value) => {
      const seconds = parseTokenLifetime(value, settings)
      expect(Number.isSafeInteger(seconds)).toBe(true)
      expect(seconds).toBeGreaterThanOrEqual(0)
      expect(seconds).toBeLessThanOrEqual(86_400)
    }),
  )
})

it.each<[unknown, number]>([
  [undefined, 300],
  [60, 60],
  ['60', 60],
  ['60.9', 60],
  [-1, 0],
  ['-1', 0],
  [Number.NaN, 300],
  [Number.POSITIVE_INFINITY, 86_400],
  ['1e9', 300],
  [' 60', 300],
  [[60], 300],
])('%j is %i', (value, seconds) => {
  expect(parseTokenLifetime(value, settings)).toBe(seconds)
})
