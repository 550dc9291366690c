/** Stops a timer; calling it again does nothing. */
export type Cancel = () => void

/** The only source of time, handed to every part so that tests can move it. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number
  /** Whole seconds since 1970, as tokens and cookies count. */
  nowSeconds(): number
  /** Calls `run` once after `delayMs` without keeping the process alive for it. */
  after(delayMs: number, run: () => void): Cancel
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowSeconds: () => Math.floor(Date.now() / 1000),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
