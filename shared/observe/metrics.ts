// The index of the package loads its client for push gateways as well, and with that HTTPS and compression.
import type { HistogramConfiguration } from 'prom-client'
import Counter from 'prom-client/lib/counter.js'
import collectDefaultMetrics from 'prom-client/lib/defaultMetrics.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'
import type { KeyRing } from '../crypto/key-ring.ts'
import type { EventName } from './events.ts'
import { type MetricRow, metricTable, processMetricTable } from './metric-table.ts'
import type { ObservedEvent, EventSink } from './observe.ts'

/** A file of certificates in use, with which a process proves itself or judges who proves themselves to it. */
export interface CertificateInUse {
  readonly file: 'certificate' | 'client_ca'
  /** Whom a certificate is shown to; for authorities, who shows theirs. */
  readonly shownTo: 'gateway' | 'authorization_server' | 'api'
  /** Path of the route whose API it is shown to. */
  readonly route?: string
  /** When the first certificate of the file expires, in seconds since 1970. */
  readonly expiresAtSeconds: number
}

/** The metrics of one process. */
export interface Metrics {
  readonly sink: EventSink
  /** Everything in the Prometheus text format. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>
  /** Everything as plain data, for a primary process that adds up its workers. */
  snapshot(): Promise<object>
  /** Counts a line that a log or audit writer had to drop. */
  lineDropped(stream: 'log' | 'audit'): void
  /** Says which readings of the moment to take at each rendering. */
  watch(state: {
    readonly storeAvailable: () => boolean
    readonly keys: () => Pick<KeyRing, 'primaryKeyId' | 'keyIds'>
    readonly certificates: () => readonly CertificateInUse[]
  }): void
}

/** From a fast cookie check to a slow API. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const bucketsMs = buckets.map((seconds) => seconds * 1000)

/** Events as Prometheus counters and histograms, in a registry of their own. */
export function createMetrics(options: { readonly processMetrics: boolean }): Metrics {
  const register = new Registry()
  const registers = [register]
  if (options.processMetrics) collectDefaultMetrics({ register })
  const meters = new Map<EventName, ((event: ObservedEvent) => void)[]>()
  for (const [name, row] of Object.entries<MetricRow>(metricTable)) {
    const meter = row.milliseconds === undefined ? counter(name, row, registers) : histogram(name, row, registers)
    meters.set(row.event, [...(meters.get(row.event) ?? []), meter])
  }
  const dropped = new Counter({
    name: 'token_handler_lines_dropped_total',
    help: processMetricTable.token_handler_lines_dropped_total.help,
    labelNames: ['stream'],
    registers,
  })

  return {
    sink(event) {
      for (const meter of meters.get(event.name) ?? []) meter(event)
    },
    render: async () => ({ contentType: register.contentType, text: await register.metrics() }),
    snapshot: () => register.getMetricsAsJSON(),
    lineDropped: (stream) => dropped.inc({ stream }),
    watch({ storeAvailable, keys, certificates }) {
      new Gauge({
        name: 'token_handler_store_available',
        help: processMetricTable.token_handler_store_available.help,
        aggregator: 'min',
        registers,
        collect() {
          this.set(storeAvailable() ? 1 : 0)
        },
      })
      new Gauge({
        name: 'token_handler_key_info',
        help: processMetricTable.token_handler_key_info.help,
        aggregator: 'max',
        labelNames: ['key_id', 'seals'],
        registers,
        collect() {
          this.reset()
          const { primaryKeyId, keyIds } = keys()
          for (const id of keyIds()) this.set({ key_id: id, seals: String(id === primaryKeyId) }, 1)
        },
      })
      new Gauge({
        name: 'token_handler_certificate_expiry_timestamp_seconds',
        help: processMetricTable.token_handler_certificate_expiry_timestamp_seconds.help,
        aggregator: 'min',
        labelNames: ['file', 'shown_to', 'route'],
        registers,
        collect() {
          this.reset()
          // Routes of one path differ in their methods and perhaps in their certificates; what expires first is set last.
          const latestFirst = certificates().toSorted((one, two) => two.expiresAtSeconds - one.expiresAtSeconds)
          for (const { file, shownTo, route = '', expiresAtSeconds } of latestFirst) {
            this.set({ file, shown_to: shownTo, route }, expiresAtSeconds)
          }
        },
      })
    },
  }
}

/** Counts in plain numbers that the library gets when it is read, since its own counting looks labels up each time. */
function counter(name: string, row: MetricRow, registers: Registry[]): (event: ObservedEvent) => void {
  const tallies: { readonly labels: Record<string, string>; count: number }[] = []
  new Counter({
    name,
    help: row.help,
    labelNames: [...row.labels],
    registers,
    collect() {
      for (const tally of tallies) {
        if (tally.count > 0) this.inc(tally.labels, tally.count)
        tally.count = 0
      }
    },
  })
  const tallyOf = remembered((labels) => {
    const tally = { labels, count: 0 }
    tallies.push(tally)
    return tally
  }, row.labels)
  const { only } = row
  return (event) => {
    if (only === undefined || event.given[only] !== undefined) tallyOf(event).count++
  }
}

/** The durations of one label set: how many fell into each bucket, and last, above all of them. */
interface Durations {
  readonly labels: Record<string, string>
  readonly counts: number[]
  sumMs: number
}

/** As `counter`; the library has no way to take over whole buckets, so it is given the finished samples. */
function histogram(name: string, row: MetricRow, registers: Registry[]): (event: ObservedEvent) => void {
  const all: Durations[] = []
  new CountedHistogram({ name, help: row.help, labelNames: [...row.labels], buckets, registers }, all)
  const durationsOf = remembered((labels) => {
    const durations = { labels, counts: Array<number>(buckets.length + 1).fill(0), sumMs: 0 }
    all.push(durations)
    return durations
  }, row.labels)
  return (event) => {
    const milliseconds = event.given[row.milliseconds ?? '']
    if (typeof milliseconds !== 'number' || !Number.isFinite(milliseconds)) return
    const durations = durationsOf(event)
    durations.sumMs += milliseconds
    let at = 0
    while (at < bucketsMs.length && milliseconds > (bucketsMs[at] ?? 0)) at++
    durations.counts[at] = (durations.counts[at] ?? 0) + 1
  }
}

/** A histogram whose durations are counted elsewhere. */
class CountedHistogram extends Histogram {
  readonly #facts: object
  readonly #samples: () => readonly object[]

  constructor(configuration: HistogramConfiguration<string>, all: readonly Durations[]) {
    super(configuration)
    const { name, help } = configuration
    this.#facts = { name, help, type: 'histogram', aggregator: 'sum' }
    this.#samples = () => all.flatMap((each) => samples(name, each))
  }

  /** What the library makes of a histogram before it writes it, as text or JSON; its types do not mention it. */
  getForPromString(): Promise<object> {
    return Promise.resolve({ ...this.#facts, values: this.#samples() })
  }
}

/** What Prometheus reads of a histogram: each bucket with everything below it, then sum and count. */
function samples(name: string, { labels: sharedLabels, counts, sumMs }: Durations): readonly object[] {
  let total = 0
  const cumulated = counts.map((count, index) => {
    total += count
    return { metricName: `${name}_bucket`, labels: { le: buckets[index] ?? '+Inf' }, sharedLabels, value: total }
  })
  return [
    ...cumulated,
    { metricName: `${name}_sum`, labels: {}, sharedLabels, value: sumMs / 1000 },
    { metricName: `${name}_count`, labels: {}, sharedLabels, value: total },
  ]
}

/** The time series of label sets that agree in their first labels, by the value of the next one. */
interface Branch<T> {
  readonly next: Map<unknown, Branch<T>>
  series: T | undefined
}

/**
 * Finding the time series of a label set costs more than counting in it, so each is looked up once.
 *
 * A branch exists only for a value that has passed the check of its field, so a value with a branch needs no other.
 */
function remembered<T>(
  make: (labels: Record<string, string>) => T,
  names: readonly string[],
): (event: ObservedEvent) => T {
  const root: Branch<T> = { next: new Map(), series: undefined }
  return (event) => {
    let at = root
    for (const name of names) at = at.next.get(event.given[name]) ?? grown(at, event.fields[name])
    return (at.series ??= make(Object.fromEntries(names.map((name) => [name, String(event.fields[name] ?? '')]))))
  }
}

/** The branch of a checked value. */
function grown<T>({ next }: Branch<T>, value: unknown): Branch<T> {
  const known = next.get(value)
  if (known !== undefined) return known
  const made: Branch<T> = { next: new Map(), series: undefined }
  next.set(value, made)
  return made
}
