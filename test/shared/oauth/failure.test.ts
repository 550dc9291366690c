import * as jose from 'jose/errors'
import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { asProviderError, continuationFailure, jwtCheck, providerFailure } from '../../../shared/oauth/failure.ts'
import { ProviderAnswerInvalid, ProviderRefused, ProviderUnavailable } from '../../../shared/oauth/provider-error.ts'

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

it.each([
  ['invalid_client', 'client_authentication_failed', 30],
  ['unauthorized_client', 'client_authentication_failed', 30],
  ['temporarily_unavailable', 'authorization_server_unavailable', 1],
  ['server_error', 'authorization_server_unavailable', 1],
  ['invalid_request', 'authorization_server_error', undefined],
  ['login_required', 'authorization_server_error', undefined],
])('%s is %s, and may be tried again after %j seconds', (word, code, seconds) => {
  const refused = new ProviderRefused('token', word, 400)
  const failure = providerFailure(refused)
  expect([failure.code, failure.fields.retry_after, failure.detail]).toEqual([code, seconds, { provider_error: word }])
  expect(failure.cause).toBe(refused)
})

it.each(['consent_required', 'interaction_required', 'login_required'])(
  '%s sends the user to sign in again only from a session that goes on',
  (word) => {
    const refused = new ProviderRefused('token', word, 400)
    expect(continuationFailure(refused)).toMatchObject({ code: word, detail: { provider_error: word } })
    expect(providerFailure(refused).code).toBe('authorization_server_error')
  },
)

it('what nobody expected is a failure of ours, and what is ours already stays as it is', () => {
  const unexpected = new TypeError('x is not a function')
  const ours = new TokenHandlerError('id_token_invalid')
  expect(providerFailure(unexpected)).toMatchObject({ code: 'server_error', cause: unexpected })
  expect(continuationFailure(unexpected).code).toBe('server_error')
  expect(providerFailure(ours)).toBe(ours)
})

describe('a refusal with challenges, which the library reads before the body', () => {
  const refusal = (status: number, challenges: Record<string, string>[]) =>
    new oauth.WWWAuthenticateChallengeError('free text', {
      cause: challenges.map((parameters) => ({ scheme: 'basic', parameters })),
      response: new Response(null, { status }),
    })

  it.each([
    ['revocation', 401, [{ realm: 'as' }], 'invalid_client'],
    ['pushed_authorization_request', 401, [{ realm: 'as' }], 'invalid_client'],
    ['pushed_authorization_request', 403, [{ realm: 'as' }], 'no_error_code'],
    ['pushed_authorization_request', 401, [{ realm: 'as' }, { error: 'invalid_request' }], 'invalid_request'],
    ['userinfo', 401, [{ realm: 'as' }], 'no_error_code'],
    ['userinfo', 401, [{ realm: 'as' }, { error: 'invalid_token' }], 'invalid_token'],
  ] as const)('of %s with %i and %j is %s', (endpoint, status, challenges, error) => {
    expect(asProviderError(refusal(status, [...challenges]), endpoint)).toMatchObject({ endpoint, error, status })
  })
})

describe('failures of the libraries, read by class and code', () => {
  const invalid = (check: string) => ({ name: 'ProviderAnswerInvalid', endpoint: 'userinfo', check })
  const challenge = (parameters: Record<string, string>) =>
    new oauth.WWWAuthenticateChallengeError('free text', {
      cause: [{ scheme: 'bearer', parameters }],
      response: new Response(null, { status: 401 }),
    })
  it.each<[string, Error, object]>([
    [
      'a challenge',
      challenge({ error: 'invalid_token' }),
      { name: 'ProviderRefused', error: 'invalid_token', status: 401 },
    ],
    ['a challenge without a word', challenge({}), { name: 'ProviderRefused', error: 'no_error_code', status: 401 }],
    [
      'a challenge of free text',
      challenge({ error: 'for alice@example.com' }),
      { name: 'ProviderRefused', error: 'other' },
    ],
    [
      'an answer that is not conform',
      new oauth.OperationProcessingError('free text', { code: oauth.RESPONSE_IS_NOT_CONFORM }),
      invalid('response_is_not_conform'),
    ],
    [
      'what the library does not do',
      new oauth.UnsupportedOperationError('free text', { cause: undefined }),
      invalid('unsupported_operation'),
    ],
    ['a check without a code', new oauth.OperationProcessingError('free text'), invalid('unknown')],
    ['a JWT', new jose.JWEDecryptionFailed(), invalid('jwe_decryption_failed')],
  ])('%s', (_, error, expected) => {
    expect(asProviderError(error, 'userinfo')).toMatchObject({ endpoint: 'userinfo', ...expected })
  })

  const ours = [
    new ProviderUnavailable('token', 'timeout', 1),
    new ProviderRefused('token', 'invalid_grant', 400),
    new ProviderAnswerInvalid('token', 'json'),
    new TokenHandlerError('id_token_invalid'),
    new TypeError('fetch failed'),
  ]
  it.each(ours.map((error) => [error.name, error]))('%s passes through', (_, error) => {
    expect(asProviderError(error, 'userinfo')).toBe(error)
  })

  it.each<[string, Error]>([
    ['exp', new jose.JWTExpired('free text', {}, 'exp')],
    ['aud', new jose.JWTClaimValidationFailed('free text', {}, 'aud')],
    ['kid', new jose.JWKSNoMatchingKey()],
    ['kid', new jose.JWKSMultipleMatchingKeys()],
    ['signature', new jose.JWSSignatureVerificationFailed()],
    ['alg', new jose.JOSEAlgNotAllowed()],
    ['format', new jose.JWTInvalid()],
    ['unknown', new Error('free text')],
  ])('%s is the check that a JWT failed', (check, error) => {
    expect(jwtCheck(error)).toBe(check)
  })
})
