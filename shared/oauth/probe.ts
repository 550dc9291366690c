import * as oauth from 'oauth4webapi'
import type { AuthorizationServer } from './authorization-server.ts'
import { providerErrorWord } from './provider-error.ts'
import type { LifetimeSettings } from './token-lifetime.ts'
import { requestTokens, type TokenAnswer } from './token-endpoint.ts'

/**
 * Presents a refresh token outside any session, to learn how the authorization server treats this client.
 *
 * Throws as `requestTokens` does.
 */
export function presentRefreshToken(
  server: AuthorizationServer,
  settings: LifetimeSettings,
  refreshToken: string,
): Promise<TokenAnswer> {
  return requestTokens(server, settings, (as, options) =>
    oauth.refreshTokenGrantRequest(as, server.client, server.authenticate, refreshToken, options),
  )
}

/** How the authorization server answered a request for a sign-in; `error` is absent where it came back without one. */
export type SignInAnswer =
  | { readonly kind: 'back'; readonly error: string | undefined }
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'unclear'; readonly status: number }

/**
 * Goes to the authorization endpoint as a browser without cookies would, and tells whether that leads back to
 * `redirectUri`.
 *
 * Throws ProviderUnavailable and ProviderAnswerInvalid.
 */
export async function askForSignIn(
  server: AuthorizationServer,
  authorizationUrl: string,
  redirectUri: string,
): Promise<SignInAnswer> {
  const options = { method: 'GET', headers: { accept: 'text/html' } }
  const { status, headers } = await server.callOptions('authorization')[oauth.customFetch](authorizationUrl, options)
  const location = headers.get('location') ?? ''
  if (location.startsWith(`${redirectUri}?`)) {
    const returned = new URL(location).searchParams.get('error')
    return { kind: 'back', error: returned === null ? undefined : providerErrorWord(returned) }
  }
  return { kind: status === 400 ? 'refused' : 'unclear', status }
}
