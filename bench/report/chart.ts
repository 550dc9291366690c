import type { Contender, BenchmarkResult } from '../benchmarks/benchmark.ts'

interface Bar {
  readonly title: string
  readonly value: number
  readonly own: boolean
}

const width = 960
const labelWidth = 370
const barHeight = 22
const rowHeight = 34
const ours = '#0b6e4f'
const theirs = '#9aa5b1'
const ink = '#1f2933'
const faint = '#52606d'

/** Bars of CPU per request and of latency, the project's own in colour. */
export function chart({ bars = [] }: BenchmarkResult): string {
  const panels = [
    { heading: 'CPU per request, µs', of: (bar: Contender) => bar.cpuMicroseconds },
    { heading: 'p99 at 1,000 requests a second, ms', of: (bar: Contender) => bar.p99Ms },
  ]
  let top = 20
  const drawn = panels.map(({ heading, of }) => {
    const each = bars.map((bar) => ({ title: bar.title, own: bar.own, value: of(bar) }))
    const text = panel(
      heading,
      each.toSorted((a, b) => a.value - b.value),
      top,
    )
    top += 70 + each.length * rowHeight
    return text
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top + 24}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif">
<rect width="100%" height="100%" rx="10" fill="#ffffff"/>
${drawn.join('\n')}
<g font-size="13" fill="${faint}">
<rect x="24" y="${top - 8}" width="12" height="12" rx="2" fill="${ours}"/><text x="42" y="${top + 3}">Token Handler</text>
<rect x="160" y="${top - 8}" width="12" height="12" rx="2" fill="${theirs}"/><text x="178" y="${top + 3}">peers; less is better everywhere</text>
</g>
</svg>
`
}

/** One heading with its bars, the shortest first. */
function panel(heading: string, bars: readonly Bar[], top: number): string {
  const room = width - labelWidth - 110
  const longest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const rows = bars.map(({ title, value, own }, index) => {
    const y = top + 46 + index * rowHeight
    const length = Math.max(2, (value / longest) * room)
    const weight = own ? '600' : '400'
    return `<text x="${labelWidth - 12}" y="${y + 16}" text-anchor="end" font-weight="${weight}">${escaped(title)}</text><rect x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="3" fill="${own ? ours : theirs}"/><text x="${(labelWidth + length + 8).toFixed(1)}" y="${y + 16}" font-weight="${weight}">${figure(value)}</text>`
  })
  return `<text x="24" y="${top + 24}" font-size="17" font-weight="600" fill="${ink}">${heading}</text>
<g font-size="13" fill="${ink}">
${rows.join('\n')}
</g>`
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString()
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
