import type { Clock } from '../shared/clock.ts'
import type { ReadSettings, SettingsSource } from '../shared/config/load.ts'
import type { ReadinessCheck } from '../shared/http/health.ts'
import { serve } from '../shared/http/serve.ts'
import type { Observe } from '../shared/observe/events.ts'
import type { Metrics } from '../shared/observe/metrics.ts'
import type { Config } from '../shared/config/schema.ts'
import { type Applied, followSettings } from './follow-settings.ts'
import { listening } from './listening.ts'
import { openCertificate, listenerCertificates } from './load-certificate.ts'
import { openKeys } from './load-keys.ts'
import { type Mode, createService, listeningPart, openStore } from './parts.ts'
import { watchRing } from './ring-watch.ts'
import { createTelemetry } from './telemetry.ts'

/** What is served, and where its settings come from. */
export interface ServingOptions {
  readonly mode: Mode
  readonly source: SettingsSource
  readonly clock: Clock
  /** Where problems of changed files are reported. */
  readonly say: (text: string) => void
  /** Told of a changed settings file once it is in force. */
  readonly onApplied?: (applied: Applied) => void
  /** Told just before the port is asked for. */
  readonly onListen?: () => void
}

/** Agent or proxy at work in this process, without its operations port. */
export interface Serving {
  readonly config: Config
  readonly port: number
  readonly observe: Observe
  readonly metrics: Metrics
  readonly checks: Readonly<Record<string, ReadinessCheck>>
  /** Reads keys, certificate and settings again, and opens the audit file again. */
  readonly reload: () => void
  /** Ends connections with their next answer; new ones are still taken. */
  retire(): void
  /** Lets what is in flight finish, but not longer than the drain time of the settings. */
  stop(): Promise<void>
}

/** Starts to serve; throws ConfigError for unusable keys or an unusable certificate, and CommandError for a port that cannot be had. */
export async function startServing(
  { mode, source, clock, say, onApplied, onListen }: ServingOptions,
  { text, config }: ReadSettings,
): Promise<Serving> {
  const telemetry = await createTelemetry(config, clock, say)
  const { observe, metrics } = telemetry
  const keys = await openKeys(config, mode, { clock, observe, say })
  const certificate = await openCertificate(config, mode, { clock, observe, say })
  const store = await openStore({ config, clock, observe })
  const service = await createService(mode, { config, keys, store, clock, observe }).catch(async (error: unknown) => {
    await store.close()
    throw error
  })
  metrics.watch({
    storeAvailable: () => store.available,
    keys: () => keys.current(),
    certificates: () => [...listenerCertificates(certificate), ...service.certificates()],
  })
  const settings = followSettings({ source, text, config, apply: service.reconfigure, onApplied, clock, observe, say })
  const ring = watchRing({ keys, store, clock })
  const stopFollowing = (): void => {
    settings.close()
    keys.close()
    certificate?.close()
    ring.close()
  }
  const release = async (): Promise<void> => {
    await service.close()
    await store.close()
    await telemetry.flush()
  }

  const { operations } = config
  onListen?.()
  const server = await listening(`${listeningPart(mode)}.listen`, config, (listen) =>
    serve({
      handler: service,
      listen,
      certificate,
      limits: {
        keepAliveMs: operations.keepAliveSeconds * 1000,
        requestMs: operations.requestTimeoutSeconds * 1000,
      },
      clock,
      observe,
      ...(telemetry.around === undefined ? undefined : { around: telemetry.around }),
    }),
  ).catch(async (error: unknown) => {
    // An open connection to the store would keep the process alive, so that no supervisor starts it again.
    stopFollowing()
    await release()
    throw error
  })
  observe.emit('process.started', { mode, key_id: keys.current().primaryKeyId, port: server.port || undefined })

  return {
    config,
    port: server.port,
    observe,
    metrics,
    checks: { keys: ring.problem },
    reload() {
      telemetry.reopen()
      void keys.reload()
      void certificate?.reload()
      settings.reload()
    },
    retire: () => server.retire(),
    async stop() {
      stopFollowing()
      await server.stop(operations.shutdownDrainSeconds * 1000)
      await release()
    },
  }
}
