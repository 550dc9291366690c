import type { Clock } from '../../shared/clock.ts'
import { type Lock, type Store, StoreUnavailable } from '../../shared/store/store.ts'

/** How long a request waits for another that does the same. */
export const longestWaitMs = 3000
const pollMs = 50

/** The turn of a request: the lock, or `no lock` while the shared store is away and each replica is on its own. */
export type Turn = Lock | 'no lock'

/**
 * Waits until this request may do what others must not do at the same time, or until it need not be done any more.
 *
 * `found` looks for what another has left behind. Undefined when `longestWaitMs` have passed without either.
 */
export async function takeTurn<T>(
  { store, clock }: { readonly store: Pick<Store, 'acquire'>; readonly clock: Clock },
  { key, holdMs, found }: { key: string; holdMs: number; found: () => Promise<T | undefined> },
): Promise<{ readonly found: T } | { readonly turn: Turn } | undefined> {
  const waitUntilMs = clock.nowMs() + longestWaitMs
  for (;;) {
    const earlier = await found()
    if (earlier !== undefined) return { found: earlier }
    const turn = await store.acquire(key, holdMs).catch((error: unknown) => {
      ignoreUnavailable(error)
      return 'no lock' as const
    })
    if (turn !== undefined) return { turn }
    if (clock.nowMs() >= waitUntilMs) return undefined
    await new Promise<void>((resolve) => {
      clock.after(pollMs, resolve)
    })
  }
}

/** Ends a turn; a lock that cannot be given back ends by itself. */
export async function endTurn(turn: Turn): Promise<void> {
  if (turn !== 'no lock') await turn.release().catch(() => {})
}

/** Nothing for a store that is away; throws any other failure. */
export function ignoreUnavailable(error: unknown): undefined {
  if (!(error instanceof StoreUnavailable)) throw error
  return undefined
}
