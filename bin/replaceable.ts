import type { Cancel, Clock } from '../shared/clock.ts'

/** What can be put aside while it still has work. */
export interface Retirable {
  endStreams(): void
  /** Lets go of everything once its work is done; resolves then. */
  finish(): Promise<void>
  /** Cuts what still runs. */
  close(): Promise<void>
}

/** What is in use now, and what was in use before and still has work. */
export interface Replaceable<T> {
  current(): T
  /** Puts `next` in place; the old one ends its streams after the drain time, and finishes the rest however long it takes. */
  replace(next: T): void
  /** Ends the streams of the current one and of all that are not closed yet: each was opened under one of them. */
  endStreams(): void
  /** Closes the current one and all that are not closed yet. */
  close(): Promise<void>
}

/** Something that a reload replaces as a whole, without cutting what still runs under the old one. */
export function replaceable<T extends Retirable>(
  first: T,
  { clock, drainMs }: { readonly clock: Pick<Clock, 'after'>; readonly drainMs: number },
): Replaceable<T> {
  let current = first
  const retired = new Map<T, Cancel>()
  return {
    current: () => current,
    replace(next) {
      const old = current
      current = next
      const retire = (): void => {
        old.endStreams()
        retired.set(old, () => undefined)
        void old.finish().then(() => retired.delete(old))
      }
      retired.set(old, clock.after(drainMs, retire))
    },
    endStreams() {
      for (const each of [current, ...retired.keys()]) each.endStreams()
    },
    async close() {
      for (const cancel of retired.values()) cancel()
      await Promise.all([current, ...retired.keys()].map((each) => each.close()))
      retired.clear()
    },
  }
}
