import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import type { Config } from '../../shared/config/schema.ts'
import type { ErrorDetail } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { asProviderError, providerFailure } from '../../shared/oauth/failure.ts'

/** What revoking needs. */
export interface RevocationParts {
  readonly config: Pick<Config, 'logout'>
  readonly authorizationServer: AuthorizationServer
}

/** Tokens that nobody may use any more. */
export interface TokensToRevoke {
  readonly refreshToken?: string | undefined
  readonly accessToken?: string | undefined
}

/** What came of revoking, of which the more important token decides; why it failed, for events. */
export interface Revocation extends ErrorDetail {
  readonly revoked: boolean
}

/**
 * Asks the authorization server to revoke tokens (RFC 7009 §2.1); `revoked` is false also where `logout.revoke` is off.
 *
 * The refresh token's revocation covers its access tokens at most servers, the access token is sent for those where it
 * does not, and after it: some servers keep both in one record, and of two changes at once the later undid the first.
 * Never throws: the caller has already ended the session, and tokens expire by themselves.
 */
export async function revokeTokens(
  { config: { logout }, authorizationServer: server }: RevocationParts,
  tokens: TokensToRevoke,
): Promise<Revocation> {
  if (!logout.revoke) return { revoked: false }
  const { client, authenticate } = server
  // The transport has reported what fails here.
  const metadata = await server.metadata().catch(() => undefined)
  if (metadata?.revocation_endpoint === undefined) return { revoked: false }

  const revoke = async (token: string | undefined, hint: string): Promise<Revocation | undefined> => {
    if (token === undefined) return undefined
    const options = {
      ...server.callOptions('revocation', logout.revocationTimeoutMs),
      additionalParameters: { token_type_hint: hint },
    }
    return oauth
      .revocationRequest(metadata, client, authenticate, token, options)
      .then(oauth.processRevocationResponse)
      .then(
        () => ({ revoked: true }),
        (error: unknown) => ({ revoked: false, ...providerFailure(asProviderError(error, 'revocation')).detail }),
      )
  }
  const refreshRevoked = await revoke(tokens.refreshToken, 'refresh_token')
  const accessRevoked = await revoke(tokens.accessToken, 'access_token')
  return refreshRevoked ?? accessRevoked ?? { revoked: false }
}

/**
 * Revokes the tokens of a sign-in that is refused; the answer does not wait for it.
 *
 * `present` are the subjects whose session may stay. Their tokens, and those of an unknown subject, are dropped
 * without revoking them: at many servers all sign-ins of a user depend on one grant, and the session would end with it.
 */
export function revokeUnused(
  parts: RevocationParts,
  tokens: TokensToRevoke,
  { subject, present }: { readonly subject: string | undefined; readonly present: readonly string[] },
): void {
  if (present.length > 0 && (subject === undefined || present.includes(subject))) return
  void revokeTokens(parts, tokens)
}

/**
 * The subject of an ID token that was not verified; undefined where it cannot be read.
 *
 * Good enough to tell users apart, since it came from the token endpoint over TLS; no session may be made of it.
 */
export function unverifiedSubject(idToken: string | undefined): string | undefined {
  try {
    // The library says string, and gives what the token has.
    const subject: unknown = idToken === undefined ? undefined : decodeJwt(idToken).sub
    return typeof subject === 'string' ? subject : undefined
  } catch {
    return undefined
  }
}
