import { availableParallelism } from 'node:os'
import { median } from '../machine/median.ts'
import { listening } from '../machine/process.ts'
import { startProgram } from '../machine/program.ts'
import { saturate } from '../machine/wrk.ts'
import { startUpstream } from '../peers/upstream.ts'
import { ports } from '../world.ts'
import { type Benchmark, rounded } from './benchmark.ts'

/** One worker and two, both free to use every core, with load and upstream beside them. */
export const workers: Benchmark = {
  name: 'workers',
  async run({ world, effort, say }) {
    const upstream = await startUpstream(world)
    const target = { port: ports.proxy, path: '/api/orders', headers: world.browser() }
    const rates: Record<number, number[]> = { 1: [], 2: [] }
    try {
      for (let round = 0; round < (effort.quick ? 1 : 3); round++) {
        for (const count of [1, 2]) {
          const settings = world.variant(`workers-${count}`, (yaml) =>
            yaml.replace('operations:\n', `operations:\n  workers: ${count}\n`),
          )
          const started = startProgram(world, 'proxy', { core: 'any', settings })
          await listening(ports.proxy, started)
          await saturate(target, effort.seconds)
          const { requests, seconds, errors } = await saturate(target, effort.seconds)
          await started.stop()
          if (errors > 0) throw new Error(`${errors} errors with ${count} workers`)
          rates[count]?.push(requests / seconds)
          say(`${count} workers: ${Math.round(requests / seconds)} requests/s`)
        }
      }
    } finally {
      await upstream.stop()
    }
    const one = median(rates[1] ?? [])
    const two = median(rates[2] ?? [])
    return {
      title: `Workers, on ${availableParallelism()} cores that load and upstream share`,
      columns: ['', 'requests/s', 'of one worker'],
      rows: [
        ['1 worker', rounded(one), 1],
        ['2 workers', rounded(two), rounded(two / one)],
      ],
      facts: { 'workers.two_of_one': two / one },
    }
  },
}
