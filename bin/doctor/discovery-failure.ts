import type { Config } from '../../shared/config/schema.ts'
import { failureCode } from '../../shared/failure-code.ts'
import {
  ProviderAnswerInvalid,
  ProviderUnavailable,
  type UnavailableReason,
} from '../../shared/oauth/provider-error.ts'
import { error, type Finding } from './finding.ts'
import { whyUnavailable } from './why-unavailable.ts'

/** What to do where something answered, or the HTTP proxy is what failed. */
const remedies: Readonly<Partial<Record<UnavailableReason, string>>> = {
  server_error: 'It answers, but with an error of its own: look at its log.',
  gateway_error: 'What stands before it answers in its place: check that it runs, and that its gateway reaches it.',
  rate_limited: 'It answers, but limits requests from here: wait, or raise its limit.',
  proxy_connect_failed: 'Check authorization_server.http_proxy, the network to it and, for https:, http_proxy_ca_file.',
  proxy_timeout: 'Check that the proxy is well, and that it reaches the authorization server.',
  proxy_refused:
    'With 407 check authorization_server.http_proxy_authorization_file; else let the proxy admit this host and port.',
  proxy_gateway_error:
    'The proxy answers, but does not reach the authorization server: check its names and its network.',
}

/** What to do where the authorization server takes no proofs of ours. */
export const dpopRemedy =
  'Switch DPoP with ES256 on at the authorization server, or set client.dpop_bound_access_tokens: false.'

/** Says why the metadata of the authorization server cannot be had. */
export function discoveryFailure(config: Config, failure: unknown): Finding {
  const { issuer, httpProxy } = config.authorizationServer
  if (failure instanceof ProviderUnavailable) {
    const way = httpProxy === undefined ? '' : ` through ${httpProxy}`
    return error(
      'provider.discovery',
      `${issuer} cannot be reached${way} (${whyUnavailable(failure, config)})`,
      remedies[failure.reason] ??
        'Check name resolution, firewall, proxy and the certificate authority (authorization_server.ca_file).',
    )
  }
  if (failureCode(failure) === 'ERR_INVALID_URL') {
    return error(
      'provider.issuer',
      'the metadata document names an issuer that is no URL',
      'The authorization server has to be configured with its public URL.',
    )
  }
  if (failure instanceof ProviderAnswerInvalid && failure.check === 'issuer') {
    return error(
      'provider.issuer',
      'the metadata document names another issuer',
      'Copy the value of "issuer" from the document, with or without its last slash, to authorization_server.issuer.',
    )
  }
  if (failure instanceof ProviderAnswerInvalid && failure.check === 'dpop') {
    return error('provider.dpop', 'proofs (DPoP) may not be signed with ES256', dpopRemedy)
  }
  const check = failure instanceof ProviderAnswerInvalid ? failure.check : 'unknown'
  const member = checkedMembers[check]
  return error(
    'provider.discovery',
    `the metadata document at ${issuer.replace(/\/$/, '')}/.well-known/openid-configuration cannot be used (${check})`,
    member === undefined
      ? 'Open it: what is there is no JSON object with an issuer and status 200. Copy the issuer from the pages of your server.'
      : `Open it and look at ${member}: the authorization server has to be configured otherwise.`,
  )
}

/** What the checks of the metadata look at. */
const checkedMembers: Readonly<Record<string, string | undefined>> = {
  authorization_endpoint: 'authorization_endpoint',
  token_endpoint: 'token_endpoint',
  jwks_uri: 'jwks_uri',
  pkce: 'code_challenge_methods_supported, which has to list S256',
}
