import type { Clock } from '../../shared/clock.ts'

/** A clock that stands still until a test moves it; timers run when it passes them. */
export interface TestClock extends Clock {
  pass(seconds: number): void
}

/** Creates a clock that shows `startSeconds` since 1970. */
export function createTestClock(startSeconds = 1_800_000_000): TestClock {
  let ms = startSeconds * 1000
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>()
  return {
    nowMs: () => ms,
    nowSeconds: () => Math.floor(ms / 1000),
    after(delayMs, run) {
      const timer = { atMs: ms + delayMs, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    pass(seconds) {
      ms += seconds * 1000
      for (const timer of [...timers].filter(({ atMs }) => atMs <= ms)) {
        timers.delete(timer)
        timer.run()
      }
    },
  }
}
