import type { TunnelFailureReason } from './tunnel.ts'

/** Endpoints of the authorization server, as events and limits name them. */
export type ProviderEndpoint =
  | 'authorization'
  | 'metadata'
  | 'jwks'
  | 'token'
  | 'userinfo'
  | 'revocation'
  | 'pushed_authorization_request'

/** Why no usable answer came; those of a tunnel are about the HTTP proxy on the way. */
export type UnavailableReason =
  | TunnelFailureReason
  | 'timeout'
  | 'connect_failed'
  | 'connection_lost'
  | 'server_error'
  | 'gateway_error'
  | 'rate_limited'
  | 'circuit_open'
  | 'queue_full'
  | 'stopped'

/**
 * The authorization server gave no answer that says anything about the request; it may or may not have acted on it.
 */
export class ProviderUnavailable extends Error {
  override readonly name = 'ProviderUnavailable'
  readonly endpoint: ProviderEndpoint
  readonly reason: UnavailableReason
  readonly retryAfterSeconds: number

  constructor(endpoint: ProviderEndpoint, reason: UnavailableReason, retryAfterSeconds: number, cause?: unknown) {
    super(reason, cause === undefined ? undefined : { cause })
    this.endpoint = endpoint
    this.reason = reason
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** The authorization server answered, and the answer cannot be used; `check` names what failed. */
export class ProviderAnswerInvalid extends Error {
  override readonly name = 'ProviderAnswerInvalid'
  readonly endpoint: ProviderEndpoint
  readonly check: string

  constructor(endpoint: ProviderEndpoint, check: string, cause?: unknown) {
    super(check, cause === undefined ? undefined : { cause })
    this.endpoint = endpoint
    this.check = check
  }
}

/** The authorization server answered with an OAuth error code (RFC 6749 §5.2), whatever its HTTP status (D24). */
export class ProviderRefused extends Error {
  override readonly name = 'ProviderRefused'
  readonly endpoint: ProviderEndpoint
  /** The `error` code if it is one of a known list, else `other`, or `no_error_code`; free text is never kept. */
  readonly error: string
  readonly status: number

  constructor(endpoint: ProviderEndpoint, error: unknown, status: number) {
    super('refused')
    this.endpoint = endpoint
    this.error = error === undefined ? 'no_error_code' : providerErrorWord(error)
    this.status = status
  }
}

/**
 * RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6 and its extension for unmet_authentication_requirements,
 * RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 8707 §2, RFC 9396 §5, RFC 9449 §5 and §8, RFC 9470 §3.
 */
const knownErrors: ReadonlySet<string> = new Set([
  'access_denied',
  'account_selection_required',
  'consent_required',
  'insufficient_scope',
  'insufficient_user_authentication',
  'interaction_required',
  'invalid_authorization_details',
  'invalid_client',
  'invalid_dpop_proof',
  'invalid_grant',
  'invalid_request',
  'invalid_request_object',
  'invalid_scope',
  'invalid_target',
  'invalid_token',
  'login_required',
  'server_error',
  'temporarily_unavailable',
  'unauthorized_client',
  'unmet_authentication_requirements',
  'unsupported_grant_type',
  'unsupported_response_type',
  'unsupported_token_type',
  'use_dpop_nonce',
])

/** An error code of the authorization server as a word that may be logged and compared; `other` if it is none we know. */
export function providerErrorWord(error: unknown): string {
  return typeof error === 'string' && knownErrors.has(error) ? error : 'other'
}
