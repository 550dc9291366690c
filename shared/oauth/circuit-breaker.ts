import { type Clock, isWithin } from '../clock.ts'

/** Stops calling what keeps failing, and lets one call through at a time to see whether it is back. */
export interface CircuitBreaker {
  /** Seconds until a call may be tried; 0 if it may be tried now, which counts as taking the try. */
  admit(): number
  succeeded(): void
  failed(): void
}

/** When a circuit opens, and for how long. */
export interface BreakerSettings {
  /** Failures in a row that open the circuit. */
  readonly failures: number
  /** How long it stays open before one call is let through. */
  readonly openMs: number
}

/** Creates a closed breaker. */
export function createCircuitBreaker(clock: Clock, settings: BreakerSettings): CircuitBreaker {
  let failuresInARow = 0
  let openedMs = Number.NEGATIVE_INFINITY

  return {
    admit() {
      if (failuresInARow < settings.failures) return 0
      if (isWithin(clock, openedMs, settings.openMs)) {
        return Math.ceil((openedMs + settings.openMs - clock.nowMs()) / 1000)
      }
      // The next try is as far away again unless this one succeeds first.
      openedMs = clock.nowMs()
      return 0
    },
    succeeded() {
      failuresInARow = 0
    },
    failed() {
      failuresInARow += 1
      openedMs = clock.nowMs()
    },
  }
}
