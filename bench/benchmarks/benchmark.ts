import type { Beside } from '../beside.ts'
import type { World } from '../world.ts'

/** How thoroughly to measure. */
export interface Effort {
  readonly rounds: number
  /** How long each peer is under load in each round. */
  readonly seconds: number
  readonly quick: boolean
}

export interface BenchmarkParts {
  readonly world: World
  readonly effort: Effort
  readonly beside: readonly Beside[]
  /** Tells what is going on. */
  say(text: string): void
}

export interface BenchmarkResult {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
  /** Numbers by name, for `reach.ts` and the JSON file. */
  readonly facts: Readonly<Record<string, number>>
  readonly notes?: readonly string[]
  /** For the chart. */
  readonly bars?: readonly Contender[]
}

/** One side of the comparison that is drawn. */
export interface Contender {
  readonly title: string
  readonly own: boolean
  readonly cpuMicroseconds: number
  readonly p99Ms: number
}

/** One thing to measure. */
export interface Benchmark {
  readonly name: string
  run(bench: BenchmarkParts): Promise<BenchmarkResult>
}

/** Three significant digits, which is more than such a measurement can mean. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}
