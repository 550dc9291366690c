import cluster from 'node:cluster'
import type { Agent } from '../oauth-agent/agent.ts'
import type { Proxy } from '../oauth-proxy/proxy.ts'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { isTargetBelow } from '../shared/http/request-gate.ts'
import type { HttpHandler } from '../shared/http/http-handler.ts'
import type { AuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import type { CertificateInUse } from '../shared/observe/metrics.ts'
import { createMemoryStore } from '../shared/store/memory.ts'
import { type Store, StoreUnavailable } from '../shared/store/store.ts'
import { replaceable } from './replaceable.ts'

/** What a process serves: agent and proxy, or one of them. */
export type Mode = 'serve' | 'agent' | 'proxy'

/** The section that says where such a process listens. */
export function listeningPart(mode: Mode): 'agent' | 'proxy' {
  return mode === 'agent' ? 'agent' : 'proxy'
}

/** What agent and proxy are both made of. */
export interface SharedParts {
  readonly config: Config
  readonly keys: KeySource
  readonly store: Store
  readonly clock: Clock
  readonly observe: Observe
}

/** Agent, proxy or both as one handler of requests. */
export interface Service extends HttpHandler {
  /**
   * Takes routes and client secret of `config` from now on; calls that run finish under the old routes. Rejects as
   * `createProxy` does, and then changes nothing.
   */
  readonly reconfigure: (config: Config) => Promise<void>
  /** The certificates that are shown to the authorization server and to APIs now. */
  certificates(): readonly CertificateInUse[]
  close(): Promise<void>
}

/**
 * The store that the settings name; `alone` says that no other process serves the same port.
 *
 * The memory of one among several workers gives no locks: a refusal of the authorization server may then be due to
 * another worker, and whoever lost that race must not be signed out for it.
 */
export async function openStore({
  config,
  clock,
  observe,
  alone = !cluster.isWorker,
}: Omit<SharedParts, 'store' | 'keys'> & { readonly alone?: boolean }): Promise<Store> {
  if (config.store.kind === 'memory') {
    const memory = createMemoryStore({ clock })
    return alone ? memory : { ...memory, acquire: () => Promise.reject(new StoreUnavailable()) }
  }
  const { openValkeyStore } = await import('../shared/store/valkey.ts')
  return openValkeyStore({ settings: config.store, clock, observe })
}

/** Makes what the mode needs and loads nothing else, so that a proxy starts fast. */
export async function createService(mode: Mode, shared: SharedParts): Promise<Service> {
  const authorizationServer = sharedAuthorizationServer(shared)
  const agent = mode === 'proxy' ? undefined : await loadAgent(shared, await authorizationServer.load())
  if (mode === 'agent' && agent !== undefined) {
    const { certificates, close } = authorizationServer
    const reconfigure = ({ client }: Config) => authorizationServer.replaceClientSecret(client)
    return { ...agent, reconfigure, certificates, close }
  }

  const { createProxy } = await import('../oauth-proxy/proxy.ts')
  const { createRenewals } = await import('../oauth-proxy/renewals.ts')
  const parts = { ...shared, loadAuthorizationServer: authorizationServer.load, renewals: createRenewals() }
  const drainMs = shared.config.operations.shutdownDrainSeconds * 1000
  const proxy = replaceable<Proxy>(await createProxy(parts), { clock: shared.clock, drainMs })
  const { path } = shared.config.agent
  return {
    handle(request, response) {
      if (agent !== undefined && isTargetBelow(request.url ?? '', path)) return agent.handle(request, response)
      return proxy.current().handle(request, response)
    },
    upgrade: (request, socket, head) => proxy.current().upgrade(request, socket, head),
    endStreams: () => proxy.endStreams(),
    beforeCut: () => proxy.beforeCut(),
    async reconfigure(config) {
      proxy.replace(await createProxy({ ...parts, config }))
      await authorizationServer.replaceClientSecret(config.client)
    },
    certificates: () => [...authorizationServer.certificates(), ...proxy.current().certificates],
    async close() {
      await proxy.close()
      await authorizationServer.close()
    },
  }
}

async function loadAgent(shared: SharedParts, authorizationServer: AuthorizationServer): Promise<Agent> {
  const { createAgent } = await import('../oauth-agent/agent.ts')
  return createAgent({ ...shared, authorizationServer })
}

/** One authorization server for agent and proxy, made for the first who asks; a proxy may never ask. */
function sharedAuthorizationServer(shared: SharedParts): {
  load: () => Promise<AuthorizationServer>
  replaceClientSecret: (client: Config['client']) => Promise<void>
  certificates: () => readonly CertificateInUse[]
  close: () => Promise<void>
} {
  let made: Promise<AuthorizationServer> | undefined
  let expiresAtSeconds: number | undefined
  let { client } = shared.config
  const make = async (): Promise<AuthorizationServer> => {
    const { createAuthorizationServer } = await import('../shared/oauth/authorization-server.ts')
    const server = createAuthorizationServer(shared)
    server.replaceClientSecret(client)
    expiresAtSeconds = server.certificateExpiresAtSeconds
    // Nothing waits for it, but whoever starts us learns from the log at once that it cannot be used.
    server.metadata().catch(() => {})
    return server
  }
  return {
    load() {
      made ??= make().catch((error: unknown) => {
        // A file that cannot be read now may be there at the next reload.
        made = undefined
        throw error
      })
      return made
    },
    async replaceClientSecret(next) {
      client = next
      // Whoever waits for one that cannot be made hears of it.
      const server = await made?.catch(() => undefined)
      server?.replaceClientSecret(next)
    },
    certificates: () =>
      expiresAtSeconds === undefined
        ? []
        : [{ file: 'certificate', shownTo: 'authorization_server', expiresAtSeconds }],
    close: async () => (await made)?.close(),
  }
}
