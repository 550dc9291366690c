import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { demoPassword, demoUsers } from '../../../spa-example/provider/users.ts'
import { freePort } from '../free-port.ts'
import { type Nginx, startNginx } from '../nginx.ts'
import { startValkey, type ValkeyServer } from '../valkey.ts'
import type { ApiLedger } from './api.ts'
import { type Browser, createBrowser } from './browser.ts'
import type { ProviderLedger } from './openid-provider.ts'
import { type Asked, type Replica, startAsked, startReplica } from './processes.ts'

/** The topology of docker-compose.yml as processes on loopback. */
export interface Topology {
  readonly origin: string
  readonly folder: string
  readonly agents: readonly Replica[]
  readonly proxies: readonly Replica[]
  readonly valkey: ValkeyServer | undefined
  readonly provider: Asked<ProviderLedger>
  readonly api: Asked<ApiLedger>
  readonly nginx: Nginx
  /** Browsers that have signed in. */
  signedIn(count: number): Promise<Browser[]>
  /** Runs `token-handler keys …` on the ring of the agents, then derives the ring of the proxies from it. */
  keys(...parameters: string[]): string
  stop(): Promise<void>
}

export interface TopologyOptions {
  readonly replicas: number
  readonly store: 'valkey' | 'memory'
  readonly accessTokenSeconds: number
}

const clientSecret = 'the secret of the client in this topology'

/** Starts everything; the first failure stops what has started. */
export async function startTopology(options: TopologyOptions): Promise<Topology> {
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-topology-'))
  const stops: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })]
  const stop = async (): Promise<void> => {
    for (const each of stops.reverse().splice(0)) await each()
  }
  try {
    return await start(options, folder, stops, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(
  options: TopologyOptions,
  folder: string,
  stops: (() => unknown)[],
  stop: () => Promise<void>,
): Promise<Topology> {
  const started = <T extends { stop(): unknown }>(part: T): T => {
    stops.push(() => part.stop())
    return part
  }
  const publicPort = await freePort()
  const origin = `http://localhost:${publicPort}`
  // The program of the image, because that is what runs many times over.
  const program = join(folder, 'program')
  execFileSync(process.execPath, ['deploy/bundle.ts', program])
  const command = join(program, 'bin/token-handler.js')
  const agentKeys = join(folder, 'agent-keys.json')
  const proxyKeys = join(folder, 'proxy-keys.json')
  const keys = (...parameters: string[]): string => {
    const run = (...words: string[]) =>
      execFileSync(process.execPath, [command, 'keys', ...words], { encoding: 'utf8' })
    const said = run(...parameters)
    run('derive', agentKeys, proxyKeys)
    return said
  }
  keys('generate', agentKeys)

  const valkey = options.store === 'valkey' ? started(await startValkey()) : undefined
  const api = started(await startAsked<ApiLedger>('api'))
  const provider = started(
    await startAsked<ProviderLedger>('openid-provider', JSON.stringify(providerOptions(origin, options))),
  )
  const settings = (mode: 'agent' | 'proxy', port: number, operationsPort: number): string => {
    const file = join(folder, `${mode}-${port}.yaml`)
    const listen = { host: '127.0.0.1', port }
    writeFileSync(
      file,
      stringify({
        public_origin: origin,
        insecure_allow_http: true,
        authorization_server: { issuer: `http://127.0.0.1:${provider.port}` },
        client: { id: 'example-app', authentication: 'client_secret_basic', secret: clientSecret },
        login: { scope: 'openid profile email orders' },
        logout: { backchannel: valkey !== undefined },
        keys: { file: mode === 'agent' ? agentKeys : proxyKeys },
        agent: {
          ...(mode === 'agent' ? { listen } : {}),
          rate_limits: { login: { requests: 10_000 }, refresh: { requests: 10_000 }, session: { requests: 10_000 } },
        },
        proxy: {
          ...(mode === 'proxy' ? { listen } : {}),
          routes: [
            {
              path: '/api/**',
              methods: ['GET', 'POST'],
              upstream: `http://127.0.0.1:${api.port}`,
              strip_prefix: '/api',
            },
          ],
        },
        store: valkey === undefined ? { kind: 'memory' } : { kind: 'valkey', url: valkey.url },
        operations: {
          listen: { host: '127.0.0.1', port: operationsPort },
          trusted_proxies: ['127.0.0.1/32'],
          shutdown_wait_seconds: 2,
        },
        observability: { log_level: 'warn', audit_file: join(folder, 'audit.log') },
      }),
    )
    return file
  }
  const replica = async (mode: 'agent' | 'proxy'): Promise<Replica> => {
    const [port, operationsPort] = [await freePort(), await freePort()]
    const config = settings(mode, port, operationsPort)
    const log = join(folder, `${mode}-${port}.log`)
    return started(await startReplica({ mode, config, port, operationsPort, log, command }))
  }
  const several = (mode: 'agent' | 'proxy') =>
    Promise.all(Array.from({ length: options.replicas }, () => replica(mode)))
  const [agents, proxies] = await Promise.all([several('agent'), several('proxy')])
  const nginx = started(await startNginx({ http: gateway(publicPort, agents, proxies), ports: [publicPort] }))

  return {
    origin,
    folder,
    agents,
    proxies,
    valkey,
    provider,
    api,
    nginx,
    keys,
    stop,
    async signedIn(count) {
      const browsers: Browser[] = []
      for (let index = 0; index < count; index += 1) {
        const person = demoUsers[index % demoUsers.length]
        if (person === undefined) continue
        const { username, claims } = person
        browsers.push(createBrowser(origin, { username, subject: claims.sub, password: demoPassword }))
      }
      const waiting = [...browsers]
      const signInNext = async (): Promise<void> => {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await next.signIn()
      }
      await Promise.all(Array.from({ length: 8 }, signInNext))
      return browsers
    },
  }
}

function providerOptions(origin: string, { accessTokenSeconds }: TopologyOptions): object {
  return {
    accessTokenSeconds,
    rotateRefreshTokens: true,
    clients: [
      {
        client_id: 'example-app',
        client_secret: clientSecret,
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: [`${origin}/callback`],
        post_logout_redirect_uris: [`${origin}/`],
        backchannel_logout_uri: `${origin}/oauth-agent/backchannel-logout`,
        backchannel_logout_session_required: true,
      },
    ],
  }
}

/** The http block of the gateway of docker-compose.yml, without TLS and with the ports of this topology. */
function gateway(port: number, agents: readonly Replica[], proxies: readonly Replica[]): string {
  const servers = (replicas: readonly Replica[]) =>
    replicas.map((replica) => `server 127.0.0.1:${replica.port} max_fails=0;`).join('\n')
  return (
    readFileSync('deploy/compose/nginx.conf', 'utf8')
      .replace(/^[^]*?\nhttp \{/, '')
      .replace(/\}\s*$/, '')
      .replace(/^\s*(?:ssl_\w+|http2|\w+_temp_path|access_log) .*$/gm, '')
      .replace('include /etc/nginx/mime.types;', '')
      // As much shorter as the wait of these processes is shorter than the default.
      .replaceAll('keepalive_timeout 4s;', 'keepalive_timeout 1s;')
      .replaceAll(/listen 8443 ssl( default_server)?;/g, `listen 127.0.0.1:${port}$1;`)
      .replace(/(?:\s*server agent-\d+:.*)+/, `\n${servers(agents)}`)
      .replace(/(?:\s*server proxy-\d+:.*)+/, `\n${servers(proxies)}`)
  )
}
