import { randomBytes } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { error, type Finding, ok, warning } from './finding.ts'

/** A store, and why it has been lost since it was opened, once for each time. */
export interface WatchedStore {
  readonly store: Store
  readonly losses: readonly string[]
}

/** Whether the store does all that it is there for, and is the right one for as many processes as there are. */
export async function* storeChecks(
  config: Config,
  watched: WatchedStore,
  clock: Pick<Clock, 'nowMs'>,
): AsyncIterable<Finding> {
  if (config.store.kind === 'memory') {
    yield config.operations.workers > 1
      ? warning(
          'store',
          'several workers without a shared store: each refreshes and remembers sign-outs for itself',
          'Set store.kind: valkey.',
        )
      : ok('store', 'memory, right for a single process')
    return
  }
  yield await useFinding(watched, clock)
  if (config.store.url.reveal().startsWith('redis:')) {
    yield warning(
      'store.url',
      'the connection to the store is not encrypted',
      'Use rediss:// unless the network protects it.',
    )
  }
}

/** How long in seconds what is tried here stays in the store. */
const traceSeconds = 10

interface Use {
  readonly does: string
  /** Throws StoreUnavailable where the store says that it does not. */
  readonly works: (store: Store, name: string) => Promise<boolean>
}

/** What the store is there for; the first of these tells whether it can be reached. */
const uses: readonly Use[] = [
  {
    does: 'give back what it took',
    async works(store, name) {
      await store.put(name, 'ok', traceSeconds)
      return (await store.get(name)) === 'ok'
    },
  },
  {
    does: 'lock and release, which keeps two refreshes apart',
    async works(store, name) {
      const lock = await store.acquire(name, traceSeconds * 1000)
      await lock?.release()
      return lock !== undefined
    },
  },
  {
    does: 'count, as rate limits do',
    works: async (store, name) => (await store.count(name, traceSeconds)) > 0,
  },
  {
    does: 'tell others of a session that has ended',
    async works(store, name) {
      await store.end({ kind: 'session', sessionId: name, ttlSeconds: traceSeconds })
      return true
    },
  },
]

const rightsRemedy = 'Give its user the rights that deploy/valkey/rights.acl lists.'

async function useFinding(watched: WatchedStore, clock: Pick<Clock, 'nowMs'>): Promise<Finding> {
  // As a session id is, and of nobody else.
  const name = randomBytes(16).toString('base64url')
  const startedMs = clock.nowMs()
  for (const use of uses) {
    const { works, reason } = await tried(watched, use, name)
    if (!works) return use === uses[0] ? unusable(reason) : unable(use, reason)
  }
  return ok('store', `takes, gives, locks, counts and tells of ended sessions within ${clock.nowMs() - startedMs} ms`)
}

async function tried(
  { store, losses }: WatchedStore,
  { works }: Use,
  name: string,
): Promise<{ readonly works: boolean; readonly reason?: string | undefined }> {
  const before = losses.length
  try {
    const worked = await works(store, name)
    // A refusal does not come out where the store makes up for it later, or where half of a command had its effect before.
    return { works: worked && losses.length === before, reason: losses[before] }
  } catch (failure) {
    if (!(failure instanceof StoreUnavailable)) throw failure
    return { works: false, reason: losses[before] ?? failure.reason ?? 'UNKNOWN' }
  }
}

function unusable(reason: string | undefined): Finding {
  if (reason === undefined) {
    return error(
      'store',
      'does not give back what it took',
      'Is it a cluster without a hash tag, or a read-only replica?',
    )
  }
  return error(
    'store',
    `cannot be used (${reason})`,
    reason === 'NOPERM' ? rightsRemedy : 'Check store.url, the network, user, password and store.ca_file.',
  )
}

function unable({ does }: Use, reason: string | undefined): Finding {
  return error('store', `does not ${does}${reason === undefined ? '' : ` (${reason})`}`, rightsRemedy)
}
