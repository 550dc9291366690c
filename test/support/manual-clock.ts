import type { Clock } from '../../shared/clock.ts'

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Moves on, and runs the timers that fall due, in their order. */
  pass(seconds: number): void
}

export function createManualClock(startSeconds = 1_800_000_000): ManualClock {
  let ms = startSeconds * 1000
  const timers = new Set<{ atMs: number; run: () => void }>()
  return {
    nowMs: () => ms,
    nowSeconds: () => Math.floor(ms / 1000),
    after(delayMs, run) {
      const timer = { atMs: ms + delayMs, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    pass(seconds) {
      const endMs = ms + seconds * 1000
      for (;;) {
        const due = [...timers].filter(({ atMs }) => atMs <= endMs).sort((one, two) => one.atMs - two.atMs)[0]
        if (due === undefined) break
        timers.delete(due)
        ms = Math.max(ms, due.atMs)
        due.run()
      }
      ms = endMs
    },
  }
}
