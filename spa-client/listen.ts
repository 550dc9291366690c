import type { Stop } from './browser.ts'

/**
 * Calls `run` at every such event of `target`, if there is one. To be stopped when nobody waits any more: the signal of a
 * caller may live as long as the page, and be given to every call.
 */
export function listen(target: EventTarget | null | undefined, type: string, run: (event: Event) => void): Stop {
  target?.addEventListener(type, run)
  return () => target?.removeEventListener(type, run)
}
