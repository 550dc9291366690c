import { readFileSync } from 'node:fs'
import type { JWK, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import type * as oauth from 'oauth4webapi'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { certificateExpirySeconds } from '../crypto/certificate.ts'
import type { KeySource } from '../crypto/key-ring.ts'
import { isJsonObject } from '../json-object.ts'
import type { Observe } from '../observe/events.ts'
import { type CallThroughTransport, createCallOptions } from './call-options.ts'
import { createClientIdentity } from './client-authentication.ts'
import { createDpopProvers, type DpopProvers } from './dpop.ts'
import { createKeySet } from './key-set.ts'
import { createMetadataSource, type Metadata } from './metadata.ts'
import { ProviderAnswerInvalid, type ProviderEndpoint } from './provider-error.ts'
import { parseProviderJson } from './provider-json.ts'
import { createTransport, type Transport } from './transport.ts'

/** The settings that name the authorization server and us. */
export type AuthorizationServerSettings = Pick<Config, 'authorizationServer' | 'client' | 'insecureAllowHttp'>

/** The authorization server as flows see it: what it says of itself, its keys, and how it is called. */
export interface AuthorizationServer {
  /** Its metadata; fetched on first use, so that processes start while it is down. Throws ProviderUnavailable or ProviderAnswerInvalid. */
  metadata(): Promise<Metadata>
  readonly client: oauth.Client
  readonly authenticate: oauth.ClientAuth
  /** Proves whose token requests these are; undefined where access tokens are bound to no key of ours. */
  readonly dpop: DpopProvers | undefined
  /** Options that send a call of oauth4webapi through our transport. */
  callOptions(endpoint: ProviderEndpoint, timeoutMs?: number): CallThroughTransport
  /** Resolves once there are keys for `verifyJwt`; throws ProviderUnavailable or ProviderAnswerInvalid. */
  prepareKeys(): Promise<void>
  /** Verifies signature and given claims of a JWT of this issuer; throws the errors of jose, ProviderUnavailable or ProviderAnswerInvalid. */
  verifyJwt(jwt: string, options: JWTVerifyOptions): Promise<JWTVerifyResult>
  /** Signs an authorization request with our key; throws as `metadata` does. */
  signRequestObject(parameters: URLSearchParams): Promise<string>
  /** Our own public keys, for the authorization server to fetch; empty when the client has none. */
  publicKeys(): Promise<readonly JWK[]>
  /** Authenticates with the client secret of these settings from now on; changes nothing for a client without one. */
  replaceClientSecret(client: Config['client']): void
  /** When the client certificate expires, in seconds since 1970; undefined where none is shown. */
  readonly certificateExpiresAtSeconds: number | undefined
  close(): Promise<void>
}

/** Creates the authorization server of the settings; nothing is fetched yet. Throws when a file with a key or a certificate cannot be read. */
export function createAuthorizationServer(parts: {
  config: AuthorizationServerSettings
  clock: Clock
  observe: Observe
  /** Needed where access tokens are bound to a key of ours. */
  keys?: KeySource
  /** Replaces the network in tests. */
  transport?: Transport
}): AuthorizationServer {
  const { config, clock, observe } = parts
  const settings = config.authorizationServer
  const identity = createClientIdentity({ config, clock })
  const { certificate } = identity.tls
  const certificateExpiresAtSeconds = certificate === undefined ? undefined : certificateExpirySeconds(certificate)
  const { caFile, httpProxyCaFile } = settings
  const tls = {
    ...identity.tls,
    ...(caFile === undefined ? undefined : { ca: readFileSync(caFile, 'utf8') }),
    ...(httpProxyCaFile === undefined ? undefined : { proxyCa: readFileSync(httpProxyCaFile, 'utf8') }),
  }
  const transport = parts.transport ?? createTransport({ config, clock, observe, tls })

  const callOptions = createCallOptions(transport, { allowHttp: config.insecureAllowHttp })
  const metadata = createMetadataSource({
    issuer: settings.issuer,
    maxAgeSeconds: settings.metadataMaxAgeSeconds,
    allowHttp: config.insecureAllowHttp,
    needsDpop: config.client.dpopBoundAccessTokens,
    options: callOptions('metadata'),
    clock,
    observe,
  })

  const keySet = createKeySet({
    clock,
    maxAgeSeconds: settings.jwksMaxAgeSeconds,
    async load() {
      const { jwks_uri } = await metadata()
      const response = await transport.call('jwks', jwks_uri, {
        method: 'GET',
        headers: { accept: 'application/json, application/jwk-set+json' },
      })
      return parseKeySet(response.status, await response.text())
    },
  })

  return {
    metadata,
    client: identity.client,
    authenticate: identity.authenticate,
    dpop: createProvers(config, parts.keys, clock),
    callOptions,
    prepareKeys: () => keySet.prepare(),
    verifyJwt: (jwt, options) => keySet.verify(jwt, options),
    signRequestObject: async (parameters) => identity.signRequestObject(await metadata(), parameters),
    publicKeys: () => identity.publicKeys,
    replaceClientSecret: (client) => identity.replaceSecret(client),
    certificateExpiresAtSeconds,
    close: () => transport.close(),
  }
}

function createProvers(
  { client, authorizationServer }: AuthorizationServerSettings,
  keys: KeySource | undefined,
  clock: Clock,
): DpopProvers | undefined {
  if (!client.dpopBoundAccessTokens) return undefined
  if (keys === undefined) throw new RangeError('tokens cannot be bound to a key without the ring')
  return createDpopProvers({ keys, binding: { clientId: client.id, issuer: authorizationServer.issuer }, clock })
}

function parseKeySet(status: number, text: string): { keys: Readonly<Record<string, unknown>>[] } {
  if (status !== 200) throw new ProviderAnswerInvalid('jwks', 'status')
  const parsed = parseProviderJson('jwks', text)
  const keys: unknown = isJsonObject(parsed) ? parsed['keys'] : undefined
  if (!Array.isArray(keys)) throw new ProviderAnswerInvalid('jwks', 'keys')
  return { keys: keys.filter(isJsonObject) }
}
