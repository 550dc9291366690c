import { replaceable } from '../../../bin/replaceable.ts'
import { createProxy, type Proxy } from '../../../oauth-proxy/proxy.ts'
import { createRenewals } from '../../../oauth-proxy/renewals.ts'
import type { Clock } from '../../../shared/clock.ts'
import type { KeySource } from '../../../shared/crypto/key-ring.ts'
import { requestIdOf } from '../../../shared/http/request-id.ts'
import { type RunningServer, serve } from '../../../shared/http/serve.ts'
import { createMemoryStore } from '../../../shared/store/memory.ts'
import type { Store } from '../../../shared/store/store.ts'
import { createManualClock } from '../manual-clock.ts'
import { proxyConfig } from '../proxy-world.ts'

/** How many calls of the API the route lets go on at once. */
export const places = 6
/** How long what is in flight may go on when a proxy is replaced or the server stops. */
export const drainSeconds = 20

/** An event as it was told. */
export interface ToldEvent {
  readonly name: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A server before a proxy that can be replaced. */
export interface ModelServer {
  readonly server: RunningServer
  readonly store: Store
  /** Ids of the requests that came. */
  readonly asked: readonly string[]
  readonly told: readonly ToldEvent[]
  /** Timers that have not run. */
  readonly timers: ReadonlySet<object>
  pass(seconds: number): void
  /** Replaces the proxy by one whose route has this path. */
  reload(path: string): Promise<void>
  /** Closes the proxies. */
  closeProxies(): Promise<void>
}

export async function startServer(apiOrigin: string, keys: KeySource): Promise<ModelServer> {
  const { clock, timers, pass } = countingClock()
  const store = createMemoryStore({ clock: createManualClock() })
  const told: ToldEvent[] = []
  const observe = { emit: (name: string, fields: object) => void told.push({ name, fields: { ...fields } }) }
  const renewals = createRenewals()
  const make = (path: string): Promise<Proxy> =>
    createProxy({
      config: proxyConfig(routeOf(path, apiOrigin)),
      keys,
      loadAuthorizationServer: () => Promise.reject(new Error('nobody asks for tokens')),
      store,
      clock,
      observe,
      renewals,
    })
  const proxies = replaceable(await make('/api/**'), { clock, drainMs: drainSeconds * 1000 })
  const asked: string[] = []
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    clock,
    observe,
    handler: {
      handle(incoming, response) {
        asked.push(requestIdOf(incoming))
        return proxies.current().handle(incoming, response)
      },
      upgrade: (incoming, socket, head) => proxies.current().upgrade(incoming, socket, head),
      endStreams: () => proxies.endStreams(),
      beforeCut: () => proxies.beforeCut(),
    },
  })
  return {
    server,
    store,
    asked,
    told,
    timers,
    pass,
    reload: async (path) => proxies.replace(await make(path)),
    closeProxies: () => proxies.close(),
  }
}

function routeOf(path: string, apiOrigin: string): string {
  return `    - { path: '${path}', methods: [GET, HEAD, POST, DELETE], upstream: '${apiOrigin}', max_concurrent_requests: ${places} }`
}

/** A clock whose timers are counted. */
function countingClock() {
  const manual = createManualClock()
  const timers = new Set<object>()
  const clock: Clock = {
    ...manual,
    after(delayMs, run) {
      const timer = {}
      timers.add(timer)
      const cancel = manual.after(delayMs, () => {
        timers.delete(timer)
        run()
      })
      return () => {
        timers.delete(timer)
        cancel()
      }
    },
  }
  return { clock, timers, pass: manual.pass }
}
