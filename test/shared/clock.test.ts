import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { systemClock } from '../../shared/clock.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it.each([2 ** 31, 30 * 86_400_000, Number.POSITIVE_INFINITY])('a delay of %d ms does not run at once', (delayMs) => {
  const run = vi.fn()
  systemClock.after(delayMs, run)
  vi.advanceTimersByTime(2 ** 31 - 2)
  expect(run).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(run).toHaveBeenCalledOnce()
})
