import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import { createAudit } from '../shared/observe/audit.ts'
import type { Observe } from '../shared/observe/events.ts'
import { createLineWriter } from '../shared/observe/line-writer.ts'
import { createLog } from '../shared/observe/log.ts'
import { type Metrics, createMetrics } from '../shared/observe/metrics.ts'
import { type Reading, createObserve } from '../shared/observe/observe.ts'

export interface Telemetry {
  readonly observe: Observe
  readonly metrics: Metrics
  /** Opens files again after a rotation. */
  reopen(): void
  /** Writes what is still waiting, but not longer than a second: nobody may be reading. */
  flush(): Promise<void>
}

const standardOutput = 1

/** The readings that the settings ask for. */
export function createTelemetry(config: Config, clock: Clock): Telemetry {
  const { logLevel, auditFile } = config.observability
  const metrics = createMetrics({ processMetrics: true })
  const logLines = createLineWriter({ target: standardOutput, onDrop: () => metrics.lineDropped('log') })
  const auditLines =
    auditFile === undefined
      ? undefined
      : createLineWriter({ target: auditFile, onDrop: () => metrics.lineDropped('audit') })
  const readings: Reading[] = [
    createLog({ level: logLevel, write: logLines.write, withAudit: auditLines === undefined }),
    metrics.read,
  ]
  if (auditLines !== undefined) readings.push(createAudit(auditLines.write))
  return {
    observe: createObserve({ clock, readings }),
    metrics,
    reopen: () => auditLines?.reopen(),
    async flush() {
      const written = Promise.all([logLines.flush(), auditLines?.flush()])
      await Promise.race([written, new Promise<void>((resolve) => clock.after(1000, resolve))])
    },
  }
}
