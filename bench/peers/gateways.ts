import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listening, start } from '../machine/process.ts'
import { ports, subfolder } from '../world.ts'
import type { Peer } from './peer.ts'

const path = '/api/orders'

export const haproxy: Peer = {
  name: 'haproxy',
  title: 'HAProxy, no decision',
  async start(world) {
    const port = ports.peer + 5
    const file = join(subfolder(world, 'haproxy'), 'haproxy.cfg')
    writeFileSync(
      file,
      `global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${port}
  default_backend api
backend api
  http-reuse always
  server s1 127.0.0.1:${ports.upstream}
`,
    )
    const started = start('haproxy', ['-db', '-f', file], { core: 'measured' })
    await listening(port, started)
    return { processes: [started], target: { port, path, headers: world.browser() } }
  },
}

export const caddy: Peer = {
  name: 'caddy',
  title: 'Caddy reverse_proxy, no decision',
  async start(world) {
    const port = ports.peer + 6
    const folder = subfolder(world, 'caddy')
    const file = join(folder, 'Caddyfile')
    writeFileSync(
      file,
      `{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${ports.upstream}
}
`,
    )
    const env = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, GOMAXPROCS: '1' }
    const started = start('caddy', ['run', '--config', file, '--adapter', 'caddyfile'], { core: 'measured', env })
    await listening(port, started)
    return { processes: [started], target: { port, path, headers: world.browser() } }
  },
}
