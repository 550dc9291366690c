import AggregatorRegistry from 'prom-client/lib/cluster.js'
import Gauge from 'prom-client/lib/gauge.js'
import { processMetricTable } from './metric-table.ts'

/** How many processes there should be, and how many of them are ready. */
export interface WorkerCounts {
  readonly asked: number
  readonly ready: number
}

/** Adds up the metrics of several processes and counts these; gauges say themselves how they are to be joined. */
export async function sumMetrics(
  snapshots: readonly object[],
  { asked, ready }: WorkerCounts,
): Promise<{ readonly contentType: string; readonly text: string }> {
  const sum = AggregatorRegistry.aggregate([...snapshots])
  const count = (name: 'token_handler_workers' | 'token_handler_workers_ready', value: number): void =>
    new Gauge({ name, help: processMetricTable[name].help, registers: [sum] }).set(value)
  count('token_handler_workers', asked)
  count('token_handler_workers_ready', ready)
  return { contentType: sum.contentType, text: await sum.metrics() }
}

const counted: ReadonlySet<string> = new Set(['counter', 'histogram'])

/** What only grows in the metrics of several processes, added up as one snapshot; readings of the moment are left out. */
export function countsOf(snapshots: readonly object[]): object {
  const metrics = AggregatorRegistry.aggregate([...snapshots]).getMetricsAsArray()
  return metrics.filter(({ type }) => counted.has(String(type)))
}
