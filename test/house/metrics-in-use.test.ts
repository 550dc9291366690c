import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { errorTable } from '../../shared/error-table.ts'
import { type MetricRow, metricTable, processMetricTable } from '../../shared/observe/metric-table.ts'
import { read } from './source-files.ts'

/** Labels by metric, histograms under the names of their parts. */
const known = new Map<string, readonly string[]>([
  ...Object.entries<MetricRow>(metricTable).flatMap(
    ([name, { labels, milliseconds }]): [string, readonly string[]][] =>
      milliseconds === undefined
        ? [[name, labels]]
        : ['_bucket', '_sum', '_count'].map((part) => [`${name}${part}`, [...labels, 'le']]),
  ),
  ...Object.entries(processMetricTable).map(([name, { labels }]): [string, readonly string[]] => [name, labels]),
])
/** Labels that Prometheus adds. */
const always = ['job', 'instance']

interface Alerts {
  readonly groups: readonly { readonly rules: readonly Rule[] }[]
}
interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}
interface Dashboard {
  readonly panels: readonly {
    readonly id: number
    readonly title: string
    readonly targets?: readonly { readonly expr: string }[]
  }[]
}

const rules = (parse(read('deploy/prometheus/alerts.yaml')) as Alerts).groups.flatMap((group) => group.rules)
const { panels } = JSON.parse(read('deploy/grafana/dashboard.json')) as Dashboard
const queries = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
]

describe('dashboard and alerts use metrics that there are', () => {
  it.each(queries)('%s: %s', (_, query) => {
    const metrics = [...query.matchAll(/\btoken_handler_[a-z_]+/g)].map(String)
    expect(metrics.filter((name) => !known.has(name))).toEqual([])
    const labels = metrics.flatMap((name) => known.get(name) ?? [])
    for (const [, list] of query.matchAll(/\b(?:by|on|group_left) \(([^)]*)\)/g)) {
      for (const label of (list ?? '').split(', ').filter(Boolean)) {
        expect(metrics.length === 0 ? always : [...labels, ...always], label).toContain(label)
      }
    }
    for (const [, metric, matchers] of query.matchAll(/\b(token_handler_[a-z_]+)\{([^}]*)\}/g)) {
      for (const [, label] of (matchers ?? '').matchAll(/(\w+)(?:=~|!~|!=|=)"/g)) {
        expect([...(known.get(metric ?? '') ?? []), ...always], `${metric}: ${label}`).toContain(label)
      }
    }
  })
  it('and error codes that there are', () => {
    const codes = queries.flatMap(([, query]) => [...query.matchAll(/error_code="([^"]+)"/g)].map((match) => match[1]))
    expect(codes.length).toBeGreaterThan(0)
    for (const code of codes) expect(Object.keys(errorTable)).toContain(code)
  })
})

it('every metric is on the dashboard', () => {
  const shown = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join('\n')
  const elsewhere = [
    'token_handler_config_reloads_total',
    'token_handler_credentials_obtained_total',
    'token_handler_streams_closed_total',
  ]
  const missing = [...Object.keys(metricTable), ...Object.keys(processMetricTable)].filter(
    (name) => !shown.includes(name),
  )
  expect(missing.toSorted()).toEqual(elsewhere)
})

it('every alert says how bad it is and what to do', () => {
  for (const { alert, labels, annotations } of rules) {
    expect(['critical', 'warning'], alert).toContain(labels.severity)
    expect(annotations.description.length, alert).toBeGreaterThan(20)
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
})

it('no two panels share an id', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
})
