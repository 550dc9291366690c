import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JSONWebKeySet, type JWK } from 'jose'
import { Provider } from 'oidc-provider'
import { type Clock, systemClock } from '../shared/clock.ts'
import { createConfiguration, type ProviderSettings, resourceInfo } from './provider/configuration.ts'
import { createInteractions } from './provider/interactions.ts'
import { addTokenExchange } from './provider/token-exchange.ts'
import { createJwtUserinfo } from './provider/userinfo.ts'

export { mfaLevel } from './provider/configuration.ts'
export { tokenExchangeGrant } from './provider/token-exchange.ts'
export { demoCode, demoPassword, demoUsers } from './provider/users.ts'

/** What the provider tells about itself: enough to count token calls, never a token. */
export type ProviderEvent =
  | 'grant.success'
  | 'grant.error'
  | 'grant.revoked'
  | 'end_session.success'
  | 'revocation.error'
  | 'backchannel.success'
  | 'backchannel.error'
  | 'server_error'

export interface OpenIdProviderOptions
  extends Partial<Omit<ProviderSettings, 'clients'>>,
    Pick<ProviderSettings, 'clients'> {
  /** Address to listen on; 127.0.0.1 by default. */
  readonly host?: string
  /** 0 takes a free port. */
  readonly port?: number
  /** The public issuer where it differs from the address listened on. */
  readonly issuer?: string
  /** PEM texts; with them the provider speaks TLS and asks clients for a certificate. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string }
  readonly clock?: Clock
  /** Further private keys, so that whoever has them can sign as this provider. */
  readonly signingKeys?: readonly JWK[]
  readonly onEvent?: (name: ProviderEvent, grantType: string | undefined) => void
}

export interface OpenIdProvider {
  readonly issuer: string
  readonly port: number
  /** The public keys. */
  readonly jwks: JSONWebKeySet
  /** Stops listening and cuts every connection, as if the machine were gone; state is kept. */
  goOffline(): Promise<void>
  /** Listens again on the same port. */
  goOnline(): Promise<void>
  close(): Promise<void>
}

const events: readonly ProviderEvent[] = [
  'grant.success',
  'grant.error',
  'grant.revoked',
  'end_session.success',
  'revocation.error',
  'backchannel.success',
  'backchannel.error',
  'server_error',
]

async function signingKey(alg: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${crypto.randomUUID()}` }
}

function publicPart({ kty, crv, x, y, n, e, alg, use, kid }: JWK): JWK {
  return Object.fromEntries(Object.entries({ kty, crv, x, y, n, e, alg, use, kid }).filter(([, value]) => value))
}

function grantTypeOf(value: unknown): string | undefined {
  const { oidc } = (value ?? {}) as { oidc?: { params?: { grant_type?: unknown } } }
  return typeof oidc?.params?.grant_type === 'string' ? oidc.params.grant_type : undefined
}

/**
 * Starts the embedded OpenID Provider for the demo and the tests: the real oidc-provider with demo users, its own
 * sign-in page and everything in memory.
 *
 * Rejects with the error of `listen`, for instance EADDRINUSE.
 */
export async function startOpenIdProvider(options: OpenIdProviderOptions): Promise<OpenIdProvider> {
  const { host = '127.0.0.1', tls, clock = systemClock, onEvent = () => undefined } = options
  const settings: ProviderSettings = {
    clients: options.clients,
    resources: options.resources ?? [{ identifier: 'https://api.example.com', scope: 'orders' }],
    accessTokenSeconds: options.accessTokenSeconds ?? 300,
    refreshTokenSeconds: options.refreshTokenSeconds ?? 86_400,
    codeSeconds: options.codeSeconds ?? 60,
    rotateRefreshTokens: options.rotateRefreshTokens ?? true,
    requireDpopNonce: options.requireDpopNonce ?? false,
    accessTokenClaims: options.accessTokenClaims ?? (() => ({})),
  }

  let answer: RequestListener = (_request, response) => void response.writeHead(503).end()
  const listener: RequestListener = (request, response) => answer(request, response)
  const server = tls
    ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }, listener)
    : createServer(listener)
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    })
  const goOffline = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })

  await listen(options.port ?? 0)
  const { port } = server.address() as AddressInfo
  const issuer = options.issuer ?? `${tls ? 'https' : 'http'}://${host}:${port}`
  const own = await Promise.all(['RS256', 'ES256', 'PS256', 'EdDSA'].map(signingKey))
  const signingKeys = [...own, ...(options.signingKeys ?? [])]
  const jwks = { keys: signingKeys.map(publicPart) }

  const provider: Provider = new Provider(
    issuer,
    createConfiguration({ ...settings, signingKeys, cookieSuffix: String(port), clock }, () => provider),
  )
  for (const name of events) provider.on(name, (ctx) => onEvent(name, grantTypeOf(ctx)))
  addTokenExchange({ provider, issuer, jwks, resourceInfo: (identifier) => resourceInfo(settings, identifier) })

  const interactions = createInteractions(provider, settings.clients)
  const jwtUserinfo = createJwtUserinfo({ issuer, jwks })
  const protocol = provider.callback()
  const route = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (await jwtUserinfo(request, response)) return
    if (await interactions(request, response)) return
    protocol(request, response)
  }
  answer = (request, response) => {
    route(request, response).catch(() => {
      onEvent('server_error', undefined)
      response.writeHead(400, { 'content-type': 'text/plain', 'cache-control': 'no-store' })
      response.end('This sign-in is over. Go back to the app and start again.\n')
    })
  }

  return { issuer, port, jwks, goOffline, goOnline: () => listen(port), close: goOffline }
}
