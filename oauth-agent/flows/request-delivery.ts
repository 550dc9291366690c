import * as oauth from 'oauth4webapi'
import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { asProviderError, providerFailure } from '../../shared/oauth/failure.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { ProviderAnswerInvalid, ProviderRefused } from '../../shared/oauth/provider-error.ts'
import { authorizationUrl } from './authorization-request.ts'

/** What delivering an authorization request needs. */
export interface RequestDeliveryParts {
  readonly config: Pick<Config, 'login'>
  readonly authorizationServer: AuthorizationServer
}

/**
 * The URL the browser is sent to with this request: as it is, signed (RFC 9101), or pushed beforehand (RFC 9126).
 *
 * Throws `authorization_failed` when the server refuses the pushed request, and what providerFailure gives.
 */
export async function deliverRequest(parts: RequestDeliveryParts, request: URLSearchParams): Promise<string> {
  try {
    const metadata = await parts.authorizationServer.metadata()
    const signed = parts.config.login.signedRequestObject
      ? signedRequest(request, await parts.authorizationServer.signRequestObject(request))
      : undefined
    if (isPushed(parts.config, metadata)) return await push(parts, metadata, signed?.alone ?? request)
    return authorizationUrl(metadata.authorization_endpoint, signed?.inUrl ?? request)
  } catch (error) {
    if (error instanceof ProviderRefused && meansBadRequest(error)) {
      const detail = { provider_error: error.error }
      throw new TokenHandlerError('authorization_failed', { detail, cause: error })
    }
    throw providerFailure(error)
  }
}

/** False when the client is at fault, so that nobody can sign in; true when only this request is. */
function meansBadRequest({ error }: ProviderRefused): boolean {
  return !['invalid_client', 'unauthorized_client', 'server_error', 'temporarily_unavailable'].includes(error)
}

function isPushed({ login }: Pick<Config, 'login'>, metadata: Metadata): boolean {
  if (login.pushedAuthorizationRequests === 'never') return false
  if (metadata.pushed_authorization_request_endpoint !== undefined) return true
  if (login.pushedAuthorizationRequests === 'auto') return false
  throw new ProviderAnswerInvalid('pushed_authorization_request', 'no_endpoint')
}

/** Longest request URI that is taken; it becomes part of a URL. */
const maxRequestUriLength = 512

/**
 * Pushes the request over the authenticated back channel, so that neither the browser nor its owner can change it.
 *
 * The URL then carries the reference and nothing else (FAPI 2.0 Security Profile §5.3.3.2).
 */
async function push(
  { authorizationServer }: RequestDeliveryParts,
  metadata: Metadata,
  request: URLSearchParams,
): Promise<string> {
  const { client, authenticate } = authorizationServer
  const endpoint = 'pushed_authorization_request'
  try {
    const options = authorizationServer.callOptions(endpoint)
    const response = await oauth.pushedAuthorizationRequest(metadata, client, authenticate, request, options)
    const { request_uri: uri } = await oauth.processPushedAuthorizationResponse(metadata, client, response)
    if (uri.length > maxRequestUriLength) throw new ProviderAnswerInvalid(endpoint, 'request_uri')
    const reference = new URLSearchParams({ client_id: client.client_id, request_uri: uri })
    return authorizationUrl(metadata.authorization_endpoint, reference)
  } catch (error) {
    throw asProviderError(error, endpoint)
  }
}

/**
 * A signed request in two forms: by itself (FAPI 2.0 Message Signing §5.3.2), and for a URL, where OpenID Connect Core
 * §6.1 demands that some of its parameters are repeated beside it.
 */
function signedRequest(request: URLSearchParams, object: string): { alone: URLSearchParams; inUrl: URLSearchParams } {
  const repeated = ['client_id', 'response_type', 'scope'].map((name): [string, string] => [
    name,
    request.get(name) ?? '',
  ])
  return {
    alone: new URLSearchParams({ request: object }),
    inUrl: new URLSearchParams([...repeated, ['request', object]]),
  }
}
