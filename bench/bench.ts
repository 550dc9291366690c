/** Measures this software beside its peers: `npm run bench -- --help`. */
import { parseArgs } from 'node:util'
import { readBeside } from './beside.ts'
import { agent } from './benchmarks/agent.ts'
import { bodies } from './benchmarks/bodies.ts'
import { coldStart } from './benchmarks/cold-start.ts'
import { cookie } from './benchmarks/cookie.ts'
import type { Effort, Benchmark, BenchmarkResult } from './benchmarks/benchmark.ts'
import { proxies } from './benchmarks/proxies.ts'
import { sessions } from './benchmarks/sessions.ts'
import { streams } from './benchmarks/streams.ts'
import { workers } from './benchmarks/workers.ts'
import { accepts } from './machine/process.ts'
import { verdicts } from './reach.ts'
import { describeMachine } from './report/machine.ts'
import { tableText } from './report/table.ts'
import { writeReport } from './report/write.ts'
import { createWorld, ports } from './world.ts'

const benchmarks: readonly Benchmark[] = [proxies, cookie, agent, bodies, streams, coldStart, sessions, workers]

const usage = `npm run bench -- [options]

  --check        print every line of the targets with reach, measured value and verdict; fails if one is missed
  --quick        short rounds, for a first look
  --only <name>  one or more of: ${benchmarks.map(({ name }) => name).join(', ')}
  --rounds <n>   rounds of each comparison
  --beside <f>   JSON file of servers started by hand that take part, see bench/README.md
  --write        also write bench/results.json, bench/chart.svg and the result in bench/README.md
`

const { values: options } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string' },
    beside: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (options.help) {
  console.log(usage)
  process.exit(0)
}

const effort: Effort = {
  quick: options.quick,
  seconds: options.quick ? 1 : 3,
  rounds: Number(options.rounds ?? (options.quick ? 3 : 7)),
}
const chosen = benchmarks.filter(({ name }) => options.only.length === 0 || options.only.includes(name))
if (chosen.length === 0) {
  console.error(usage)
  process.exit(64)
}

for (const port of Object.values(ports)) {
  // The answers of a stranger would be taken for those of a server that this run starts.
  if (!(await accepts(port))) continue
  console.error(`Something listens on port ${port} already. End it, then run this again.`)
  process.exit(69)
}

// A dozen servers run at the same time, each with a listener that ends it.
process.setMaxListeners(100)
// npm passes on what the terminal has sent already; a second signal must not end this before its servers.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

const beside = readBeside(options.beside)
const machine = describeMachine()
console.log(machine.join('\n'))
const world = createWorld()
process.once('exit', () => world.remove())
const results: Record<string, BenchmarkResult> = {}
let broken = false
for (const benchmark of chosen) {
  console.log(`\n${benchmark.name}`)
  try {
    const result = await benchmark.run({ world, effort, beside, say: (text) => console.log(`  ${text}`) })
    results[benchmark.name] = result
    console.log(`\n${tableText(result)}`)
  } catch (error) {
    broken = true
    console.error(`  failed: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const lines = verdicts(Object.assign({}, ...Object.values(results).map(({ facts }) => facts)) as Record<string, number>)
if (options.check) {
  for (const { what, reach, measured, parts, verdict } of lines)
    console.log(`${verdict.padEnd(12)} ${what}: ${measured} (reach ${reach}; parts alone ${parts})`)
}
if (options.write) writeReport({ machine, results, lines })
const missed =
  options.check &&
  lines.some(({ verdict }) => verdict === 'missed' || (verdict === 'not measured' && options.only.length === 0))
process.exitCode = broken || missed ? 1 : 0
