import type { Clock } from '../shared/clock.ts'
import type { ReadSettings } from '../shared/config/load.ts'
import { createHealth } from '../shared/http/health.ts'
import { serve } from '../shared/http/serve.ts'
import { listening } from './listening.ts'
import { type ServingOptions, startServing } from './serving.ts'

/** A process at work: one that serves by itself, or the primary of several workers. */
export interface RunningProcess {
  readonly port: number
  readonly operationsPort: number
  readonly publicOrigin: string
  reload(): void
  /** Not ready, a while for load balancers to notice, then no new requests and the end. */
  stop(signal: string): Promise<void>
}

/** Serves in this process alone, with its operations port. */
export async function startSingle(options: ServingOptions, settings: ReadSettings): Promise<RunningProcess> {
  const { clock } = options
  const serving = await startServing(options, settings)
  const { config, observe, metrics, checks } = serving
  const health = createHealth({
    checks,
    ...(config.observability.metrics ? { metrics: () => metrics.render() } : undefined),
  })
  const operations = await listening('operations.listen', config, (listen) =>
    serve({ handler: health, listen, clock, observe }),
  ).catch(async (error: unknown) => {
    await serving.stop()
    throw error
  })
  return {
    port: serving.port,
    operationsPort: operations.port,
    publicOrigin: config.publicOrigin,
    reload: serving.reload,
    async stop(signal) {
      observe.emit('process.stopping', { signal })
      health.stopping()
      serving.retire()
      await pause(clock, config.operations.shutdownWaitSeconds)
      await serving.stop()
      await operations.stop(0)
    },
  }
}

/** Resolves after `seconds`. */
export function pause(clock: Pick<Clock, 'after'>, seconds: number): Promise<void> {
  return new Promise((resolve) => clock.after(seconds * 1000, resolve))
}
