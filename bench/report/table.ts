import type { BenchmarkResult } from '../benchmarks/benchmark.ts'

/** A result as text with aligned columns. */
export function tableText({ title, columns, rows, notes = [] }: BenchmarkResult): string {
  const cells = [columns, ...rows].map((row) => row.map(cellText))
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  return [title, ...lines, ...notes].join('\n')
}

/** The same for a Markdown page. */
export function tableMarkdown({ title, columns, rows, notes = [] }: BenchmarkResult): string {
  const line = (row: readonly (string | number)[]) => `| ${row.map(cellText).join(' | ')} |`
  const rule = `| ${columns.map((_, column) => (column === 0 ? '---' : '---:')).join(' | ')} |`
  return [`### ${title}`, '', line(columns), rule, ...rows.map(line), ...(notes.length > 0 ? ['', ...notes] : [])].join(
    '\n',
  )
}

function cellText(cell: string | number): string {
  if (typeof cell === 'string') return cell
  return Number.isNaN(cell) ? '–' : cell.toLocaleString('en')
}
