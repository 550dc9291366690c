import { expect, it } from 'vitest'
import { countReady, restartDelayMs } from '../../bin/workers.ts'

it('a worker is replaced after a second, and ever later while its replacements fail', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 2000].map(restartDelayMs)).toEqual([
    1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
  ])
})

it('a worker counts as ready while it has no reason to get no requests', () => {
  expect(countReady([[], ['another replica seals with key 0a1b2c3d, which this ring lacks'], []])).toBe(2)
})
