/** A place among the calls that run at one time; give it back exactly once. */
export type Leave = () => void

/** Limits how many calls run at one time and how many wait for that. */
export interface Queue {
  /** A place, now or when one becomes free; undefined when too many wait or `signal` aborts first. */
  enter(signal: AbortSignal): Promise<Leave | undefined>
  readonly waiting: number
}

/** Creates a first-come, first-served queue (D20: a storm is cut off here, not at the authorization server). */
export function createQueue(settings: { maxRunning: number; maxWaiting: number }): Queue {
  const waiters = new Set<() => void>()
  let running = 0

  function leaveOnce(): Leave {
    let left = false
    return () => {
      if (left) return
      left = true
      const next = waiters.values().next().value
      if (next === undefined) running -= 1
      else next()
    }
  }

  return {
    get waiting() {
      return waiters.size
    },
    enter(signal) {
      if (signal.aborted) return Promise.resolve(undefined)
      if (running < settings.maxRunning) {
        running += 1
        return Promise.resolve(leaveOnce())
      }
      if (waiters.size >= settings.maxWaiting) return Promise.resolve(undefined)
      return new Promise((resolve) => {
        const giveUp = () => {
          waiters.delete(proceed)
          resolve(undefined)
        }
        const proceed = () => {
          waiters.delete(proceed)
          signal.removeEventListener('abort', giveUp)
          resolve(leaveOnce())
        }
        waiters.add(proceed)
        signal.addEventListener('abort', giveUp, { once: true })
      })
    },
  }
}
