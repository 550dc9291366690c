/**
 * Draws where the CPU of the proxy goes: `node bench/profile/profile.ts <name>` writes `bench/profile/<name>.svg`.
 *
 * The process is the command of the sources, in which libraries can be told apart, under full load, sampled by V8 and
 * drawn by `flame-graph.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { listening, start } from '../machine/process.ts'
import { saturate } from '../machine/wrk.ts'
import { startUpstream } from '../peers/upstream.ts'
import { createWorld, ports } from '../world.ts'
import { type CpuProfile, flameGraph } from './flame-graph.ts'

const [, , name = 'proxy'] = process.argv
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const world = createWorld()
const file = join(world.folder, 'profile.json')
const args = ['--import', path('sampler.ts'), path('../../bin/token-handler.ts'), '--config', world.configFile, 'proxy']
const upstream = await startUpstream(world)
const started = start(process.execPath, args, { core: 'measured', env: { PROFILE_FILE: file } })
try {
  await listening(ports.proxy, started)
  const target = { port: ports.proxy, path: '/api/orders', headers: world.browser() }
  await saturate(target, 5)
  process.kill(started.pid, 'SIGUSR2')
  const { requests, seconds, errors } = await saturate(target, 10)
  process.kill(started.pid, 'SIGUSR2')
  for (let waited = 0; waited < 100 && !existsSync(file); waited++) await pause(50)
  await pause(500)
  if (errors > 0) throw new Error(`${errors} errors\n${started.output()}`)
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
  const heading = `OAuth proxy, ${Math.round(requests / seconds).toLocaleString('en')} requests/s on one core, Node ${process.version}`
  writeFileSync(new URL(`${name}.svg`, import.meta.url), flameGraph(profile, heading))
  console.log(`bench/profile/${name}.svg`)
} finally {
  await Promise.all([started.stop(), upstream.stop()])
  world.remove()
}
