import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import { fixedKeys } from '../shared/crypto/key-ring.ts'
import { createHealth } from '../shared/http/health.ts'
import { type RunningServer, serve } from '../shared/http/serve.ts'
import { CommandError } from './failure.ts'
import { loadKeys } from './load-keys.ts'
import { type Mode, createHandler, openStore } from './parts.ts'
import { createTelemetry } from './telemetry.ts'

export interface StartOptions {
  readonly mode: Mode
  readonly config: Config
  readonly clock: Clock
}

export interface RunningProcess {
  readonly port: number
  readonly operationsPort: number
  /** Not ready, then no new connections, then what is in flight ends; resolves when all is closed. */
  stop(signal: string): Promise<void>
  reload(): void
}

/** Starts one process; throws ConfigError for unusable keys and CommandError for a port that cannot be had. */
export async function startProcess({ mode, config, clock }: StartOptions): Promise<RunningProcess> {
  const ring = loadKeys(config.keys.file, mode)
  const telemetry = createTelemetry(config, clock)
  const { observe, metrics } = telemetry
  const keys = fixedKeys(ring)
  const store = await openStore({ config, clock, observe })
  metrics.watch({ storeAvailable: () => store.available, keyId: () => keys.current().primaryKeyId })
  const handler = await createHandler(mode, { config, keys, store, clock, observe })

  const health = createHealth({
    checks: {},
    ...(config.observability.metrics ? { metrics: () => metrics.render() } : undefined),
  })
  const { operations } = config
  const operationsServer = await listen('operations.listen', operations.listen, () =>
    serve({ handler: health, listen: operations.listen, clock, observe }),
  )
  const place = mode === 'agent' ? 'agent.listen' : 'proxy.listen'
  const address = mode === 'agent' ? config.agent.listen : config.proxy.listen
  const limits = {
    keepAliveMs: operations.keepAliveSeconds * 1000,
    requestMs: operations.requestTimeoutSeconds * 1000,
  }
  const server = await listen(place, address, () => serve({ handler, listen: address, limits, clock, observe })).catch(
    async (error: unknown) => {
      await operationsServer.stop(0)
      throw error
    },
  )
  observe.emit('process.started', { mode, key_id: keys.current().primaryKeyId, port: server.port })

  return {
    port: server.port,
    operationsPort: operationsServer.port,
    async stop(signal) {
      observe.emit('process.stopping', { signal })
      health.stopping()
      await new Promise<void>((resolve) => clock.after(operations.shutdownWaitSeconds * 1000, resolve))
      await server.stop(operations.shutdownDrainSeconds * 1000)
      await handler.close()
      await store.close()
      await operationsServer.stop(0)
      await telemetry.flush()
    },
    reload() {
      telemetry.reopen()
    },
  }
}

/** Says a port that cannot be had in plain words. */
async function listen(
  setting: string,
  { host, port }: { host: string; port: number },
  start: () => Promise<RunningServer>,
): Promise<RunningServer> {
  try {
    return await start()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const place = `${host}:${port}`
    if (code === 'EADDRINUSE') {
      throw new CommandError(`Port ${port} on ${host} is in use. Stop what uses it, or change ${setting}.port.`)
    }
    if (code === 'EACCES') {
      throw new CommandError(`This user may not listen on ${place}. Choose a port above 1023 as ${setting}.port.`)
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new CommandError(`${host} is not an address of this machine. Change ${setting}.host.`)
    }
    throw error
  }
}
