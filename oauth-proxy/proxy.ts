import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createCatalogue } from '../shared/cookies/catalogue.ts'
import { createCookieReader } from '../shared/cookies/open.ts'
import type { Clock } from '../shared/clock.ts'
import { isSameRoute } from '../shared/config/changed.ts'
import type { Config, Route } from '../shared/config/schema.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { createDpopKeys } from '../shared/crypto/dpop-keys.ts'
import { type RandomBytes, systemRandomBytes } from '../shared/crypto/random.ts'
import { bindingOf } from '../shared/crypto/seal.ts'
import { createAddressMatcher } from '../shared/http/client-address.ts'
import { allowedHosts } from '../shared/http/request-gate.ts'
import type { AuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import type { CertificateInUse } from '../shared/observe/metrics.ts'
import { type ReadFile, systemReadFile } from '../shared/read-file.ts'
import type { Store } from '../shared/store/store.ts'
import { asksForTokens, createCredentials } from './credentials/credentials.ts'
import type { TokenRequests } from './credentials/token-request.ts'
import type { EdgeParts } from './edges/edge.ts'
import { createForwardAuth } from './edges/forward-auth.ts'
import { createReverseProxy } from './edges/reverse-proxy.ts'
import { createUpgrade } from './edges/upgrade.ts'
import { createProofs } from './forward/proofs.ts'
import { createProxyRoute } from './proxy-route.ts'
import type { Renewals } from './renewals.ts'
import { createRouteTable } from './routes/route-table.ts'
import { createStreams } from './streams.ts'

/** What the proxy is made of. */
export interface ProxyParts {
  readonly config: Config
  readonly keys: KeySource
  /** Called if a route asks for tokens; the libraries behind it are large. */
  readonly loadAuthorizationServer: () => Promise<AuthorizationServer>
  readonly store: Store
  readonly clock: Clock
  readonly observe: Observe
  /** Reads the certificate files that routes name; from disk if absent. */
  readonly readFile?: ReadFile
  /** Shared with the proxies that this one replaces and that replace it; its own if absent. */
  readonly renewals?: Renewals
  /** Replaces the system's randomness in tests. */
  readonly random?: RandomBytes
}

/** The OAuth proxy as a server sees it. */
export interface Proxy {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>
  /** Ends event streams and WebSockets in good order, as a process does that is about to stop. */
  endStreams(): void
  /** Called just before the remaining calls are cut; from then on a broken call is reported as `server_stopping`. */
  beforeCut(): void
  /** The settings of its routes. */
  readonly routes: readonly Route[]
  /** Ends answers without an end in sight whose routes none of these has. */
  giveWay(others: readonly Pick<Proxy, 'routes'>[]): void
  /** The certificates that its routes show to their APIs. */
  readonly certificates: readonly CertificateInUse[]
  /** Takes no more calls; resolves when those in flight have ended and the connections to the APIs are closed. */
  finish(): Promise<void>
  /** Cuts the connections to the APIs; calls in flight fail. */
  close(): Promise<void>
}

/**
 * The OAuth proxy: lets API calls through with the right credential, and never sets a cookie.
 *
 * Loads what its routes need before it takes a call; throws as `loadAuthorizationServer` and `createUpstreams` do.
 */
export async function createProxy(given: ProxyParts): Promise<Proxy> {
  const { config, keys, store, clock, observe, readFile = systemReadFile, random = systemRandomBytes } = given
  const requests = await loadTokenRequests(given)
  const openWebSocket = await loadWebSockets(config)
  const catalogue = createCatalogue(config)
  const routes = config.proxy.routes.map((setting) =>
    createProxyRoute(setting, config.publicOrigin, { clock, store, readFile }),
  )
  const binding = bindingOf(config)
  const isBound = config.client.dpopBoundAccessTokens
  const dpop = isBound ? createDpopKeys({ keys, binding }) : undefined
  const credentials = createCredentials({ requests, dpop, clock, observe })
  const decideParts = {
    config,
    hosts: allowedHosts(config.publicOrigin),
    catalogue,
    routes: createRouteTable(routes),
    cookies: createCookieReader({ keys, catalogue, binding, clock, observe }),
    keys,
    store,
    clock,
    credentials,
    trustedProxies: createAddressMatcher(config.operations.trustedProxies),
  }
  const streams = createStreams({ store, clock, renewals: given.renewals })
  let isCutting = false
  const beforeCut = () => {
    isCutting = true
  }
  const parts: EdgeParts = {
    decide: decideParts,
    config,
    keys,
    credentials,
    proofs: isBound ? createProofs({ clock, random }) : undefined,
    streams,
    isCutting: () => isCutting,
    clock,
    observe,
  }
  const reverseProxy = createReverseProxy(parts)
  const upgrade = createUpgrade({ ...parts, openWebSocket })
  const forwardAuth = createForwardAuth(parts, config.proxy.forwardAuth)
  return {
    handle: (request, response) =>
      forwardAuth?.asks(request) === true ? forwardAuth.handle(request, response) : reverseProxy(request, response),
    upgrade: (request, socket, head) =>
      forwardAuth?.asks(request) === true ? forwardAuth.upgrade(request, socket) : upgrade(request, socket, head),
    endStreams: () => streams.stop(),
    beforeCut,
    routes: config.proxy.routes,
    giveWay(others) {
      const inForce = others.flatMap((other) => other.routes)
      const kept = new Set(config.proxy.routes.filter((route) => inForce.some((each) => isSameRoute(route, each))))
      streams.giveWay((route) => kept.has(route))
    },
    certificates: routes.flatMap(({ path, upstreams: { certificateExpiresAtSeconds: expiresAtSeconds } }) =>
      expiresAtSeconds === undefined ? [] : [{ file: 'certificate', shownTo: 'api', route: path, expiresAtSeconds }],
    ),
    async finish() {
      await Promise.all(routes.map(({ upstreams }) => upstreams.finish()))
    },
    async close() {
      beforeCut()
      streams.stop()
      await Promise.all(routes.map(({ upstreams }) => upstreams.close()))
    },
  }
}

async function loadTokenRequests(given: ProxyParts): Promise<TokenRequests | undefined> {
  const { config, loadAuthorizationServer, clock } = given
  if (!config.proxy.routes.some(asksForTokens)) return undefined
  const { createTokenRequests } = await import('./credentials/token-request.ts')
  return createTokenRequests({ authorizationServer: await loadAuthorizationServer(), settings: config.session, clock })
}

/** Whoever has no such route starts without the library behind them. */
async function loadWebSockets({ proxy }: Config) {
  if (!proxy.routes.some(({ websocket }) => websocket)) return undefined
  const { openWebSocket } = await import('./forward/websocket.ts')
  return openWebSocket
}
