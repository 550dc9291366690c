import type { Cancel, Clock } from '../shared/clock.ts'

/** What can be put aside while it still has work. */
export interface Retirable<T> {
  endStreams(): void
  /** Ends what would go on for ever although none of these has a place for it any more. */
  giveWay(others: readonly T[]): void
  beforeCut(): void
  /** Lets go of everything once its work is done; resolves then. */
  finish(): Promise<void>
  /** Cuts what still runs. */
  close(): Promise<void>
}

/** What is in use now, and what was in use before and still has work. */
export interface Replaceable<T> {
  current(): T
  /**
   * Puts `next` in place; after the drain time the old one ends its streams and gives way to those after it, as do those
   * before it, and finishes the rest however long it takes.
   */
  replace(next: T): void
  /** Ends the streams of the current one, of all that are not closed yet, each opened under one of them, and of any later. */
  endStreams(): void
  /** Tells the current one, and all that are not closed yet, that what they still do is cut. */
  beforeCut(): void
  /** Closes the current one and all that are not closed yet. */
  close(): Promise<void>
}

/** Something that a reload replaces as a whole, without cutting what still runs under the old one. */
export function replaceable<T extends Retirable<T>>(
  first: T,
  { clock, drainMs }: { readonly clock: Pick<Clock, 'after'>; readonly drainMs: number },
): Replaceable<T> {
  let current = first
  let haveStreamsEnded = false
  /** Each with what cancels the end of its drain time, if that is still to come. */
  const retired = new Map<T, Cancel | undefined>()
  const stillDraining = () => [...retired].flatMap(([each, drain]) => (drain === undefined ? [] : [each]))
  return {
    current: () => current,
    replace(next) {
      const old = current
      current = next
      // A reload that was under way when the stop began.
      if (haveStreamsEnded) next.endStreams()
      const retire = (): void => {
        old.endStreams()
        retired.set(old, undefined)
        // What only a later replacement took away has until the drain time of that one is over.
        const others = [current, ...stillDraining()]
        for (const [each, drain] of retired) if (drain === undefined) each.giveWay(others)
        void old.finish().then(() => retired.delete(old))
      }
      retired.set(old, clock.after(drainMs, retire))
    },
    endStreams() {
      haveStreamsEnded = true
      for (const each of [current, ...retired.keys()]) each.endStreams()
    },
    beforeCut() {
      for (const each of [current, ...retired.keys()]) each.beforeCut()
    },
    async close() {
      for (const cancel of retired.values()) cancel?.()
      await Promise.all([current, ...retired.keys()].map((each) => each.close()))
      retired.clear()
    },
  }
}
