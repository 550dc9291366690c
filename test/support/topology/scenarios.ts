import { startLoad } from './load.ts'
import type { Topology } from './topology.ts'

/** One line of the table. */
export interface Row {
  readonly scenario: string
  readonly seconds: number
  readonly calls: number
  readonly callsPerSecond: number
  readonly expiries: number
  readonly tokenCalls: number
  /** Token calls beyond one per expiry, and refresh tokens that the server refused. */
  readonly extraTokenCalls: number
  readonly lost: number
  /** Orders that the API got more than once, or not although it was confirmed. */
  readonly doubled: number
  readonly serverErrors: number
  readonly askedToWait: number
  readonly wrongUser: number
  readonly signedOut: number
  readonly surprises: string
}

const columns = [
  'scenario',
  'seconds',
  'calls',
  'callsPerSecond',
  'expiries',
  'tokenCalls',
  'lost',
  'doubled',
  'serverErrors',
  'askedToWait',
  'signedOut',
] as const satisfies readonly (keyof Row)[]

/** Runs scenarios under load and keeps what came of them. */
export function createScenarios(size: { browsers: number; tabs: number; paceMs: number }) {
  const rows: Row[] = []

  return {
    async run(
      scenario: string,
      topology: Topology,
      { lock }: { lock: 'none' | 'tabs' },
      happening: () => Promise<unknown>,
    ): Promise<Row> {
      const browsers = await topology.signedIn(size.browsers)
      const before = await topology.provider.ledger()
      const logged = topology.nginx.log().length
      const started = performance.now()
      const load = startLoad({ browsers, tabs: size.tabs, paceMs: size.paceMs, lock })
      try {
        await happening()
      } finally {
        await load.stop()
      }
      const seconds = (performance.now() - started) / 1000
      const after = await topology.provider.ledger()
      const { orders, wrong } = await topology.api.ledger()
      const { tally } = load
      const tokenCalls = after.refreshes - before.refreshes
      const row: Row = {
        scenario,
        seconds: Math.round(seconds),
        calls: tally.calls,
        callsPerSecond: Math.round(tally.calls / seconds),
        expiries: load.expiries(),
        tokenCalls,
        extraTokenCalls: tokenCalls - load.expiries() + after.refusals - before.refusals,
        lost: tally.lost,
        doubled: miscounted(orders, tally.orders),
        serverErrors: tally.serverErrors,
        askedToWait: tally.askedToWait,
        wrongUser: tally.wrongUser + wrong,
        signedOut: tally.signedOut,
        surprises: [...tally.surprises, ...gatewayErrors(topology.nginx.log().slice(logged))]
          .map(([what, times]) => `${times} × ${what}`)
          .join(', '),
      }
      rows.push(row)
      return row
    },
    /** What the run has shown, as a table for people. */
    table(): string {
      const lines = [columns.map(String), ...rows.map((row) => columns.map((column) => String(row[column])))]
      const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)))
      const verdicts = ['verdict', ...rows.map((row) => (isCalm(row) ? 'held' : `BROKEN ${row.surprises}`))]
      return lines
        .map((line, at) => [...line.map((cell, index) => cell.padEnd(widths[index] ?? 0)), verdicts[at]].join('  '))
        .join('\n')
    },
  }
}

function isCalm({ lost, doubled, serverErrors, wrongUser, signedOut }: Row): boolean {
  return lost + doubled + serverErrors + wrongUser + signedOut === 0
}

/** What nginx complained of, without the request, as often as it did. */
function gatewayErrors(log: string): Map<string, number> {
  const errors = new Map<string, number>()
  for (const [, what = ''] of log.matchAll(/\[error\] \S+ \*\d+ ([^,]+)/g))
    errors.set(what, (errors.get(what) ?? 0) + 1)
  return errors
}

/** Orders that came twice, and confirmed ones that did not come. */
function miscounted(came: readonly string[], confirmed: readonly string[]): number {
  const times = new Map<string, number>()
  for (const order of came) times.set(order, (times.get(order) ?? 0) + 1)
  const twice = [...times.values()].filter((count) => count > 1).length
  return twice + confirmed.filter((order) => !times.has(order)).length
}
