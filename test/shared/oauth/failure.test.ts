import { expect, it } from 'vitest'
import { providerFailure } from '../../../shared/oauth/failure.ts'
import { ProviderUnavailable } from '../../../shared/oauth/provider-error.ts'

it.each([
  ['token', 'connection_lost', 'token_response_lost'],
  ['token', 'timeout', 'authorization_server_unavailable'],
  ['token', 'connect_failed', 'authorization_server_unavailable'],
  ['token', 'queue_full', 'overloaded'],
  ['metadata', 'connection_lost', 'authorization_server_unavailable'],
  ['jwks', 'connection_lost', 'authorization_server_unavailable'],
  ['userinfo', 'connection_lost', 'authorization_server_unavailable'],
  ['revocation', 'connection_lost', 'authorization_server_unavailable'],
  ['pushed_authorization_request', 'connection_lost', 'authorization_server_unavailable'],
] as const)('%s, %s is %s: only an answer with tokens can be lost', (endpoint, reason, code) => {
  const failure = providerFailure(new ProviderUnavailable(endpoint, reason, 7))
  expect([failure.code, failure.fields.retry_after, failure.detail.check]).toEqual([code, 7, reason])
})
