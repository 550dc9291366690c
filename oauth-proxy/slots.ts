import { TokenHandlerError } from '../shared/errors.ts'

/** How many calls may go on at one time. */
export interface Slots {
  /**
   * Takes a slot for a call of this session, or of nobody's; whoever takes one releases it once, for the same session.
   *
   * Throws `overloaded` when all are taken, rather than let calls queue, and `too_many_concurrent_requests` when the
   * session has its share.
   */
  take(sessionId: string | undefined): void
  /** Gives a slot back. */
  release(sessionId: string | undefined): void
}

/**
 * Makes `size` slots, of which one session may have `perSession`: one browser with slow uploads or open streams must not
 * keep everybody else out.
 *
 * `takenBy` holds only sessions that have a call in progress, so that nothing grows with those that come and go (L08).
 */
export function createSlots(size: number, perSession: number, takenBy = new Map<string, number>()): Slots {
  let taken = 0
  return {
    take(sessionId) {
      if (taken >= size) throw new TokenHandlerError('overloaded', { fields: { retry_after: 1 } })
      if (sessionId !== undefined) {
        const own = takenBy.get(sessionId) ?? 0
        if (own >= perSession)
          throw new TokenHandlerError('too_many_concurrent_requests', { fields: { retry_after: 1 } })
        takenBy.set(sessionId, own + 1)
      }
      taken++
    },
    release(sessionId) {
      taken--
      if (sessionId === undefined) return
      const left = (takenBy.get(sessionId) ?? 0) - 1
      if (left > 0) takenBy.set(sessionId, left)
      else takenBy.delete(sessionId)
    },
  }
}
