import type { Clock } from '../shared/clock.ts'
import { countsOf } from '../shared/observe/metrics-sum.ts'

/** What several workers have counted, each as a snapshot of its metrics. */
export interface WorkerMetrics<T> {
  /** Takes an answer of `who`. */
  heard(who: T, snapshot: object): void
  /** `who` is gone; what it had counted stays. */
  remove(who: T): void
  /** Asks `whom`; resolves with what they answer in time, and with what all others had counted when last heard. */
  collect(whom: readonly T[]): Promise<readonly object[]>
}

const measureMs = 2000

/**
 * Keeps the counts of workers that do not answer, because they hang or have ended.
 *
 * Prometheus takes a sum that falls for a counter that began again at 0, and adds all of it to the rates.
 */
export function createWorkerMetrics<T>({
  clock,
  ask,
}: {
  readonly clock: Pick<Clock, 'after'>
  /** Asks a worker for its metrics; its answer comes to `heard`. */
  readonly ask: (who: T) => void
}): WorkerMetrics<T> {
  const last = new Map<T, object>()
  const fresh = new Set<T>()
  const awaited = new Set<T>()
  let gone = countsOf([])
  let allHeard = (): void => undefined
  let measuring: Promise<readonly object[]> | undefined

  async function measure(whom: readonly T[]): Promise<readonly object[]> {
    fresh.clear()
    await new Promise<void>((resolve) => {
      const cancel = clock.after(measureMs, resolve)
      allHeard = () => {
        cancel()
        resolve()
      }
      for (const who of whom) awaited.add(who)
      if (whom.length === 0) allHeard()
      for (const who of whom) ask(who)
    })
    awaited.clear()
    return [gone, ...[...last].map(([who, snapshot]) => (fresh.has(who) ? snapshot : countsOf([snapshot])))]
  }

  function settle(who: T): void {
    if (awaited.delete(who) && awaited.size === 0) allHeard()
  }

  return {
    heard(who, snapshot) {
      last.set(who, snapshot)
      fresh.add(who)
      settle(who)
    },
    remove(who) {
      gone = countsOf([gone, last.get(who) ?? []])
      last.delete(who)
      settle(who)
    },
    collect(whom) {
      // Whoever asks meanwhile gets the same answer.
      measuring ??= measure(whom).finally(() => {
        measuring = undefined
      })
      return measuring
    },
  }
}
