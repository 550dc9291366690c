import { AggregatorRegistry } from 'prom-client'

/** Adds up the metrics of several processes; gauges say themselves how they are to be joined. */
export async function sumMetrics(
  snapshots: readonly object[],
): Promise<{ readonly contentType: string; readonly text: string }> {
  const sum = AggregatorRegistry.aggregate([...snapshots])
  return { contentType: sum.contentType, text: await sum.metrics() }
}
