import * as jose from 'jose/errors'
import * as oauth from 'oauth4webapi'
import { TokenHandlerError } from '../errors.ts'
import { ProviderAnswerInvalid, type ProviderEndpoint, ProviderRefused, ProviderUnavailable } from './provider-error.ts'

/**
 * What went wrong with the authorization server, as one row of our error table.
 *
 * The one place where errors of oauth4webapi, jose and the transport are read: by class and code, never by message.
 * `invalid_grant` is not decided here, because its meaning depends on the grant: see ProviderRefused.
 */
export function providerFailure(error: unknown): TokenHandlerError {
  if (error instanceof TokenHandlerError) return error
  if (error instanceof ProviderUnavailable) return unavailable(error)
  if (error instanceof ProviderRefused) return refused(error)
  if (error instanceof ProviderAnswerInvalid) {
    return new TokenHandlerError('authorization_server_error', { detail: { check: error.check }, cause: error })
  }
  return new TokenHandlerError('server_error', { cause: error })
}

/**
 * As `providerFailure`, for a request that continues a session: some token endpoints answer with words of the authorization
 * endpoint where only the user can help.
 *
 * Not for the code of a sign-in: the user was there a moment ago, and a page that signs in again would do so without end.
 */
export function continuationFailure(error: unknown): TokenHandlerError {
  if (!(error instanceof ProviderRefused)) return providerFailure(error)
  switch (error.error) {
    case 'consent_required':
    case 'interaction_required':
    case 'login_required':
      return new TokenHandlerError(error.error, refusedContext(error))
    default:
      return providerFailure(error)
  }
}

function unavailable(error: ProviderUnavailable): TokenHandlerError {
  const context = {
    fields: { retry_after: error.retryAfterSeconds },
    detail: { check: error.reason },
    cause: error,
  }
  if (error.reason === 'queue_full') return new TokenHandlerError('overloaded', context)
  const wasSent = error.reason === 'connection_lost' && error.endpoint === 'token'
  return new TokenHandlerError(wasSent ? 'token_response_lost' : 'authorization_server_unavailable', context)
}

function refused(error: ProviderRefused): TokenHandlerError {
  const context = refusedContext(error)
  switch (error.error) {
    case 'invalid_client':
    case 'unauthorized_client':
      return new TokenHandlerError('client_authentication_failed', { ...context, fields: { retry_after: 30 } })
    case 'temporarily_unavailable':
    case 'server_error':
      return new TokenHandlerError('authorization_server_unavailable', { ...context, fields: { retry_after: 1 } })
    default:
      return new TokenHandlerError('authorization_server_error', context)
  }
}

function refusedContext(error: ProviderRefused) {
  return { detail: { provider_error: error.error }, cause: error }
}

/** Reads an error thrown while an answer of `endpoint` was processed; those of the transport pass through. */
export function asProviderError(error: unknown, endpoint: ProviderEndpoint): Error {
  if (error instanceof oauth.ResponseBodyError) return new ProviderRefused(endpoint, error.error, error.status)
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    return new ProviderRefused(endpoint, challengeError(error, endpoint), error.status)
  }
  if (
    error instanceof oauth.OperationProcessingError ||
    error instanceof oauth.UnsupportedOperationError ||
    error instanceof jose.JOSEError
  ) {
    return new ProviderAnswerInvalid(endpoint, checkName(error.code), error)
  }
  return error instanceof Error ? error : new Error('unknown failure', { cause: error })
}

/**
 * What a refusal with challenges says. The library reads them before the body, although it is the body that has the error
 * where a client authenticated by Basic: the challenge then just repeats the scheme (RFC 6749 §5.2).
 */
function challengeError({ cause, status }: oauth.WWWAuthenticateChallengeError, endpoint: ProviderEndpoint) {
  const said = cause.map(({ parameters }) => parameters.error).find((error) => error !== undefined)
  return said ?? (status === 401 && endpoint !== 'userinfo' ? 'invalid_client' : undefined)
}

/** `OAUTH_INVALID_RESPONSE` becomes `invalid_response`. */
function checkName(code: string | undefined): string {
  return (code ?? 'unknown').replace(/^(?:OAUTH|ERR)_/, '').toLowerCase()
}

/** Which check a JWT failed, for the log: the claim that jose names, or the kind of failure. */
export function jwtCheck(error: unknown): string {
  if (error instanceof jose.JWTExpired) return 'exp'
  if (error instanceof jose.JWTClaimValidationFailed) return error.claim
  if (error instanceof jose.JWKSNoMatchingKey || error instanceof jose.JWKSMultipleMatchingKeys) return 'kid'
  if (error instanceof jose.JWSSignatureVerificationFailed) return 'signature'
  if (error instanceof jose.JOSEAlgNotAllowed) return 'alg'
  if (error instanceof jose.JOSEError) return 'format'
  return 'unknown'
}
