import { Session } from 'node:inspector/promises'

/** Tells which inputs reach code that no earlier one reached. */
export interface CoverageGuide {
  /** True when something new was reached since the last question. */
  sawNew(): Promise<boolean>
  /** Blocks of code reached so far. */
  readonly reached: number
  close(): Promise<void>
}

/** Listens to V8's block coverage of the files whose paths end with one of `guides`. */
export async function createCoverageGuide(guides: readonly string[]): Promise<CoverageGuide> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const seen = new Set<string>()
  return {
    async sawNew() {
      const { result } = await session.post('Profiler.takePreciseCoverage')
      const before = seen.size
      for (const script of result) {
        if (!guides.some((guide) => script.url.endsWith(guide))) continue
        for (const { functionName, ranges } of script.functions) {
          for (const range of ranges) {
            // Powers of two, so that a loop taken ten times is new once and not ten times.
            if (range.count > 0) seen.add(`${script.url}:${functionName}:${range.startOffset}:${bucket(range.count)}`)
          }
        }
      }
      return seen.size > before
    },
    get reached() {
      return seen.size
    },
    async close() {
      await session.post('Profiler.stopPreciseCoverage')
      session.disconnect()
    },
  }
}

function bucket(count: number): number {
  return Math.floor(Math.log2(count))
}
