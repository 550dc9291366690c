import { fileURLToPath } from 'node:url'
import { type Contestant, contest, type LineUp } from '../machine/contest.ts'
import { listening, start } from '../machine/process.ts'
import { startProgram } from '../machine/program.ts'
import { takingTurns } from '../machine/turns.ts'
import type { LoadTarget } from '../machine/wrk.ts'
import { createWorld, ports, type World } from '../world.ts'
import { type BenchmarkParts, type Benchmark, type BenchmarkResult, rounded } from './benchmark.ts'

const provider = fileURLToPath(new URL('../peers/servers/authorization-server.ts', import.meta.url))

interface Entry extends Contestant {
  readonly title: string
}

/** More than one start of the agent can refresh in its rounds. */
const browserCount = 30_000

/** The agent: who is signed in, and refreshes against an authorization server that answers at once. */
export const agent: Benchmark = {
  name: 'agent',
  async run(bench) {
    // The issuer is part of what cookies are sealed for, so this has a world of its own.
    const world = createWorld({ issuer: `http://127.0.0.1:${ports.provider}`, publicOrigin: 'http://localhost' })
    const authorizationServer = start(process.execPath, [provider, String(ports.provider)], { core: 'load' })
    try {
      await listening(ports.provider, authorizationServer)
      return await measure(world, bench)
    } finally {
      await authorizationServer.stop()
      world.remove()
    }
  },
}

/** Starts the agent, which has then heard of no refresh. */
async function enter(
  world: World,
  targets: ReadonlyMap<string, { readonly title: string; readonly target: LoadTarget }>,
  { beside }: BenchmarkParts,
): Promise<LineUp<Entry>> {
  const started = startProgram(world, 'agent', { core: 'measured' })
  await listening(ports.agent, started)
  const own = [...targets].map(([name, each]) => ({ name, ...each, pids: [started.pid] }))
  const others = beside.filter(({ idea }) => idea === 'agent').map(({ pid, ...each }) => ({ ...each, pids: [pid] }))
  return { contestants: [...own, ...others], leave: () => started.stop() }
}

async function measure(world: World, bench: BenchmarkParts): Promise<BenchmarkResult> {
  const target = { port: ports.agent, path: '/oauth-agent/session', headers: world.browser() }
  const browsers = Array.from({ length: browserCount }, world.browser)
  // A refresh that comes again would find what the first has got, and ask nobody.
  const script = takingTurns(world.folder, 'refresh', browsers, 'POST')
  const targets = new Map([
    ['session', { title: 'Token Handler: GET /session', target }],
    [
      'refresh',
      {
        title: 'Token Handler: POST /refresh, each of another session',
        target: { ...target, path: '/oauth-agent/refresh', script },
      },
    ],
  ])
  const { finished, figure, ratio, out } = await contest(() => enter(world, targets, bench), {
    ...bench.effort,
    say: bench.say,
  })
  for (const [name, reason] of out) throw new Error(`${name}: ${reason}`)
  return {
    title: 'The agent: one core, 64 connections',
    columns: ['', 'requests/s', 'CPU s/100k', 'of GET /session'],
    rows: finished.map(({ name, title }) => [
      title,
      rounded(figure(name, 'requestsPerSecond')),
      rounded(figure(name, 'cpuPer100k')),
      rounded(ratio(name, 'session', 'requestsPerSecond')),
    ]),
    notes: [
      'The authorization server shares its core with the load, so of POST /refresh only the CPU is that of the agent.',
    ],
    facts: {
      'agent.session_of_curity': ratio('session', 'curity-express', 'requestsPerSecond'),
      'agent.session_per_second': figure('session', 'requestsPerSecond'),
      'agent.refresh_per_second': figure('refresh', 'requestsPerSecond'),
    },
  }
}
