import * as oauth from 'oauth4webapi'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { keyOfToken } from '../../shared/cookies/key-of-token.ts'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { isShallow } from '../../shared/json-object.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { asProviderError, providerFailure } from '../../shared/oauth/failure.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { ProviderAnswerInvalid, ProviderRefused } from '../../shared/oauth/provider-error.ts'
import { verifyProviderJwt } from './provider-jwt.ts'
import type { Session } from './session-state.ts'
import { visibleClaims } from './session-view.ts'

/** What a userinfo call needs. */
export interface UserinfoParts {
  readonly config: Pick<Config, 'authorizationServer' | 'login'>
  readonly authorizationServer: AuthorizationServer
  readonly clock: Clock
}

/**
 * The visible claims of the userinfo endpoint for the user of this session (OpenID Connect Core §5.3).
 *
 * Throws `access_token_expired`, `upstream_unauthorized` or `insufficient_scope` when the token is refused,
 * `userinfo_invalid` when the answer is unusable or of another subject, and what providerFailure gives.
 */
export async function loadUserinfo(parts: UserinfoParts, session: Session): Promise<Readonly<Record<string, unknown>>> {
  const { authorizationServer, config, clock } = parts
  const { access, facts } = session
  if (access === undefined || access.accessTokenExpiresAt <= clock.nowSeconds()) {
    throw new TokenHandlerError('access_token_expired')
  }
  try {
    const metadata = await authorizationServer.metadata()
    if (metadata.userinfo_endpoint === undefined) throw new ProviderAnswerInvalid('userinfo', 'no_endpoint')
    const prover = keyOfToken(access, authorizationServer.dpop)
    const options = authorizationServer.callOptions('userinfo')
    const ask = (call: oauth.UserInfoRequestOptions) => askUserinfo(parts, metadata, access, call)
    const claims = await (prover === undefined ? ask(options) : prover.prove(options, ask))
    // An answer about somebody else is worse than none: a token substituted on the way (OpenID Connect Core §5.3.2).
    if (claims['sub'] !== facts.subject) throw new ProviderAnswerInvalid('userinfo', 'sub')
    if (!isShallow(claims)) throw new ProviderAnswerInvalid('userinfo', 'format')
    return visibleClaims(claims, config.login.claims)
  } catch (error) {
    throw userinfoFailure(asProviderError(error, 'userinfo'))
  }
}

async function askUserinfo(
  parts: UserinfoParts,
  metadata: Metadata,
  { accessToken }: AccessContent,
  options: oauth.UserInfoRequestOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const { client } = parts.authorizationServer
  const response = await oauth.userInfoRequest(metadata, client, accessToken, options)
  if (isJwt(response)) return parseSignedUserinfo(parts, await response.text())
  const claims = await oauth.processUserInfoResponse(metadata, client, oauth.skipSubjectCheck, response)
  // After the library, which tells a refusal from an answer; whoever could choose between the two forms would sign neither.
  if (parts.config.authorizationServer.requireSignedUserinfo) throw new ProviderAnswerInvalid('userinfo', 'unsigned')
  return claims
}

function isJwt(response: Response): boolean {
  const mediaType = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  return response.status === 200 && mediaType === 'application/jwt'
}

async function parseSignedUserinfo(parts: UserinfoParts, jwt: string): Promise<Readonly<Record<string, unknown>>> {
  const rejected = (check: string, cause: unknown) => new ProviderAnswerInvalid('userinfo', check, cause)
  const { payload } = await verifyProviderJwt(parts, jwt, {}, rejected)
  return payload
}

function userinfoFailure(error: Error): TokenHandlerError {
  if (error instanceof ProviderRefused) {
    const context = { detail: { provider_error: error.error }, cause: error }
    if (error.error === 'insufficient_scope') return new TokenHandlerError('insufficient_scope', context)
    if (error.status === 401 || error.error === 'invalid_token') {
      return new TokenHandlerError('upstream_unauthorized', context)
    }
  }
  if (error instanceof ProviderAnswerInvalid && error.endpoint === 'userinfo') {
    return new TokenHandlerError('userinfo_invalid', { detail: { check: error.check }, cause: error })
  }
  return providerFailure(error)
}
