import type { Stop } from './browser.ts'

/**
 * Calls `run` when the caller aborts. To be stopped when nobody waits any more: a signal may live as long as the page, and
 * be given to every call.
 */
export function onAbort(signal: AbortSignal | null | undefined, run: () => void): Stop {
  signal?.addEventListener('abort', run)
  return () => signal?.removeEventListener('abort', run)
}
