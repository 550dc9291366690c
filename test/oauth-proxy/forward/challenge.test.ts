import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CredentialSetting } from '../../../shared/config/schema.ts'
import { proofRefusal, upstreamRefusal } from '../../../oauth-proxy/forward/challenge.ts'

const refusal = (status: number, challenge?: string, credential?: string) => {
  const error = upstreamRefusal(
    status,
    challenge === undefined ? {} : { 'www-authenticate': challenge },
    credential,
    'user',
  )
  return error === undefined ? undefined : { code: error.code, ...error.fields }
}

const sized = (length: number) => 'Bearer error=insufficient_scope, realm='.padEnd(length, 'x')

describe('X-2 X-3 HX-33 the refusal of an API in our words', () => {
  it.each<[string, number, string | undefined, object | undefined]>([
    ['no challenge', 401, undefined, { code: 'upstream_unauthorized' }],
    ['a token it does not want', 401, 'Bearer error="invalid_token"', { code: 'upstream_unauthorized' }],
    ['another scheme', 401, 'Basic realm="api"', { code: 'upstream_unauthorized' }],
    ['another scheme in our words', 401, 'Basic error="insufficient_scope"', { code: 'upstream_unauthorized' }],
    ['a scheme that begins as ours', 403, 'Bearer2 error="insufficient_scope"', undefined],
    ['a scheme that ends as ours', 403, 'X-Bearer error="insufficient_scope"', undefined],
    ['the first of two errors', 403, 'Bearer error="access_denied", ERROR="insufficient_scope"', undefined],
    [
      'behind a token68 of our own scheme',
      403,
      'Bearer YWJj==, error=insufficient_scope',
      { code: 'insufficient_scope' },
    ],
    ['the error of a later challenge', 403, 'Bearer error=access_denied, Bearer error=insufficient_scope', undefined],
    ['a challenge of 4,096 characters', 403, sized(4096), { code: 'insufficient_scope' }],
    ['a longer one', 403, sized(4097), undefined],
    [
      'sixteen scopes',
      403,
      `Bearer error="insufficient_scope", scope="${'a '.repeat(15)}a"`,
      { code: 'insufficient_scope', scope: `${'a '.repeat(15)}a` },
    ],
    [
      'seventeen, which are too many',
      403,
      `Bearer error="insufficient_scope", scope="${'a '.repeat(16)}a"`,
      { code: 'insufficient_scope' },
    ],
    [
      'a scope of 128 characters',
      403,
      `Bearer error="insufficient_scope", scope="${'a'.repeat(128)}"`,
      { code: 'insufficient_scope', scope: 'a'.repeat(128) },
    ],
    [
      'a longer scope',
      403,
      `Bearer error="insufficient_scope", scope="${'a'.repeat(129)}"`,
      { code: 'insufficient_scope' },
    ],
    [
      'scopes further apart than one space',
      403,
      'Bearer error="insufficient_scope", scope=" a  b "',
      { code: 'insufficient_scope', scope: 'a b' },
    ],
    ['of a token that is bound', 403, 'DPoP error="insufficient_scope"', { code: 'insufficient_scope' }],
    ['a scope of spaces', 403, 'Bearer error="insufficient_scope", scope="  "', { code: 'insufficient_scope' }],
    [
      'a stronger sign-in',
      401,
      'Bearer error="insufficient_user_authentication", error_description="x", acr_values="urn:gold silver", max_age="60"',
      { code: 'insufficient_user_authentication', acr_values: 'urn:gold silver', max_age: 60 },
    ],
    [
      'upper case and no quotes',
      401,
      'BEARER ERROR=insufficient_user_authentication,MAX_AGE=5',
      { code: 'insufficient_user_authentication', max_age: 5 },
    ],
    [
      'behind another challenge',
      401,
      'Basic realm="a, b", Bearer realm="api", error="insufficient_user_authentication", acr_values=gold',
      { code: 'insufficient_user_authentication', acr_values: 'gold' },
    ],
    [
      'before another challenge',
      401,
      'Bearer error="insufficient_user_authentication", max_age=1, Basic realm="error=x"',
      { code: 'insufficient_user_authentication', max_age: 1 },
    ],
    [
      'behind a token68',
      401,
      'Negotiate YWJj==, Bearer error="insufficient_user_authentication"',
      { code: 'insufficient_user_authentication' },
    ],
    [
      'a missing scope',
      403,
      'Bearer error="insufficient_scope", scope="orders:write"',
      { code: 'insufficient_scope', scope: 'orders:write' },
    ],
    ['a 403 of its own', 403, undefined, undefined],
    ['a 403 with another error', 403, 'Bearer error="access_denied"', undefined],
    ['nothing wrong', 200, 'Bearer error="insufficient_scope"', undefined],
  ])('%s', (_, status, challenge, expected) => {
    expect(refusal(status, challenge)).toEqual(expected)
  })

  it.each([
    'acr_values="a\\"b"',
    'acr_values="<script>x</script> \u00fc"',
    `acr_values="${'a'.repeat(200)}"`,
    `acr_values="${'a '.repeat(30)}"`,
    'max_age="-1"',
    'max_age="1e3"',
    'max_age="99999999999"',
    'scope="a\\\\b"',
  ])('what is not in the form of its field is left out: %s', (parameter) => {
    expect(refusal(401, `Bearer error="insufficient_user_authentication", ${parameter}`)).toEqual({
      code: 'insufficient_user_authentication',
    })
  })

  it.each([
    ['as a scope', 'scope="opaque-1"', {}],
    ['among scopes', 'scope="orders:write opaque-1", max_age=5', { max_age: 5 }],
    ['within a scope', 'scope="for:opaque-1:only"', {}],
    ['with escapes', 'scope="op\\aque-1"', {}],
    ['without quotes', 'scope=opaque-1', {}],
    ['as a context', 'acr_values="gold opaque-1", scope="a"', { scope: 'a' }],
    ['beside honest scopes', 'error_description="opaque-1", scope="opaque"', { scope: 'opaque' }],
  ])('HX-24 a short token is not handed on: %s', (_, parameters, kept) => {
    const challenge = `Bearer error="insufficient_user_authentication", ${parameters}`
    expect(refusal(401, challenge, 'opaque-1')).toEqual({ code: 'insufficient_user_authentication', ...kept })
  })
  it('HX-24 nor is one of digits, as an age', () => {
    const challenge = 'Bearer error="insufficient_user_authentication", max_age="12345678"'
    expect(refusal(401, challenge, '12345678')).toEqual({ code: 'insufficient_user_authentication' })
  })

  it.each<[string, number, string | undefined, [string, string, string] | undefined]>([
    ['no challenge', 401, undefined, ['upstream_unauthorized', 'upstream_unauthorized', 'upstream_credential_refused']],
    [
      'a token',
      401,
      'Bearer error="invalid_token"',
      ['upstream_unauthorized', 'upstream_unauthorized', 'upstream_credential_refused'],
    ],
    [
      'a scope',
      403,
      'Bearer error="insufficient_scope", scope="a"',
      ['insufficient_scope', 'upstream_credential_refused', 'upstream_credential_refused'],
    ],
    [
      'a sign-in',
      401,
      'Bearer error="insufficient_user_authentication"',
      ['insufficient_user_authentication', 'upstream_credential_refused', 'upstream_credential_refused'],
    ],
    ['something else', 403, 'Bearer error="access_denied"', undefined],
  ])('a user cannot mend what the operator has set: %s', (_, status, challenge, expected) => {
    const fields = challenge === undefined ? {} : { 'www-authenticate': challenge }
    const codeFor = (sent: CredentialSetting['kind']) => upstreamRefusal(status, fields, undefined, sent)?.code
    const [user, application, key] = expected ?? []
    expect((['user', 'exchange', 'none'] as const).map(codeFor)).toEqual([user, user, user])
    expect([codeFor('client_credentials'), codeFor('api_key')]).toEqual([application, key])
  })

  it('any text is read quickly and gives a code of ours or nothing', () => {
    const word = fc.constantFrom('Bearer', 'error', '=', '"', 'insufficient_scope', ',', ' ', '\\', 'a', '==', 'scope')
    fc.assert(
      fc.property(fc.array(word, { maxLength: 200 }), fc.constantFrom(401, 403), (words, status) => {
        const codes = ['upstream_unauthorized', 'insufficient_scope', 'insufficient_user_authentication', undefined]
        expect(codes).toContain(refusal(status, words.join(''))?.code)
      }),
    )
  })
})

describe('what an API has against a proof', () => {
  it.each<[number, string | undefined, string | undefined]>([
    [401, 'DPoP error="use_dpop_nonce"', 'use_dpop_nonce'],
    [401, 'DPoP error="invalid_dpop_proof", error_description="x", algs="ES256"', 'invalid_dpop_proof'],
    // As the Express middleware of Auth0 puts it.
    [400, 'DPoP error="invalid_dpop_proof", error_description="x", algs="ES256 EdDSA"', 'invalid_dpop_proof'],
    [401, 'Bearer realm="api", DPoP error="invalid_dpop_proof"', 'invalid_dpop_proof'],
    // Of the token endpoint: an API says 401, and nothing else makes a call be sent twice.
    [400, 'DPoP error="use_dpop_nonce"', undefined],
    [403, 'DPoP error="invalid_dpop_proof"', undefined],
    [500, 'DPoP error="use_dpop_nonce"', undefined],
    [401, 'Bearer error="use_dpop_nonce"', undefined],
    [401, 'DPoP2 error="use_dpop_nonce"', undefined],
    [401, 'X-DPoP error="use_dpop_nonce"', undefined],
    [401, 'DPoP error="invalid_token"', undefined],
    [400, undefined, undefined],
  ])('%i %s', (status, challenge, expected) => {
    expect(proofRefusal(status, challenge === undefined ? {} : { 'www-authenticate': challenge })).toBe(expected)
  })
})
