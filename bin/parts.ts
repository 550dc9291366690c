import type { IncomingMessage } from 'node:http'
import type { Agent } from '../oauth-agent/agent.ts'
import type { Proxy } from '../oauth-proxy/proxy.ts'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import type { HttpHandler } from '../shared/http/serve.ts'
import { createAuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import { createMemoryStore } from '../shared/store/memory.ts'
import type { Store } from '../shared/store/store.ts'
import { replaceable } from './replaceable.ts'

export type Mode = 'serve' | 'agent' | 'proxy'

export interface SharedParts {
  readonly config: Config
  readonly keys: KeySource
  readonly store: Store
  readonly clock: Clock
  readonly observe: Observe
}

/** Agent, proxy or both behind one door. */
export interface Door extends HttpHandler {
  /** Takes the routes of `config` from now on; calls that run finish under the old ones. */
  readonly replaceRoutes: (config: Config) => void
  close(): Promise<void>
}

/** The store that the settings name. */
export async function openStore({ config, clock, observe }: Omit<SharedParts, 'store' | 'keys'>): Promise<Store> {
  if (config.store.kind === 'memory') return createMemoryStore({ clock })
  const { openValkeyStore } = await import('../shared/store/valkey.ts')
  return openValkeyStore({ settings: config.store, clock, observe })
}

/** Makes what the mode needs and loads nothing else, so that a proxy starts fast. */
export async function createDoor(mode: Mode, shared: SharedParts): Promise<Door> {
  const authorizationServer = createAuthorizationServer(shared)
  const parts = { ...shared, authorizationServer }
  const agent: Agent | undefined =
    mode === 'proxy' ? undefined : (await import('../oauth-agent/agent.ts')).createAgent(parts)
  if (mode === 'agent' && agent !== undefined) {
    return { ...agent, replaceRoutes: () => undefined, close: () => authorizationServer.close() }
  }

  const { createProxy } = await import('../oauth-proxy/proxy.ts')
  const drainMs = shared.config.operations.shutdownDrainSeconds * 1000
  const proxy = replaceable<Proxy>(createProxy(parts), { clock: shared.clock, drainMs })
  const isForAgent = pathTest(shared.config.agent.path)
  return {
    handle(request, response) {
      if (agent !== undefined && isForAgent(request)) return agent.handle(request, response)
      return proxy.current().handle(request, response)
    },
    upgrade: (request, socket, head) => proxy.current().upgrade(request, socket, head),
    endStreams: () => proxy.current().endStreams(),
    replaceRoutes(config) {
      proxy.replace(createProxy({ ...parts, config }))
    },
    async close() {
      await proxy.close()
      await authorizationServer.close()
    },
  }
}

/** Compares the target as it came; whatever is spelled differently is left to the proxy, which refuses it. */
function pathTest(path: string): (request: IncomingMessage) => boolean {
  return ({ url = '' }) => url === path || url.startsWith(`${path}/`) || url.startsWith(`${path}?`)
}
