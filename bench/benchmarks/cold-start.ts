import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { median } from '../machine/median.ts'
import { start } from '../machine/process.ts'
import { imageProgram, make, root } from '../machine/program.ts'
import { startUpstream } from '../peers/upstream.ts'
import { ports } from '../world.ts'
import { type Benchmark, rounded } from './benchmark.ts'

/** As JavaScript, since what is installed is JavaScript too. */
const hello = `require('node:http').createServer((_, response) => response.end()).listen(${ports.peer}, '127.0.0.1')`

const titles = {
  hello: 'bare node:http server',
  image: 'Token Handler: OAuth proxy, image',
  package: 'Token Handler: OAuth proxy, package',
}

/** From starting the process to its first answer with the credential of a session, in both forms that are installed. */
export const coldStart: Benchmark = {
  name: 'cold-start',
  async run({ world, effort, say }) {
    const image = imageProgram(world)
    make('deploy/build.ts')
    const upstream = await startUpstream(world)
    const headers = Object.fromEntries(world.browser().map((line) => line.split(': ', 2)))
    const proxy = (...command: readonly string[]) => [...command, '--config', world.configFile, 'proxy']
    const programs = [
      { title: titles.hello, args: ['--eval', hello], port: ports.peer },
      {
        title: titles.image,
        args: proxy(...image.args),
        port: ports.proxy,
        env: image.env,
      },
      { title: titles.package, args: proxy(join(root, 'dist/bin/token-handler.js')), port: ports.proxy },
    ]
    const times = new Map<string, number[]>()
    try {
      for (let round = 0; round < (effort.quick ? 3 : 9); round++) {
        for (const { title, args, port, env } of programs) {
          const begin = performance.now()
          const started = start(process.execPath, args, { core: 'measured', ...(env && { env }) })
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
        'start.milliseconds': median(times.get(titles.image) ?? []),
        'start.hello_milliseconds': median(times.get(titles.hello) ?? []),
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
