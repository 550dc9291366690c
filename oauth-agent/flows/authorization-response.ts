import * as oauth from 'oauth4webapi'
import type { Config } from '../../shared/config/schema.ts'
import { type ErrorCode, TokenHandlerError } from '../../shared/errors.ts'
import type { LoginContent } from '../../shared/cookies/session.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { providerErrorWord } from '../../shared/oauth/provider-error.ts'
import type { Parameters } from './parameters.ts'

/** What a silent sign-in finds where the server needs the user (OpenID Connect Core §3.1.2.6); an answer, and no failure. */
const userNeeded = ['login_required', 'consent_required', 'interaction_required', 'account_selection_required'] as const

/**
 * Errors of the authorization endpoint that mean something of their own (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6;
 * the last has a specification of its own, OpenID Connect Core Error Code unmet_authentication_requirements).
 */
const meanings: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['access_denied', 'access_denied'],
  ...userNeeded.map((code) => [code, code] as const),
  ['unmet_authentication_requirements', 'step_up_not_reached'],
])

const neverEmpty = ['iss', 'state', 'code', 'error']

/** RFC 6749 A.11, at no more than twice the length that servers are known to use: anything else would be a visitor's own. */
const codeForm = /^[\x20-\x7e]{1,4096}$/

/**
 * Checks the authorization response and gives the parameters that the code exchange needs.
 *
 * Only the form of the values is judged before the issuer, so neither a code nor an error of another server means anything
 * (RFC 9207 §2.4).
 * Throws `authorization_response_invalid`, or the meaning of the server's own error; never its text.
 */
export function checkAuthorizationResponse(
  parameters: Parameters,
  attempt: LoginContent,
  parts: { metadata: Metadata; client: oauth.Client; settings: Pick<Config, 'authorizationServer'> },
): URLSearchParams {
  const { metadata, client, settings } = parts
  const { requireIssuerInResponse } = settings.authorizationServer
  if (requireIssuerInResponse === 'always' && !parameters.has('iss')) throw invalid('iss_missing')
  // Readers differ on whether an empty value is there: `iss=` must not count as none, nor `error=` as no error.
  if (neverEmpty.some((name) => parameters.get(name) === '')) throw invalid('form')
  if (parameters.has('code') === parameters.has('error')) throw invalid('code_or_error')
  if (!codeForm.test(parameters.get('code') ?? 'none')) throw invalid('form')
  try {
    return oauth.validateAuthResponse(metadata, client, new URLSearchParams([...parameters]), attempt.state)
  } catch (error) {
    if (error instanceof oauth.AuthorizationResponseError) throw meaningOf(error.error, attempt)
    if (error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError) {
      throw invalid(parameters.get('iss') === metadata.issuer ? 'form' : 'iss', error)
    }
    throw error
  }
}

function meaningOf(error: string, { prompt }: LoginContent): TokenHandlerError {
  const context = { detail: { provider_error: providerErrorWord(error) } }
  if (error === 'temporarily_unavailable') {
    return new TokenHandlerError('authorization_server_unavailable', { ...context, fields: { retry_after: 5 } })
  }
  // Without prompt=none a page that takes this for "nobody is signed in" would send the user back without end.
  const isSilent = prompt === 'none' && userNeeded.some((code) => code === error)
  return new TokenHandlerError(meanings.get(error) ?? 'authorization_failed', {
    ...context,
    ...(isSilent && { fields: { prompt: 'none' } }),
  })
}

function invalid(check: string, cause?: unknown): TokenHandlerError {
  return new TokenHandlerError('authorization_response_invalid', { detail: { check }, cause })
}
