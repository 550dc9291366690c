import { type Clock, systemClock } from '../../shared/clock.ts'

/** The real clock, moved: for parts that talk to servers with a clock of their own. */
export interface ShiftedClock extends Clock {
  /** Moves on, and runs the timers that fall due, in their order; the others run when their real time has come. */
  pass(seconds: number): void
  /** Lets the clock stand from now on, for limits that are judged to the second. */
  stand(): void
}

/** Creates a clock that shows the real time until it is moved. */
export function createShiftedClock(): ShiftedClock {
  let shiftMs = 0
  let passedMs = 0
  let standingMs: number | undefined
  const timers = new Set<{ dueMs: number; run: () => void }>()
  const nowMs = () => (standingMs ?? systemClock.nowMs()) + shiftMs
  return {
    nowMs,
    nowSeconds: () => Math.floor(nowMs() / 1000),
    steadyMs: () => systemClock.steadyMs() + passedMs,
    after(delayMs, run) {
      const cancel = () => {
        timers.delete(timer)
        cancelReal()
      }
      const once = () => {
        cancel()
        run()
      }
      const timer = { dueMs: nowMs() + delayMs, run: once }
      timers.add(timer)
      const cancelReal = systemClock.after(delayMs, once)
      return cancel
    },
    pass(seconds) {
      shiftMs += seconds * 1000
      passedMs += Math.max(0, seconds) * 1000
      const endMs = nowMs()
      // Only those that wait already: what a timer starts anew belongs to the time to come.
      const due = [...timers].filter(({ dueMs }) => dueMs <= endMs).sort((one, two) => one.dueMs - two.dueMs)
      for (const timer of due) if (timers.has(timer)) timer.run()
    },
    stand() {
      standingMs = systemClock.nowMs()
    },
  }
}
