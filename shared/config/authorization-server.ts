import { z } from 'zod'
import { credentials, filePath, httpsUrl, lineOfText, milliseconds, proxyOrigin, seconds, secret } from './values.ts'

/** The `authorization_server` section. */
export const authorizationServerSettings = z.strictObject({
  // It is sealed with every cookie, with its length in two bytes.
  issuer: httpsUrl.max(2048).meta({
    description: 'Issuer identifier, exactly as the metadata document spells it (OpenID Connect Discovery §4.3).',
    examples: ['https://login.example.com'],
  }),
  timeout_ms: milliseconds
    .default(8000)
    .meta({ description: 'Longest time to wait for an answer of the authorization server.' }),
  max_concurrent_requests: z.number().int().positive().default(50).meta({
    description:
      'Simultaneous calls to the authorization server; more wait in a bounded queue and get 503 when it is full.',
  }),
  clock_tolerance_seconds: seconds
    .max(120)
    .default(30)
    .meta({ description: 'Accepted difference between its clock and ours.' }),
  id_token_algorithms: z
    .array(
      z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']),
    )
    .min(1)
    .default(['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'])
    .meta({ description: 'Signature algorithms accepted on ID tokens, logout tokens, userinfo and JARM responses.' }),
  metadata_max_age_seconds: seconds.default(3600).meta({
    description: 'Age at which metadata is fetched again; an older copy is used while that fails.',
  }),
  jwks_max_age_seconds: seconds.default(600).meta({
    description:
      'Age at which the key set is fetched again; an older copy is used meanwhile, and while that fails, but one of twice this age only once fetching it has failed.',
  }),
  ca_file: filePath
    .optional()
    .meta({ description: 'PEM file of certificate authorities to trust instead of the system ones.' }),
  http_proxy: proxyOrigin.optional().meta({
    description:
      'HTTP proxy through which every call to the authorization server goes, in a CONNECT tunnel (RFC 9110 §9.3.6); none if absent, whatever the environment says.',
    examples: ['http://proxy.example.com:3128'],
  }),
  http_proxy_authorization: credentials.optional().meta({
    description:
      'Proxy-Authorization for that proxy (RFC 9110 §11.7.2): scheme and credentials, such as Basic and the Base64 form of user:password.',
  }),
  http_proxy_ca_file: filePath.optional().meta({
    description: 'PEM file of certificate authorities for an https: proxy, instead of the system ones.',
  }),
  require_issuer_in_response: z.enum(['metadata', 'always']).default('metadata').meta({
    description: 'Whether a response without iss is refused: as the metadata says, or always (RFC 9207 §2.4).',
  }),
  require_signed_userinfo: z.boolean().default(false).meta({
    description:
      'Refuses userinfo that is not a signed JWT; for a client that is registered with userinfo_signed_response_alg (OpenID Connect Core §5.3.2).',
  }),
  trusted_audiences: z.array(z.string()).default([]).meta({
    description: 'Further audiences accepted in an ID token, besides the client id (OpenID Connect Core §3.1.3.7).',
  }),
})

const clientId = lineOfText.max(512).meta({ description: 'Client identifier, as registered.', examples: ['my-app'] })
/** Spelled as the client metadata of RFC 9449 §5.2. */
const dpopBoundAccessTokens = z.boolean().default(false).meta({
  description:
    'Binds access tokens to a key that only agent and proxy have, which prove it with every call (DPoP, RFC 9449 §5.2); agent and proxy need the same value.',
})
const clientSecret = secret.meta({
  description: 'Client secret, as registered; better kept in a file, which SIGHUP reads again.',
})
const privateKeyJwt = {
  private_key_file: filePath.meta({
    description: 'PEM file with a PKCS #8 private key.',
    examples: ['/run/secrets/client-key.pem'],
  }),
  key_id: z.string().optional().meta({ description: 'kid of the key; the RFC 7638 thumbprint if absent.' }),
  algorithm: z
    .enum(['ES256', 'PS256', 'EdDSA', 'RS256'])
    .default('ES256')
    .meta({ description: 'Signature algorithm of assertions and signed request objects.' }),
  next_private_key_file: filePath.optional().meta({
    description: 'The next key, published with the current one so that it can take over without a gap.',
  }),
  typed_assertion: z.boolean().default(true).meta({
    description: 'Sends typ client-authentication+jwt in assertions (rfc7523bis); off for servers that refuse it.',
  }),
}
const certificate = {
  certificate_file: filePath.meta({
    description: 'PEM file with the client certificate chain.',
    examples: ['/run/secrets/client.crt'],
  }),
  private_key_file: filePath.meta({
    description: 'PEM file with the private key of the certificate.',
    examples: ['/run/secrets/client.key'],
  }),
}

/** Who we are at the authorization server; always a confidential client (RFC 10017 §6.1.3.1). */
export const clientSettings = z.discriminatedUnion('authentication', [
  z.strictObject({
    id: clientId,
    authentication: z
      .literal('client_secret_basic')
      .meta({ description: 'The secret in an Authorization header (RFC 6749 §2.3.1).' }),
    secret: clientSecret,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
  }),
  z.strictObject({
    id: clientId,
    authentication: z.literal('client_secret_post').meta({ description: 'The secret in the body (RFC 6749 §2.3.1).' }),
    secret: clientSecret,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
  }),
  z.strictObject({
    id: clientId,
    authentication: z
      .literal('private_key_jwt')
      .meta({ description: 'A signed assertion (RFC 7523 §2.2); recommended.' }),
    ...privateKeyJwt,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
  }),
  z.strictObject({
    id: clientId,
    authentication: z
      .literal('tls_client_auth')
      .meta({ description: 'A client certificate of a known authority (RFC 8705 §2.1).' }),
    ...certificate,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
  }),
  z.strictObject({
    id: clientId,
    authentication: z
      .literal('self_signed_tls_client_auth')
      .meta({ description: 'A registered self-signed client certificate (RFC 8705 §2.2).' }),
    ...certificate,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
  }),
])
