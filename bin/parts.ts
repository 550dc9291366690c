import type { IncomingMessage } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import type { HttpHandler } from '../shared/http/serve.ts'
import { createAuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import { createMemoryStore } from '../shared/store/memory.ts'
import type { Store } from '../shared/store/store.ts'

export type Mode = 'serve' | 'agent' | 'proxy'

export interface SharedParts {
  readonly config: Config
  readonly keys: KeySource
  readonly store: Store
  readonly clock: Clock
  readonly observe: Observe
}

/** A handler that can be let go of. */
export interface ClosableHandler extends HttpHandler {
  close(): Promise<void>
}

/** The store that the settings name. */
export async function openStore({ config, clock, observe }: Omit<SharedParts, 'store' | 'keys'>): Promise<Store> {
  if (config.store.kind === 'memory') return createMemoryStore({ clock })
  const { openValkeyStore } = await import('../shared/store/valkey.ts')
  return openValkeyStore({ settings: config.store, clock, observe })
}

/** Agent, proxy or both behind one door; only what the mode needs is loaded, so that a proxy starts fast. */
export async function createHandler(mode: Mode, parts: SharedParts): Promise<ClosableHandler> {
  const authorizationServer = createAuthorizationServer(parts)
  const everything = { ...parts, authorizationServer }
  if (mode === 'agent') {
    const { createAgent } = await import('../oauth-agent/agent.ts')
    return { ...createAgent(everything), close: () => authorizationServer.close() }
  }
  const { createProxy } = await import('../oauth-proxy/proxy.ts')
  const proxy = createProxy(everything)
  const close = async (): Promise<void> => {
    await Promise.all([proxy.close(), authorizationServer.close()])
  }
  if (mode === 'proxy') return { ...proxy, close }
  const { createAgent } = await import('../oauth-agent/agent.ts')
  const agent = createAgent(everything)
  const isForAgent = createPathTest(parts.config.agent.path)
  return {
    ...proxy,
    handle: (request, response) => (isForAgent(request) ? agent : proxy).handle(request, response),
    close,
  }
}

/** Compares the target as it came; whatever is spelled differently is left to the proxy, which refuses it. */
function createPathTest(path: string): (request: IncomingMessage) => boolean {
  return ({ url = '' }) => url === path || url.startsWith(`${path}/`) || url.startsWith(`${path}?`)
}
