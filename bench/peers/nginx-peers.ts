import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configurationFor } from '../../bin/nginx/for-settings.ts'
import { listening, start, type Started } from '../machine/process.ts'
import { startProgram } from '../machine/program.ts'
import { host, ports, subfolder } from '../world.ts'
import { startNginx } from './nginx.ts'
import type { Peer } from './peer.ts'

const upstreamBlock = `upstream api { server 127.0.0.1:${ports.upstream}; keepalive 64; keepalive_requests 100000000; }`
const path = '/api/orders'

/** The yardstick: forwards everything and decides nothing. */
export const nginxPlain: Peer = {
  name: 'nginx',
  title: 'nginx proxy_pass, no decision',
  async start(world) {
    const port = ports.peer + 2
    const started = startNginx(
      world,
      'nginx-plain',
      'measured',
      `${upstreamBlock}
server {
  listen 127.0.0.1:${port};
  client_max_body_size 0;
  location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://api; }
}`,
    )
    await listening(port, started)
    return { processes: [started], target: { port, path, headers: world.browser() } }
  },
}

/** nginx configured by `config nginx`. */
export const nginxModule: Peer = {
  name: 'nginx-module',
  title: 'Token Handler: decision inside nginx',
  own: true,
  async start(world) {
    const port = ports.peer + 3
    const { http, server } = configurationFor(world.config)
    const started = startNginx(
      world,
      'nginx-module',
      'measured',
      `${http}\nserver {\nlisten 127.0.0.1:${port};\nserver_name ${host};\n${server}\n}`,
    )
    await listening(port, started)
    return { processes: [started], target: { port, path, headers: world.browser() } }
  },
}

/** nginx asking a server that decides nothing: what any decision service on Node costs at least. */
export const nginxAlwaysYes: Peer = {
  name: 'nginx-always-yes',
  title: 'nginx asking node:http, which always allows',
  async start(world) {
    const port = ports.peer + 16
    const script = fileURLToPath(new URL('servers/always-yes.ts', import.meta.url))
    const decider = start(process.execPath, [script, world.configFile, String(port + 1)], { core: 'measured' })
    await listening(port + 1, decider)
    const started = startNginx(
      world,
      'nginx-always-yes',
      'measured',
      `${upstreamBlock}
upstream decider { server 127.0.0.1:${port + 1}; keepalive 64; keepalive_requests 100000000; }
server {
  listen 127.0.0.1:${port};
  proxy_http_version 1.1;
  location / {
    auth_request /decide;
    auth_request_set $th_authorization $upstream_http_authorization;
    proxy_set_header Connection "";
    proxy_set_header Authorization $th_authorization;
    proxy_set_header Cookie "";
    proxy_pass http://api;
  }
  location = /decide { internal; proxy_pass_request_body off; proxy_set_header Connection ""; proxy_pass http://decider; }
}`,
    )
    await listening(port, started)
    return { processes: [started, decider], target: { port, path, headers: world.browser() } }
  },
}

const recipe = fileURLToPath(new URL('../../deploy/nginx/forward-auth.conf', import.meta.url))

/** The shipped recipe with the ports of the bench. */
export const nginxAuthRequest: Peer = askingForwardAuth({
  name: 'nginx-auth-request',
  title: 'Token Handler: nginx asking forward-auth',
  port: ports.peer + 4,
  place: () => ({
    listen: `{ port: ${ports.forwardAuth} }`,
    peer: '127.0.0.1',
    server: `127.0.0.1:${ports.forwardAuth}`,
  }),
  ready: (decider) => listening(ports.forwardAuth, decider),
})

/** The same where gateway and proxy share a machine, as docs/deployment.md recommends for it. */
export const nginxAuthRequestSocket: Peer = askingForwardAuth({
  name: 'nginx-auth-request-socket',
  title: 'Token Handler: forward-auth through a Unix socket',
  port: ports.peer + 18,
  place: (folder) => ({
    listen: `{ socket: ${folder}/proxy.sock }`,
    peer: '"unix:"',
    server: `unix:${folder}/proxy.sock`,
  }),
  ready: (decider, folder) => listening(`${folder}/proxy.sock`, decider),
})

function askingForwardAuth(form: {
  readonly name: string
  readonly title: string
  readonly port: number
  readonly place: (folder: string) => { readonly listen: string; readonly peer: string; readonly server: string }
  readonly ready: (decider: Started, folder: string) => Promise<void>
}): Peer {
  const { name, title, port } = form
  return {
    name,
    title,
    own: true,
    async start(world) {
      const folder = subfolder(world, name)
      const { listen, peer, server } = form.place(folder)
      const secret = 'bench-secret-of-the-gateway-0123456789'
      writeFileSync(join(folder, 'token-handler-secret.conf'), `set $th_secret "${secret}";\n`)
      const settings = world.variant(name, (yaml) =>
        yaml
          .replace(`{ port: ${ports.proxy} }`, listen)
          .replace(`{ port: ${ports.operations} }`, '{ port: 0 }\n  trusted_proxies: ["unix:"]')
          .replace('  routes:', `  forward_auth: { gateway: nginx, peers: [${peer}], secret: ${secret} }\n  routes:`),
      )
      const decider = startProgram(world, 'proxy', { core: 'measured', settings })
      await form.ready(decider, folder)
      const conf = readFileSync(recipe, 'utf8')
        .replace('server 127.0.0.1:8082;', `server ${server};`)
        .replace('127.0.0.1:8081', `127.0.0.1:${ports.agent}`)
        .replace('127.0.0.1:9000', `127.0.0.1:${ports.upstream}`)
        .replace(/listen 8080;/, `listen 127.0.0.1:${port};`)
        .replace('include token-handler-secret.conf;', `include ${folder}/token-handler-secret.conf;`)
        .replaceAll('keepalive 32;', 'keepalive 64; keepalive_requests 100000000;')
      const started = startNginx(world, name, 'measured', conf)
      await listening(port, started)
      return { processes: [started, decider], target: { port, path, headers: world.browser() } }
    },
  }
}
