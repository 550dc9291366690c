import type { Clock } from '../shared/clock.ts'

/** Those that have to be heard from again and again. */
export interface SilenceWatch<T> {
  /** Begins with the time that `who` has for its start, which ends when it is first heard. */
  add(who: T): void
  heard(who: T): void
  remove(who: T): void
}

const tickMs = 1000
const silentTicks = 10
/** Keys, store and authorization server may each keep a start waiting, on a machine that is busy with several of them. */
const startTicks = 120

/**
 * Calls `onSilent`, once, for whoever has not been heard for ten seconds, or not at all for two minutes.
 *
 * Seconds are counted as ticks of our own: while a machine is suspended there are none, and nobody is silent for that.
 */
export function watchSilence<T>(
  clock: Pick<Clock, 'after'>,
  onSilent: (who: T, problem: string) => void,
): SilenceWatch<T> {
  const watched = new Map<T, { started: boolean; ticks: number }>()

  function tick(): void {
    for (const [who, seen] of watched) {
      seen.ticks++
      if (seen.ticks < (seen.started ? silentTicks : startTicks)) continue
      watched.delete(who)
      onSilent(who, seen.started ? `has been silent for ${silentTicks} s` : `was not ready after ${startTicks} s`)
    }
    clock.after(tickMs, tick)
  }
  clock.after(tickMs, tick)

  return {
    add: (who) => void watched.set(who, { started: false, ticks: 0 }),
    heard(who) {
      if (watched.has(who)) watched.set(who, { started: true, ticks: 0 })
    },
    remove: (who) => void watched.delete(who),
  }
}
