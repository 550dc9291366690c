import type { Clock } from '../../shared/clock.ts'

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Moves on, and runs the timers that fall due, in their order; back, like `set`, if it is less than nothing. */
  pass(seconds: number): void
  /** Sets the time of day forward or back, as one does with a clock that is wrong: no time passes, and no timer runs. */
  set(seconds: number): void
}

export function createManualClock(startSeconds = 1_800_000_000): ManualClock {
  let setMs = startSeconds * 1000
  let steadyMs = 0
  const timers = new Set<{ atMs: number; run: () => void }>()
  const set = (seconds: number) => void (setMs += seconds * 1000)
  return {
    nowMs: () => setMs + steadyMs,
    nowSeconds: () => Math.floor((setMs + steadyMs) / 1000),
    steadyMs: () => steadyMs,
    after(delayMs, run) {
      const timer = { atMs: steadyMs + delayMs, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    pass(seconds) {
      if (seconds < 0) {
        set(seconds)
        return
      }
      const endMs = steadyMs + seconds * 1000
      for (;;) {
        const due = [...timers].filter(({ atMs }) => atMs <= endMs).sort((one, two) => one.atMs - two.atMs)[0]
        if (due === undefined) break
        timers.delete(due)
        steadyMs = Math.max(steadyMs, due.atMs)
        due.run()
      }
      steadyMs = endMs
    },
    set,
  }
}
