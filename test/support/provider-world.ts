import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import {
  type OpenIdProvider,
  type OpenIdProviderOptions,
  startOpenIdProvider,
} from '../../spa-example/openid-provider.ts'
import { clientId, clientSecret, startWorld, type World, type WorldOptions } from './world.ts'

/** A world with the real oidc-provider in it. */
export interface ProviderWorld extends World {
  readonly provider: OpenIdProvider
}

/** What a test may turn, at the provider too. */
export interface ProviderWorldOptions extends Omit<WorldOptions, 'issuer' | 'port'> {
  readonly provider?: Partial<OpenIdProviderOptions>
  /** Client metadata at the provider beyond what every test needs. */
  readonly metadata?: Readonly<Record<string, unknown>> | ((origin: string) => Readonly<Record<string, unknown>>)
  /** Registers the agent for back-channel logout. */
  readonly backchannel?: boolean
}

/** Starts the provider and a world before it. */
export async function startProviderWorld(options: ProviderWorldOptions = {}): Promise<ProviderWorld> {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const provider = await startOpenIdProvider({
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [`${origin}/callback`, `${origin}/oauth-agent/callback`],
        post_logout_redirect_uris: [`${origin}/`],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'client_secret_basic',
        ...(options.backchannel === true
          ? {
              backchannel_logout_uri: `${origin}/oauth-agent/backchannel-logout`,
              backchannel_logout_session_required: true,
            }
          : {}),
        ...(typeof options.metadata === 'function' ? options.metadata(origin) : options.metadata),
      },
    ],
    ...options.provider,
  })
  const world = await startWorld({ ...options, issuer: provider.issuer, port })
  const closeWorld = world.close.bind(world)
  return Object.assign(world, {
    provider,
    async close() {
      await provider.close()
      await closeWorld()
    },
  })
}

/** A port that was free a moment ago; the provider must know the redirect URI before the agent listens. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}
