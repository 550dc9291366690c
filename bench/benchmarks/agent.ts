import { fileURLToPath } from 'node:url'
import { type Contestant, contest } from '../machine/contest.ts'
import { listening, start } from '../machine/process.ts'
import { startProgram } from '../machine/program.ts'
import { takingTurns } from '../machine/turns.ts'
import { createWorld, ports } from '../world.ts'
import { type BenchmarkParts, type Benchmark, rounded } from './benchmark.ts'

const provider = fileURLToPath(new URL('../peers/servers/authorization-server.ts', import.meta.url))

interface Entry extends Contestant {
  readonly title: string
}

/** The agent: who is signed in, and refreshes against an authorization server that answers at once. */
export const agent: Benchmark = {
  name: 'agent',
  async run(bench) {
    // The issuer is part of what cookies are sealed for, so this has a world of its own.
    const world = createWorld({ issuer: `http://127.0.0.1:${ports.provider}`, publicOrigin: 'http://localhost' })
    const authorizationServer = start(process.execPath, [provider, String(ports.provider)], { core: 'load' })
    await listening(ports.provider, authorizationServer)
    const started = startProgram(world, 'agent', { core: 'measured' })
    try {
      await listening(ports.agent, started)
      const target = { port: ports.agent, path: '/oauth-agent/session', headers: world.browser() }
      const browsers = Array.from({ length: bench.effort.quick ? 500 : 4000 }, world.browser)
      // Cookies of a refresh are not followed, so after one turn each refresh finds the successor of the first.
      const script = takingTurns(world.folder, 'refresh', browsers, 'POST')
      const own: Entry[] = [
        { name: 'session', title: 'Token Handler: GET /session', pids: [started.pid], target },
        {
          name: 'refresh',
          title: 'Token Handler: POST /refresh, each of another session',
          pids: [started.pid],
          target: { ...target, path: '/oauth-agent/refresh', script },
        },
      ]
      return await measure([...own, ...besides(bench)], bench)
    } finally {
      await Promise.all([started.stop(), authorizationServer.stop()])
      world.remove()
    }
  },
}

function besides({ beside }: BenchmarkParts): Entry[] {
  return beside
    .filter(({ idea }) => idea === 'agent')
    .map(({ name, title, pid, target }) => ({ name, title, pids: [pid], target }))
}

async function measure(entries: readonly Entry[], { effort, say }: BenchmarkParts) {
  const { figure, ratio, out } = await contest(entries, { ...effort, say })
  for (const [name, reason] of out) throw new Error(`${name}: ${reason}`)
  return {
    title: 'The agent: one core, 64 connections',
    columns: ['', 'requests/s', 'CPU s/100k', 'of GET /session'],
    rows: entries.map(({ name, title }) => [
      title,
      rounded(figure(name, 'requestsPerSecond')),
      rounded(figure(name, 'cpuPer100k')),
      rounded(ratio(name, 'session', 'requestsPerSecond')),
    ]),
    facts: {
      'agent.session_of_curity': ratio('session', 'curity-express', 'requestsPerSecond'),
      'agent.session_per_second': figure('session', 'requestsPerSecond'),
      'agent.refresh_per_second': figure('refresh', 'requestsPerSecond'),
    },
  }
}
