import { type Clock, systemClock } from '../../shared/clock.ts'

/** The real clock, moved: for parts that talk to servers with a clock of their own. */
export interface ShiftedClock extends Clock {
  pass(seconds: number): void
  /** Lets the clock stand from now on, for limits that are judged to the second. */
  stand(): void
}

/** Creates a clock that shows the real time until it is moved. */
export function createShiftedClock(): ShiftedClock {
  let shiftMs = 0
  let standingMs: number | undefined
  const nowMs = () => (standingMs ?? systemClock.nowMs()) + shiftMs
  return {
    nowMs,
    nowSeconds: () => Math.floor(nowMs() / 1000),
    after: (delayMs, run) => systemClock.after(delayMs, run),
    pass(seconds) {
      shiftMs += seconds * 1000
    },
    stand() {
      standingMs = systemClock.nowMs()
    },
  }
}
