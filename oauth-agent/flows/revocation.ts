import * as oauth from 'oauth4webapi'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'

/** Tokens that nobody may use any more. */
export interface TokensToRevoke {
  readonly refreshToken?: string | undefined
  readonly accessToken?: string | undefined
}

/**
 * Asks the authorization server to revoke tokens (RFC 7009 §2.1); true when it confirmed the more important one.
 *
 * The refresh token's revocation covers its access tokens at most servers, the access token is sent for those where it
 * does not. Never throws: who asks has already ended the session, and tokens expire by themselves.
 */
export async function revokeTokens(
  server: AuthorizationServer,
  tokens: TokensToRevoke,
  timeoutMs: number,
): Promise<boolean> {
  const { client, authenticate } = server
  try {
    const metadata = await server.metadata()
    if (metadata.revocation_endpoint === undefined) return false
    const revoke = async (token: string, hint: string): Promise<void> => {
      const options = {
        ...server.callOptions('revocation', timeoutMs),
        additionalParameters: { token_type_hint: hint },
      }
      await oauth.processRevocationResponse(
        await oauth.revocationRequest(metadata, client, authenticate, token, options),
      )
    }
    const { refreshToken, accessToken } = tokens
    const [first] = await Promise.allSettled([
      ...(refreshToken === undefined ? [] : [revoke(refreshToken, 'refresh_token')]),
      ...(accessToken === undefined ? [] : [revoke(accessToken, 'access_token')]),
    ])
    return first?.status === 'fulfilled'
  } catch {
    // The transport has told of it.
    return false
  }
}
