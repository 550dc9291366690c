import { spawnSync } from 'node:child_process'
import { get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median } from '../machine/median.ts'
import { start } from '../machine/process.ts'
import { startUpstream } from '../peers/upstream.ts'
import { ports } from '../world.ts'
import { type Idea, rounded } from './idea.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** As JavaScript, since what is installed is JavaScript too. */
const hello = `require('node:http').createServer((_, response) => response.end()).listen(${ports.peer}, '127.0.0.1')`

/** From starting the process to its first answer with the credential of a session; what is installed is the built program. */
export const coldStart: Idea = {
  name: 'cold-start',
  async run({ world, effort, say }) {
    const built = spawnSync(process.execPath, ['deploy/build.ts'], { cwd: root, stdio: 'inherit' })
    if (built.status !== 0) throw new Error('The program cannot be built.')
    const command = `${root}dist/bin/token-handler.js`
    const upstream = await startUpstream(world)
    const headers = Object.fromEntries(world.browser().map((line) => line.split(': ', 2)))
    const programs = {
      'bare node:http server': { args: ['--eval', hello], port: ports.peer },
      'Token Handler: OAuth proxy': { args: [command, '--config', world.configFile, 'proxy'], port: ports.proxy },
    }
    const times = new Map<string, number[]>()
    try {
      for (let round = 0; round < (effort.quick ? 3 : 9); round++) {
        for (const [title, { args, port }] of Object.entries(programs)) {
          const begin = performance.now()
          const started = start(process.execPath, args, { core: 'measured' })
          while (!(await answers(port, headers))) await pause(2)
          const took = performance.now() - begin
          await started.stop()
          times.set(title, [...(times.get(title) ?? []), took])
          say(`${title}: ${Math.round(took)} ms`)
        }
      }
    } finally {
      await upstream.stop()
    }
    const rows = [...times].map(([title, each]) => [title, rounded(median(each)), rounded(Math.min(...each))])
    return {
      title: 'Cold start to the first answer',
      columns: ['', 'median ms', 'least ms'],
      rows,
      facts: {
        'start.milliseconds': median(times.get('Token Handler: OAuth proxy') ?? []),
        'start.hello_milliseconds': median(times.get('bare node:http server') ?? []),
      },
    }
  },
}

function answers(port: number, headers: Record<string, string>): Promise<boolean> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: '/api/orders', headers, agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200))
    }).on('error', () => resolve(false))
  })
}
