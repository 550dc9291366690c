import { type Clock, systemClock } from '../../shared/clock.ts'

/** The real clock, moved: for parts that talk to servers with a clock of their own. */
export interface ShiftedClock extends Clock {
  pass(seconds: number): void
}

/** Creates a clock that shows the real time until it is moved. */
export function createShiftedClock(): ShiftedClock {
  let shiftMs = 0
  return {
    nowMs: () => systemClock.nowMs() + shiftMs,
    nowSeconds: () => Math.floor((systemClock.nowMs() + shiftMs) / 1000),
    after: (delayMs, run) => systemClock.after(delayMs, run),
    pass(seconds) {
      shiftMs += seconds * 1000
    },
  }
}
