/** Stops a timer; calling it again does nothing. */
export type Cancel = () => void

/** The only source of time, handed to every part so that tests can move it. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number
  /** Whole seconds since 1970, as tokens and cookies count. */
  nowSeconds(): number
  /**
   * Milliseconds since some moment, as they pass: nobody sets them forward or back. For how long something lasts.
   *
   * They may stand while the machine sleeps.
   */
  steadyMs(): number
  /** Calls `run` once after `delayMs`, or after 24 days if that is longer, without keeping the process alive for it. */
  after(delayMs: number, run: () => void): Cancel
}

/** Timers count in 31 bits; Node runs what is due later than that at once. */
const longestDelayMs = 2 ** 31 - 1

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowSeconds: () => Math.floor(Date.now() / 1000),
  steadyMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, longestDelayMs))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/**
 * True for `forMs` milliseconds from `sinceMs` on.
 *
 * A clock that is set back ends it; otherwise what waits would wait until the old time comes again.
 */
export function isWithin(clock: Pick<Clock, 'nowMs'>, sinceMs: number, forMs: number): boolean {
  const passedMs = clock.nowMs() - sinceMs
  return passedMs >= 0 && passedMs < forMs
}
