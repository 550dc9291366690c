/**
 * Draws where the CPU of the proxy goes: `node bench/profile/profile.ts <name>` writes `bench/profile/<name>.svg`.
 *
 * The process is the shipped command under full load, sampled by V8 and drawn by `flame-graph.ts`.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listening, start } from '../machine/process.ts'
import { saturate } from '../machine/wrk.ts'
import { startUpstream } from '../peers/upstream.ts'
import { createWorld, ports, subfolder } from '../world.ts'
import { type CpuProfile, flameGraph } from './flame-graph.ts'

const [, , name = 'proxy'] = process.argv
const command = fileURLToPath(new URL('../../bin/token-handler.ts', import.meta.url))
const world = createWorld()
const folder = subfolder(world, 'profile')
const settings = world.variant('profile', (yaml) =>
  yaml.replace('operations:\n', 'operations:\n  shutdown_wait_seconds: 0\n'),
)
const upstream = await startUpstream(world)
// Sampling starts with the process, so warming up is part of the picture; it is kept short beside the load.
const sampling = ['--cpu-prof', '--cpu-prof-dir', folder, '--cpu-prof-interval', '500']
const started = start(process.execPath, [...sampling, command, '--config', settings, 'proxy'], { core: 'measured' })
await listening(ports.proxy, started)
const target = { port: ports.proxy, path: '/api/orders', headers: world.browser() }
const { requests, seconds, errors } = await saturate(target, 10)
await started.stop()
await upstream.stop()
const [file] = readdirSync(folder)
if (file === undefined || errors > 0) throw new Error(`no profile: ${errors} errors\n${started.output()}`)
const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile
world.remove()
const heading = `OAuth proxy, ${Math.round(requests / seconds).toLocaleString('en')} requests/s on one core, Node ${process.version}`
writeFileSync(new URL(`${name}.svg`, import.meta.url), flameGraph(profile, heading))
console.log(`bench/profile/${name}.svg`)
