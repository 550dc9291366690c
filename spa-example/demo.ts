import { randomBytes } from 'node:crypto'
import { createAgent } from '../oauth-agent/agent.ts'
import { createProxy } from '../oauth-proxy/proxy.ts'
import { type Clock, systemClock } from '../shared/clock.ts'
import { parseConfig } from '../shared/config/load.ts'
import { generateKeyRing } from '../shared/crypto/key-ring-edit.ts'
import { createKeyRing, fixedKeys } from '../shared/crypto/key-ring.ts'
import type { HttpHandler } from '../shared/http/http-handler.ts'
import { serve } from '../shared/http/serve.ts'
import { createAuthorizationServer } from '../shared/oauth/authorization-server.ts'
import { createObserve, type EventSink } from '../shared/observe/observe.ts'
import { createMemoryStore } from '../shared/store/memory.ts'
import { startExampleApi } from './api.ts'
import { buildPages, createPages } from './host/pages.ts'
import { demoSettings } from './host/settings.ts'
import {
  mfaLevel,
  type OpenIdProvider,
  type OpenIdProviderOptions,
  startOpenIdProvider,
  tokenExchangeGrant,
} from './openid-provider.ts'

export interface DemoOptions {
  /** Port of the app; 0 takes a free one. */
  readonly port?: number
  /** Life of an access token; short, so that one sees it being refreshed. */
  readonly accessTokenSeconds?: number
  /** How long before its end the browser client refreshes. */
  readonly refreshAheadSeconds?: number
  readonly idleSeconds?: number
  readonly absoluteSeconds?: number
  /**
   * Agent and proxy on a sibling host of the page: `api.app.localhost` beside `www.app.localhost`. Not every system
   * resolves these names, Chromium does by itself.
   */
  readonly siblingHost?: boolean
  readonly pageCaching?: 'no-store' | 'no-cache'
  /** Sets `cookies.insecure_plain`, for Safari, which keeps no Secure cookies on http://localhost. */
  readonly plainCookies?: boolean
  /** Further settings of the OpenID Provider. */
  readonly provider?: Partial<OpenIdProviderOptions>
  /** Told of everything that happens, as the log would be. */
  readonly sink?: EventSink
  readonly clock?: Clock
}

export interface Demo {
  /** Where the app is. */
  readonly appOrigin: string
  /** Where people sign in: another site, because browsers treat `localhost` and `127.0.0.1` as two. */
  readonly issuer: string
  /** The embedded OpenID Provider. */
  readonly provider: OpenIdProvider
  close(): Promise<void>
}

const audience = 'https://api.example.com'
const partnerAudience = 'https://partner.example.com'
const longestStop = 500

/**
 * Starts the whole pattern in this process: OpenID Provider, API, agent, proxy and the built example app.
 *
 * Keys and secrets are made at start and kept in memory; nothing is written to disk. Rejects with the error of
 * `listen` when the port is in use.
 */
export async function startDemo(options: DemoOptions = {}): Promise<Demo> {
  const { clock = systemClock, accessTokenSeconds = 60, plainCookies = false } = options
  const observe = createObserve({ clock, sinks: options.sink === undefined ? [] : [options.sink] })
  const stops: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const stop of stops.reverse()) await stop()
    stops.length = 0
  }

  try {
    const building = buildPages()
    // The port is known before the parts that need its origin exist.
    let handler: HttpHandler = { handle: (_request, response) => void response.writeHead(503).end() }
    const app = await serve({
      handler: {
        handle: (request, response) => handler.handle(request, response),
        upgrade: (request, socket, head) => handler.upgrade?.(request, socket, head),
      },
      listen: { host: '127.0.0.1', port: options.port ?? 3000 },
      clock,
      observe,
    })
    stops.push(() => app.stop(longestStop))
    const appOrigin = `http://${options.siblingHost ? 'www.app.localhost' : 'localhost'}:${app.port}`
    const publicOrigin = options.siblingHost ? `http://api.app.localhost:${app.port}` : appOrigin

    const clientSecret = randomBytes(32).toString('base64url')
    const provider = await startOpenIdProvider({
      ...options.provider,
      clients: [
        {
          client_id: 'example-spa',
          client_name: 'The Token Handler example',
          client_secret: clientSecret,
          redirect_uris: [`${appOrigin}/callback`],
          post_logout_redirect_uris: [`${appOrigin}/`],
          grant_types: ['authorization_code', 'refresh_token', 'client_credentials', tokenExchangeGrant],
          response_types: ['code'],
          // By the name that resolves everywhere; the agent answers it under its public host only.
          ...(options.siblingHost ? {} : { backchannel_logout_uri: `${publicOrigin}/oauth-agent/backchannel-logout` }),
          backchannel_logout_session_required: true,
        },
      ],
      resources: [
        { identifier: audience, scope: 'orders' },
        { identifier: partnerAudience, scope: 'invoices' },
      ],
      accessTokenSeconds,
      clock,
    })
    stops.push(() => provider.close())

    const apiKey = randomBytes(24).toString('base64url')
    const api = await startExampleApi({
      issuer: provider.issuer,
      audience,
      partnerAudience,
      jwks: provider.jwks,
      apiKey,
      clock,
    })
    stops.push(() => api.close())

    const settings = demoSettings({
      publicOrigin,
      pageOrigin: appOrigin,
      issuer: provider.issuer,
      clientSecret,
      apiOrigin: `http://127.0.0.1:${api.port}`,
      apiKey,
      partnerAudience,
      idleSeconds: options.idleSeconds ?? 900,
      absoluteSeconds: options.absoluteSeconds ?? 28_800,
      refreshAheadSeconds: options.refreshAheadSeconds ?? Math.min(20, Math.floor(accessTokenSeconds / 3)),
      mfaLevel,
      plainCookies,
    })
    const config = parseConfig(settings, { env: {}, readFile: () => '' })
    const keys = fixedKeys(createKeyRing(generateKeyRing({ random: randomBytes, clock })))
    const store = createMemoryStore({ clock })
    const authorizationServer = createAuthorizationServer({ config, clock, observe })
    stops.push(() => authorizationServer.close())
    const parts = { config, keys, store, clock, observe }
    const agent = createAgent({ ...parts, authorizationServer })
    const proxy = await createProxy({ ...parts, loadAuthorizationServer: () => Promise.resolve(authorizationServer) })
    stops.push(() => proxy.close())

    const pages = createPages({
      assets: await building,
      pagePaths: ['/', config.login.redirectPath],
      redirectPath: config.login.redirectPath,
      pageOrigin: appOrigin,
      agent: options.siblingHost ? `${publicOrigin}${config.agent.path}` : config.agent.path,
      plainCookies,
      ...(options.pageCaching === undefined ? {} : { pageCaching: options.pageCaching }),
    })
    const agentPath = `${config.agent.path}/`
    handler = {
      handle(request, response) {
        if (pages(request, response)) return undefined
        return request.url?.startsWith(agentPath) ? agent.handle(request, response) : proxy.handle(request, response)
      },
      upgrade: (request, socket, head) => proxy.upgrade(request, socket, head),
    }
    return { appOrigin, issuer: provider.issuer, provider, close }
  } catch (error) {
    await close()
    throw error
  }
}
