import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { ConfigError } from '../shared/config/problem.ts'
import type { Config } from '../shared/config/schema.ts'
import { failureCode } from '../shared/failure-code.ts'
import { requestIdOf } from '../shared/http/request-id.ts'
import { createAudit } from '../shared/observe/audit.ts'
import type { Observe } from '../shared/observe/events.ts'
import { type LineWriter, type LineWriterOptions, createLineWriter } from '../shared/observe/line-writer.ts'
import { createLog } from '../shared/observe/log.ts'
import { type Metrics, createMetrics } from '../shared/observe/metrics.ts'
import { type EventSink, createObserve } from '../shared/observe/observe.ts'
import type { Trace } from '../shared/observe/trace.ts'
import { auditFileProblem } from './start-checks.ts'
import { version } from './version.ts'

/** Everything by which a process can be watched. */
export interface Telemetry {
  readonly observe: Observe
  readonly metrics: Metrics
  /** Runs the work of one request inside its trace; absent when nothing is traced. */
  readonly around?: (request: IncomingMessage, run: () => void) => void
  /** Opens files again after a rotation. */
  reopen(): void
  /** Writes what is still waiting, but not longer than a second: nobody may be reading. */
  flush(): Promise<void>
}

const standardOutput = 1

/** The sinks that the settings ask for; `say` is told of an audit file that cannot be opened again. */
export async function createTelemetry(config: Config, clock: Clock, say: (text: string) => void): Promise<Telemetry> {
  const { logLevel, auditFile } = config.observability
  const metrics = createMetrics({ processMetrics: true })
  const logLines = createLineWriter({ target: standardOutput, clock, onDrop: () => metrics.lineDropped('log') })
  const auditLines =
    auditFile === undefined
      ? undefined
      : openAudit({
          target: auditFile,
          clock,
          onDrop: () => metrics.lineDropped('audit'),
          onNotReopened(error) {
            observe.emit('config.rejected', { part: 'audit_file', problems: 1 })
            const code = failureCode(error) ?? 'unknown'
            say(`The audit file cannot be opened again (${code}), so lines still go to the one that was moved away.`)
          },
        })
  const sinks: EventSink[] = [
    createLog({ level: logLevel, write: logLines.write, withAudit: auditLines === undefined }),
    metrics.sink,
  ]
  if (auditLines !== undefined) sinks.push(createAudit(auditLines.write))
  const trace = await openTrace(config)
  if (trace !== undefined) sinks.push(trace.sink)
  const observe = createObserve({ clock, sinks })
  return {
    observe,
    metrics,
    ...(trace === undefined
      ? undefined
      : {
          around: (request: IncomingMessage, run: () => void) =>
            trace.around(requestIdOf(request), request.rawHeaders, run),
        }),
    reopen: () => auditLines?.reopen(),
    async flush() {
      const written = Promise.allSettled([logLines.flush(), auditLines?.flush(), trace?.close()])
      await Promise.race([written, new Promise<void>((resolve) => clock.after(1000, resolve))])
    },
  }
}

function openAudit(options: LineWriterOptions): LineWriter {
  try {
    return createLineWriter(options)
  } catch {
    throw new ConfigError([auditFileProblem(String(options.target))])
  }
}

/** The tracing library is large, so it is loaded only where traces are wanted. */
async function openTrace({ observability }: Config): Promise<Trace | undefined> {
  const { otlpEndpoint, traceRatio } = observability
  if (otlpEndpoint === undefined) return undefined
  const { createTrace } = await import('../shared/observe/trace.ts')
  const newSpanId = (): string => randomBytes(8).toString('hex')
  return createTrace({ endpoint: otlpEndpoint, ratio: traceRatio, version, newSpanId })
}
