import * as oauth from 'oauth4webapi'
import type { Clock } from '../../shared/clock.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { DpopProver } from '../../shared/oauth/dpop.ts'
import { continuationFailure, providerFailure } from '../../shared/oauth/failure.ts'
import { ProviderAnswerInvalid, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { requestTokens } from '../../shared/oauth/token-endpoint.ts'
import type { LifetimeSettings } from '../../shared/oauth/token-lifetime.ts'
import { isToken } from './credential.ts'
import type { ObtainedToken } from './token-cache.ts'

/** For which API a token is meant; servers differ in which of the three they understand. */
export interface TokenTarget {
  readonly audience?: string | undefined
  readonly resource?: string | undefined
  readonly scope?: string | undefined
}

/** As `TokenTarget`, with the type of token wanted (RFC 8693 §3). */
export interface ExchangeTarget extends TokenTarget {
  readonly requestedTokenType?: string | undefined
}

/** The user's access token, which is exchanged. */
export interface SubjectToken {
  readonly accessToken: string
  readonly accessTokenExpiresAt: number
  /** Id of the ring key whose DPoP key it is bound to; absent for a bearer token. */
  readonly dpopKeyId?: string | undefined
}

/** Asks the authorization server for tokens meant for APIs; all throw as `credentialFailure` says. */
export interface TokenRequests {
  /**
   * The user's token for one meant for `target` (RFC 8693 §2.1); it never outlives the token it was made from, and is bound
   * to the same key.
   */
  exchange(subject: SubjectToken, target: ExchangeTarget): Promise<ObtainedToken>
  /** The application's own token (RFC 6749 §4.4), bound to the DPoP key of the ring key named, if one is. */
  clientCredentials(target: TokenTarget, dpopKeyId?: string): Promise<ObtainedToken>
}

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
/** Kinds of token that can be sent as a bearer; an ID token or SAML assertion is not meant for an API (RFC 8693 §3). */
const bearerTypes: ReadonlySet<string> = new Set([accessTokenType, 'urn:ietf:params:oauth:token-type:jwt'])

/** Creates the token requests over the given authorization server; nothing is sent yet. */
export function createTokenRequests(parts: {
  authorizationServer: AuthorizationServer
  settings: LifetimeSettings
  clock: Clock
}): TokenRequests {
  const { authorizationServer: server, settings, clock } = parts

  /** Throws RangeError for a key that cannot be had: its token would be asked for as a bearer token. */
  function proverOf(dpopKeyId: string | undefined): DpopProver | undefined {
    if (dpopKeyId === undefined && server.dpop === undefined) return undefined
    const prover = dpopKeyId === undefined ? undefined : server.dpop?.find(dpopKeyId)
    if (prover === undefined) throw new RangeError('a token is asked for without its key')
    return prover
  }

  return {
    async exchange(subject, { requestedTokenType, ...target }) {
      const parameters = targetParameters(target)
      parameters.set('subject_token', subject.accessToken)
      parameters.set('subject_token_type', accessTokenType)
      if (requestedTokenType !== undefined) parameters.set('requested_token_type', requestedTokenType)
      try {
        const answer = await requestTokens(
          server,
          { settings, clock },
          (as, options) =>
            oauth.genericTokenEndpointRequest(
              as,
              server.client,
              server.authenticate,
              exchangeGrant,
              parameters,
              options,
            ),
          { tokenTypes: ['bearer', 'n_a'], prover: proverOf(subject.dpopKeyId) },
        )
        if (!bearerTypes.has(answer.issuedTokenType ?? '')) {
          throw new ProviderAnswerInvalid('token', 'issued_token_type')
        }
        const expiresAt = Math.min(answer.expiresAt, subject.accessTokenExpiresAt)
        return obtained(answer.accessToken, expiresAt)
      } catch (error) {
        throw credentialFailure(error, continuationFailure)
      }
    },

    async clientCredentials(target, dpopKeyId) {
      try {
        const answer = await requestTokens(
          server,
          { settings, clock },
          (as, options) =>
            oauth.clientCredentialsGrantRequest(
              as,
              server.client,
              server.authenticate,
              targetParameters(target),
              options,
            ),
          { prover: proverOf(dpopKeyId) },
        )
        return obtained(answer.accessToken, answer.expiresAt)
      } catch (error) {
        throw credentialFailure(error, providerFailure)
      }
    },
  }
}

/** Refused before it is kept, or every call until it expires would fail on it. */
function obtained(token: string, expiresAt: number): ObtainedToken {
  if (!isToken(token)) throw new ProviderAnswerInvalid('token', 'access_token')
  return { token, expiresAt }
}

function targetParameters({ audience, resource, scope }: TokenTarget): URLSearchParams {
  const parameters = new URLSearchParams()
  if (audience !== undefined) parameters.set('audience', audience)
  if (resource !== undefined) parameters.set('resource', resource)
  if (scope !== undefined) parameters.set('scope', scope)
  return parameters
}

/**
 * A failed token request as an answer to the API call: the server is away, or it gave no token for this API; `read` tells
 * what else it means.
 *
 * It never ends the session: even `invalid_grant` here speaks of this exchange, not of the user's refresh token.
 */
function credentialFailure(error: unknown, read: typeof providerFailure): TokenHandlerError {
  if (error instanceof ProviderUnavailable && error.reason !== 'queue_full') {
    return new TokenHandlerError('authorization_server_unavailable', {
      fields: { retry_after: error.retryAfterSeconds },
      detail: { check: error.reason },
      cause: error,
    })
  }
  const known = read(error)
  if (known.code !== 'authorization_server_error') return known
  return new TokenHandlerError('token_exchange_failed', { detail: known.detail, cause: error })
}
