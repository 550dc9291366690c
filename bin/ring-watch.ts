import type { Clock } from '../shared/clock.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import type { Store } from '../shared/store/store.ts'

/** A running comparison of key rings. */
export interface RingWatch {
  /** Why this replica should get no requests: a sibling seals with a key that it does not have. */
  readonly problem: () => string | undefined
  close(): void
}

const slot = 'sealing-key'
const everyMs = 5000
const ttlSeconds = 60

/**
 * Compares the key ring with what other replicas seal with, through the shared store (FI-08).
 *
 * Each replica that can open what the last one wrote puts its own sealing key there; one that cannot stays silent and
 * not ready until its ring is read again or the other is gone. A key that was taken out of its ring it knows all the
 * same: whoever still seals with that one is behind, and all that are not must go on when a leaked key is removed.
 */
export function watchRing({
  keys,
  store,
  clock,
}: {
  readonly keys: KeySource
  readonly store: Pick<Store, 'get' | 'put'>
  readonly clock: Pick<Clock, 'after'>
}): RingWatch {
  const everHad = new Set<string>()
  let foreignKey: string | undefined
  let closed = false
  let cancel = clock.after(0, run)

  function run(): void {
    void compare()
      .catch(() => undefined)
      .then(() => {
        if (!closed) cancel = clock.after(everyMs, run)
      })
  }

  async function compare(): Promise<void> {
    const seen = await store.get(slot)
    const ring = keys.current()
    for (const id of ring.keyIds()) everHad.add(id)
    foreignKey = seen === undefined || everHad.has(seen) ? undefined : seen
    if (foreignKey === undefined) await store.put(slot, ring.primaryKeyId, ttlSeconds)
  }

  return {
    problem() {
      if (foreignKey === undefined || keys.current().keyIds().includes(foreignKey)) return undefined
      return `another replica seals with key ${foreignKey}, which this ring lacks`
    },
    close() {
      closed = true
      cancel()
    },
  }
}
