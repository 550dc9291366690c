import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { error, type Finding, ok, warning } from './finding.ts'

/** Whether the store takes and gives, and is the right one for as many processes as there are. */
export async function* storeChecks(config: Config, store: Store, clock: Clock): AsyncIterable<Finding> {
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
  const startedMs = clock.nowMs()
  try {
    await store.put('doctor', 'ok', 10)
    const found = await store.get('doctor')
    yield found === 'ok'
      ? ok('store', `takes and gives within ${clock.nowMs() - startedMs} ms`)
      : error('store', 'does not give back what it took', 'Is it a cluster without a hash tag, or a read-only replica?')
  } catch (failure) {
    if (!(failure instanceof StoreUnavailable)) throw failure
    const { reason } = failure
    yield error(
      'store',
      `cannot be used${reason === undefined ? '' : ` (${reason})`}`,
      'Check store.url, the network, user, password and store.ca_file.',
    )
  }
  if (config.store.url.reveal().startsWith('redis:')) {
    yield warning(
      'store.url',
      'the connection to the store is not encrypted',
      'Use rediss:// unless the network protects it.',
    )
  }
}
