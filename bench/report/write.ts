import { readFileSync, writeFileSync } from 'node:fs'
import type { BenchmarkResult } from '../benchmarks/benchmark.ts'
import type { Verdict } from '../reach.ts'
import { chart } from './chart.ts'
import { tableMarkdown } from './table.ts'

export interface Report {
  readonly machine: readonly string[]
  readonly results: Readonly<Record<string, BenchmarkResult>>
  readonly lines: readonly Verdict[]
}

const place = (name: string) => new URL(`../${name}`, import.meta.url)
const begin = '<!-- result -->'
const end = '<!-- end of result -->'

/** Writes the result for machines, for eyes, and into the page that explains it. */
export function writeReport(report: Report): void {
  const { machine, results, lines } = report
  const measuredAt = new Date().toISOString().slice(0, 10)
  writeFileSync(place('results.json'), `${JSON.stringify({ measuredAt, machine, results, lines }, null, 2)}\n`)
  const proxies = results['proxies']
  if (proxies !== undefined) writeFileSync(place('chart.svg'), chart(proxies))
  const page = readFileSync(place('README.md'), 'utf8')
  const before = page.slice(0, page.indexOf(begin) + begin.length)
  const after = page.slice(page.indexOf(end))
  writeFileSync(place('README.md'), `${before}\n\n${markdown(report, measuredAt)}\n\n${after}`)
}

function markdown({ machine, results, lines }: Report, measuredAt: string): string {
  const rows = lines.map(({ what, reach, measured, parts, verdict }) => [what, reach, measured, parts, verdict])
  const reached = {
    title: 'Targets',
    columns: ['what', 'reach', 'measured', 'parts alone', 'verdict'],
    rows,
    facts: {},
  }
  return [
    `Measured on ${measuredAt}: ${machine.join('; ')}.`,
    tableMarkdown(reached),
    ...Object.values(results).map(tableMarkdown),
  ].join('\n\n')
}
