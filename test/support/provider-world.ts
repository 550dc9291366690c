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
export interface ProviderWorldOptions extends Omit<WorldOptions, 'issuer'> {
  readonly provider?: Partial<OpenIdProviderOptions>
  /** Client metadata at the provider beyond what every test needs. */
  readonly metadata?: Readonly<Record<string, unknown>> | ((origin: string) => Readonly<Record<string, unknown>>)
  /** Registers the agent for back-channel logout. */
  readonly backchannel?: boolean
}

/** Starts the provider and a world before it. */
export async function startProviderWorld(options: ProviderWorldOptions = {}): Promise<ProviderWorld> {
  let provider: OpenIdProvider | undefined
  const issuer = async (origin: string) => {
    provider = await startProvider(origin, options)
    return provider.issuer
  }
  const world = await startWorld({ ...options, issuer }).catch(async (error: unknown) => {
    await provider?.close()
    throw error
  })
  if (provider === undefined) throw new Error('no provider')
  const closeWorld = world.close.bind(world)
  const closeProvider = provider.close
  return Object.assign(world, {
    provider,
    async close() {
      await closeProvider()
      await closeWorld()
    },
  })
}

/** The provider, which knows the redirect URIs of the agent at this origin. */
function startProvider(origin: string, options: ProviderWorldOptions): Promise<OpenIdProvider> {
  return startOpenIdProvider({
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
}
