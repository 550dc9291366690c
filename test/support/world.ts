import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createAgent } from '../../oauth-agent/agent.ts'
import { createProxy, type Proxy } from '../../oauth-proxy/proxy.ts'
import type { Clock } from '../../shared/clock.ts'
import { parseConfig } from '../../shared/config/load.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../shared/cookies/header.ts'
import { createCookieReader } from '../../shared/cookies/open.ts'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing, fixedKeys, type KeySource } from '../../shared/crypto/key-ring.ts'
import { serve } from '../../shared/http/serve.ts'
import { type AuthorizationServer, createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { createClientIdentity } from '../../shared/oauth/client-authentication.ts'
import type { EventName, Observe } from '../../shared/observe/events.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import type { Store } from '../../shared/store/store.ts'
import { createCookieJar } from './cookie-jar.ts'
import { testKeys } from './installation.ts'
import { checkInvariants } from './invariants.ts'
import { type Exchange, openPage, type Page } from './page.ts'
import { createShiftedClock, type ShiftedClock } from './shifted-clock.ts'
import { createTap, type Tap } from './tap.ts'

/** An event as it was told. */
export interface ToldEvent {
  readonly name: EventName
  readonly fields: Readonly<Record<string, unknown>>
}

/** Agent and proxy on one origin, in as many replicas as wanted, before an authorization server that is there or not. */
export interface World {
  readonly publicOrigin: string
  readonly config: Config
  readonly keys: KeySource
  readonly clock: ShiftedClock
  readonly events: ToldEvent[]
  /** The store that all replicas share. */
  readonly store: Store
  /** What went between agent and authorization server. */
  readonly tap: Tap
  /** Which replica answers the next request; all take turns unless it is replaced. */
  balance: (request: IncomingMessage) => number
  /** Starts a replica anew, counted from 0; a store of its own begins empty. */
  restart(replica: number): Promise<void>
  /** A browser without cookies. */
  browser(): Page
  /** Another tab of the same browser. */
  tab(page: Page): Page
  /** Content of the access cookie, as the proxy sees it; throws when there is none. */
  open(page: Page): AccessContent
  /** Events of one name told so far. */
  told(name: EventName): ToldEvent[]
  /** Stops everything, and throws when something happened that never may; see `checkInvariants`. */
  close(): Promise<void>
}

/** What a test may turn. */
export interface WorldOptions {
  /** The issuer, or what starts it once the origin is known: its port is then held, not merely free a moment ago. */
  readonly issuer: string | ((publicOrigin: string) => Promise<string>)
  /** YAML of further settings. */
  readonly settings?: string
  /** YAML of the authorization_server section beyond issuer and limits. */
  readonly authorizationServer?: string
  /** YAML of the client section beyond `id`. */
  readonly client?: string
  readonly replicas?: number
  /** Keys of a replica of its own, counted from 0; all have the same if absent. */
  readonly keysOf?: (replica: number) => KeySource
  /** One store for all replicas, as Valkey would be; otherwise each has a memory of its own. */
  readonly sharedStore?: boolean
  /** Replaces the shared store. */
  readonly store?: Store
  /** Replaces it by one of each replica, counted from 0, before a server of the test. */
  readonly storesOf?: (clock: Clock) => readonly Store[]
  /** Longest wait for the authorization server; `worldTimeoutMs` if absent. */
  readonly timeoutMs?: number
  /** 50 if absent. */
  readonly maxConcurrentRequests?: number
}

/** The client of every world. */
export const clientId = 'spa'
/** How long a world waits for its authorization server; tests move the clock by it. */
export const worldTimeoutMs = 5000
/** Its secret. */
export const clientSecret = 'correct-horse-battery-staple'

/** Starts a world before the authorization server at `issuer`; nothing of it is left where it cannot start. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const undo: (() => Promise<void>)[] = []
  return build(options, undo).catch(async (error: unknown) => {
    for (const each of undo) await each()
    throw error
  })
}

async function build(options: WorldOptions, undo: (() => Promise<void>)[]): Promise<World> {
  const clock = createShiftedClock()
  const events: ToldEvent[] = []
  const observe: Observe = { emit: (name, fields) => void events.push({ name, fields }) }
  const tap = createTap()
  const handlers: ((request: IncomingMessage, response: ServerResponse) => void | Promise<void>)[] = []
  const proxies: Proxy[] = []
  let turn = 0
  const server = await serve({
    handler: {
      handle: (request, response) => handlers[world.balance(request) % handlers.length]?.(request, response),
      upgrade: (request, socket, head) =>
        proxies[world.balance(request) % proxies.length]?.upgrade(request, socket, head),
    },
    listen: { host: '127.0.0.1', port: 0 },
    clock,
    observe,
  })
  undo.push(() => server.stop(0))
  const publicOrigin = `http://localhost:${server.port}`
  const entries = testKeys(publicOrigin)
  const keys = fixedKeys(createKeyRing(entries))
  const issuer = typeof options.issuer === 'string' ? options.issuer : await options.issuer(publicOrigin)
  const config = parseConfig(settingsText(publicOrigin, issuer, options), {
    env: {},
    readFile: (path) => (path.endsWith('keys.json') ? formatKeyRingFile(entries) : readFileSync(path, 'utf8')),
  })

  const shared = options.store ?? createMemoryStore({ clock })
  const stores = options.storesOf?.(clock)
  const closers: (() => Promise<void>)[] = []
  async function startReplica(replica: number): Promise<void> {
    const store = stores?.[replica] ?? (options.sharedStore === false ? createMemoryStore({ clock }) : shared)
    const parts = { config, keys: options.keysOf?.(replica) ?? keys, store, clock, observe }
    const authorizationServer = tappedServer({ ...parts, replica }, tap)
    const agent = createAgent({ ...parts, authorizationServer })
    const proxy = await createProxy({ ...parts, loadAuthorizationServer: () => Promise.resolve(authorizationServer) })
    proxies[replica] = proxy
    handlers[replica] = (request, response) =>
      (request.url ?? '').startsWith(`${config.agent.path}/`)
        ? agent.handle(request, response)
        : proxy.handle(request, response)
    closers[replica] = async () => {
      await proxy.close()
      await authorizationServer.close()
    }
  }
  for (let replica = 0; replica < (options.replicas ?? 1); replica++) await startReplica(replica)

  const catalogue = createCatalogue(config)
  const binding = { clientId, issuer, publicOrigin }
  const reader = createCookieReader({ keys, catalogue, binding, clock, observe })
  const exchanges: Exchange[] = []
  const pageParts = {
    publicOrigin,
    agentPath: config.agent.path,
    record: (each: Exchange) => void exchanges.push(each),
  }
  const world: World = {
    publicOrigin,
    config,
    keys,
    clock,
    events,
    store: shared,
    tap,
    balance: () => turn++,
    async restart(replica) {
      await closers[replica]?.()
      await startReplica(replica)
    },
    browser: () => openPage({ ...pageParts, jar: createCookieJar(clock) }),
    tab: ({ jar }) => openPage({ ...pageParts, jar }),
    open(page) {
      const cookies = parseCookieHeader(page.jar.header('localhost', '/', 'same-site'), catalogue)
      const opened = reader.access(cookies)
      if (opened.kind !== 'opened') throw new Error(`the access cookie is ${opened.kind}`)
      return opened.content
    },
    told: (name) => events.filter((event) => event.name === name),
    async close() {
      await server.stop(0)
      for (const close of closers) await close()
      await shared.close()
      const secrets = [...tap.secrets(), { kind: 'client_secret', forms: [clientSecret] }]
      checkInvariants(exchanges, events, secrets, config)
    },
  }
  return world
}

interface ServerParts {
  readonly config: Config
  readonly keys: KeySource
  readonly clock: ShiftedClock
  readonly observe: Observe
  readonly replica: number
}

function tappedServer({ config, keys, clock, observe, replica }: ServerParts, tap: Tap): AuthorizationServer {
  const { caFile, httpProxyCaFile } = config.authorizationServer
  const tls = {
    ...createClientIdentity({ config, clock }).tls,
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
    ...(httpProxyCaFile === undefined ? {} : { proxyCa: readFileSync(httpProxyCaFile, 'utf8') }),
  }
  const transport = tap.around({ config, clock, observe, tls, replica })
  return createAuthorizationServer({ config, keys, clock, observe, transport })
}

function settingsText(publicOrigin: string, issuer: string, options: WorldOptions): string {
  return `
public_origin: ${publicOrigin}
insecure_allow_http: true
authorization_server:
  issuer: ${issuer}
  timeout_ms: ${options.timeoutMs ?? worldTimeoutMs}
  max_concurrent_requests: ${options.maxConcurrentRequests ?? 50}
${options.authorizationServer ?? ''}
client:
  id: ${clientId}
${options.client ?? `  authentication: client_secret_basic\n  secret: ${clientSecret}`}
keys:
  file: keys.json
${options.settings ?? ''}
`
}
