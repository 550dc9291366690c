import * as oauth from 'oauth4webapi'
import type { AuthorizationServer } from './authorization-server.ts'
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
