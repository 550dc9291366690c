import { expect, it } from 'vitest'
import { restartDelayMs } from '../../bin/workers.ts'

it('a worker is replaced after a second, and ever later while its replacements fail', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 2000].map(restartDelayMs)).toEqual([
    1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
  ])
})
