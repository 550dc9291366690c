import { median } from '../machine/median.ts'
import { cpuSeconds, memory } from '../machine/process.ts'
import { takingTurns } from '../machine/turns.ts'
import { type LoadTarget, saturate } from '../machine/wrk.ts'
import { nginxModule } from '../peers/nginx-peers.ts'
import { ourProxy } from '../peers/node-peers.ts'
import { startUpstream } from '../peers/upstream.ts'
import { type Benchmark, rounded } from './benchmark.ts'

/** 10,000 browsers that are signed in and take turns, so that hardly any cookie has been seen a moment ago. */
export const sessions: Benchmark = {
  name: 'sessions',
  async run({ world, effort, say }) {
    const count = effort.quick ? 2000 : 10_000
    const many = takingTurns(world.folder, 'sessions', Array.from({ length: count }, world.browser), 'GET')
    const upstream = await startUpstream(world)
    const rows: (string | number)[][] = []
    const facts: Record<string, number> = {}
    try {
      for (const peer of [ourProxy, nginxModule]) {
        const { processes, target } = await peer.start(world)
        const cpu = () => processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)
        const cost: Record<'one' | 'many', number[]> = { one: [], many: [] }
        const sample = async (name: 'one' | 'many', of: LoadTarget) => {
          const before = cpu()
          const { requests, errors } = await saturate(of, effort.seconds)
          if (errors > 0) throw new Error(`${errors} errors of ${peer.name}`)
          cost[name].push(((cpu() - before) / requests) * 1_000_000)
        }
        await saturate({ ...target, script: many }, effort.seconds)
        for (let round = 0; round < effort.rounds; round++) {
          await sample('one', target)
          await sample('many', { ...target, script: many })
        }
        const megabytes = processes.reduce((sum, { pid }) => sum + memory(pid).now, 0) / 1_048_576
        await Promise.all(processes.map((each) => each.stop()))
        rows.push([peer.title, rounded(median(cost.one)), rounded(median(cost.many)), rounded(megabytes)])
        facts[`sessions.${peer.name}.extra_us`] = median(cost.many) - median(cost.one)
        say(
          `${peer.name}: ${median(cost.one).toFixed(1)} µs with one session, ${median(cost.many).toFixed(1)} µs with many`,
        )
      }
    } finally {
      await upstream.stop()
    }
    return {
      title: `${count.toLocaleString('en')} sessions that take turns`,
      columns: ['', 'CPU µs/request, one session', 'many sessions', 'RSS MB'],
      rows,
      facts,
    }
  },
}
