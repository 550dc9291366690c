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
 * The store holds the id of one sealing key. A replica that knows this key writes its own in its place. One that does not
 * know it writes nothing and is not ready, until its own ring has the key or the replica that wrote it is gone.
 *
 * Keys that were removed from its ring still count as known: a replica that seals with one of them is behind, and after a
 * leaked key was removed those that have removed it must stay ready.
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
