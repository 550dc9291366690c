import { fileURLToPath } from 'node:url'
import { listening, start } from '../machine/process.ts'
import { startProgram } from '../machine/program.ts'
import { type World, ports } from '../world.ts'
import type { Peer, RunningPeer } from './peer.ts'

/** A script in servers/ that is given the settings file and a port. */
async function script(world: World, name: string, port: number): Promise<RunningPeer> {
  const path = fileURLToPath(new URL(`servers/${name}.ts`, import.meta.url))
  const started = start(process.execPath, [path, world.configFile, String(port)], { core: 'measured' })
  await listening(port, started)
  return { processes: [started], target: { port, path: '/api/orders', headers: world.browser() } }
}

export const hello: Peer = {
  name: 'hello',
  title: 'bare node:http server, no proxying',
  start: (world) => script(world, 'hello', ports.peer),
}

export const httpProxy: Peer = {
  name: 'http-proxy',
  title: 'http-proxy 1.18.1, same guard and cookie',
  start: (world) => script(world, 'http-proxy', ports.peer + 1),
}

/** The parts of our proxy as they come, without any decision: what they cost, our decisions can only add to. */
export const bareUndici: Peer = {
  name: 'undici',
  title: 'node:http and undici, no decision',
  start: (world) => script(world, 'undici', ports.peer + 9),
}

export const ourProxy: Peer = {
  name: 'oauth-proxy',
  title: 'Token Handler: OAuth proxy',
  own: true,
  async start(world) {
    const started = startProgram(world, 'proxy', { core: 'measured' })
    await listening(ports.proxy, started)
    return { processes: [started], target: { port: ports.proxy, path: '/api/orders', headers: world.browser() } }
  },
}
