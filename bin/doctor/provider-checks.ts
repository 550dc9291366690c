import { authorizationServerSettings, clientSettings } from '../../shared/config/authorization-server.ts'
import type { Config, CredentialSetting, Route } from '../../shared/config/schema.ts'
import { keyTypes } from '../../shared/crypto/client-algorithms.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { discoveryFailure, dpopRemedy } from './discovery-failure.ts'
import { error, type Finding, ok, skipped, warning } from './finding.ts'

/** What the authorization server says of itself, against what the settings ask of it. */
export async function* providerChecks(
  config: Config,
  server: Pick<AuthorizationServer, 'metadata'>,
): AsyncIterable<Finding> {
  let metadata: Metadata
  try {
    metadata = await server.metadata()
  } catch (failure) {
    yield discoveryFailure(config, failure)
    return
  }
  yield ok('provider.discovery', `${metadata.issuer} is reached and names itself exactly so`)
  const { httpProxy } = config.authorizationServer
  if (httpProxy !== undefined) {
    yield ok('provider.http_proxy', `every call to the authorization server goes through ${httpProxy}`)
  }
  yield* clientAbilities(config, metadata)
  yield* responseAbilities(config, metadata)
  yield* tokenAbilities(config, metadata)
  yield* requestAbilities(config, metadata)
  yield* signingAbilities(config, metadata)
  yield* signOutAbilities(config, metadata)
  yield* endpointChecks(config, metadata)
}

/** How the client proves who it is, and that a code is its own. */
function* clientAbilities({ client }: Config, metadata: Metadata): Iterable<Finding> {
  yield listed(metadata.code_challenge_methods_supported, 'S256')
    ? ok('provider.pkce', 'PKCE with S256 is supported')
    : warning(
        'provider.pkce',
        'the metadata does not say that PKCE is supported',
        'Switch PKCE on at the authorization server.',
      )

  if (client.dpopBoundAccessTokens) {
    yield listed(metadata.dpop_signing_alg_values_supported, 'ES256')
      ? ok('provider.dpop', 'access tokens can be bound to our key: proofs (DPoP) may be signed with ES256')
      : error('provider.dpop', 'the metadata does not say that proofs (DPoP) are taken', dpopRemedy)
  }

  yield authenticationFinding(client.authentication, metadata.token_endpoint_auth_methods_supported)
  if (client.authentication.startsWith('client_secret')) {
    yield warning(
      'client.authentication',
      'a client secret can be copied wherever it is sent or stored',
      'Prefer private_key_jwt where the authorization server supports it.',
    )
  }
}

function authenticationFinding(ours: Config['client']['authentication'], theirs: unknown): Finding {
  const check = 'provider.client_authentication'
  const methods = listOf(theirs, ['client_secret_basic'])
  if (methods === undefined) return noList(check, 'token_endpoint_auth_methods_supported')
  if (methods.includes(ours)) return ok(check, `${ours} is supported`)
  const known = clientSettings.options.map(({ shape }) => shape.authentication.value)
  const shared = known.filter((method) => methods.includes(method))
  return error(
    check,
    `${ours} is not among ${methods.join(', ')}`,
    shared.length > 0
      ? `Change client.authentication: ${shared.join(', ')}.`
      : `Switch on one of these at the authorization server: ${known.join(', ')}.`,
  )
}

/** What tells that a response and an ID token are of this server. */
function* responseAbilities({ authorizationServer }: Config, metadata: Metadata): Iterable<Finding> {
  yield idTokenFinding(authorizationServer, metadata['id_token_signing_alg_values_supported'])

  yield metadata.authorization_response_iss_parameter_supported === true
    ? ok('provider.iss', 'responses carry iss (RFC 9207)')
    : authorizationServer.requireIssuerInResponse === 'always'
      ? error(
          'provider.iss',
          'responses carry no iss',
          'Set authorization_server.require_issuer_in_response: metadata.',
        )
      : skipped('provider.iss', 'responses carry no iss (RFC 9207); with a single authorization server nothing is lost')
}

function idTokenFinding({ idTokenAlgorithms }: Config['authorizationServer'], theirs: unknown): Finding {
  const check = 'provider.id_token_algorithms'
  const algorithms = listOf(theirs, []) ?? []
  const shared = idTokenAlgorithms.filter((algorithm) => algorithms.includes(algorithm))
  if (shared.length > 0) return ok(check, `ID tokens may be signed with ${shared.join(', ')}`)
  const known = authorizationServerSettings.shape.id_token_algorithms.unwrap().element.options
  const possible = known.filter((algorithm) => algorithms.includes(algorithm))
  return error(
    check,
    'no signature algorithm is accepted by both sides',
    possible.length > 0
      ? `Widen authorization_server.id_token_algorithms: ${possible.join(', ')}.`
      : `Let the authorization server sign ID tokens with one of ${known.join(', ')}.`,
  )
}

/** Tokens that sessions and routes live on. */
function* tokenAbilities({ login, proxy }: Config, metadata: Metadata): Iterable<Finding> {
  yield* grantAbilities(proxy.routes, metadata.grant_types_supported)
  if (login.resource.length > 1) {
    yield warning(
      'login.resource',
      'one access token is for several APIs, so each of them could use it at the others (RFC 10017 §9.1)',
      'Keep one, and give the routes to the others credential.kind: exchange.',
    )
  }

  yield* scopeAbilities(login.scope.split(' '), metadata.scopes_supported)
}

function* grantAbilities(routes: readonly Route[], theirs: unknown): Iterable<Finding> {
  const grants = listOf(theirs, ['authorization_code', 'implicit'])
  if (grants === undefined) {
    yield noList('provider.refresh_token', 'grant_types_supported')
    return
  }
  yield grants.includes('refresh_token')
    ? ok('provider.refresh_token', 'refresh tokens are supported')
    : warning(
        'provider.refresh_token',
        'the metadata does not list refresh_token',
        'Without it, sessions end with the access token.',
      )
  for (const grant of new Set(routes.flatMap(({ credential }) => grantOf[credential.kind] ?? []))) {
    if (grants.includes(grant)) continue
    yield warning(
      'provider.grants',
      `the metadata does not list ${grant}, which a route uses`,
      'Allow it for this client.',
    )
  }
}

function* scopeAbilities(asked: readonly string[], theirs: unknown): Iterable<Finding> {
  if (theirs === undefined || theirs === null) {
    yield skipped('provider.scope', 'the metadata lists no scopes')
    return
  }
  const scopes = listOf(theirs, [])
  if (scopes === undefined) {
    yield noList('provider.scope', 'scopes_supported')
    return
  }
  const unknown = asked.filter((scope) => !scopes.includes(scope))
  yield unknown.length === 0
    ? ok('provider.scope', 'every scope of login.scope is known')
    : warning(
        'provider.scope',
        `${unknown.join(', ')} is not listed`,
        'Some servers list only part; check the spelling.',
      )
  if (!asked.includes('offline_access') && scopes.includes('offline_access')) {
    yield warning(
      'provider.offline_access',
      'login.scope does not ask for offline_access, which some servers demand for refresh tokens',
      'Add it if the session of GET /session has no refresh_in: then there is no refresh token.',
    )
  }
}

/** Grants of routes whose credential is asked for at the authorization server. */
const grantOf: Readonly<Partial<Record<CredentialSetting['kind'], string>>> = {
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  client_credentials: 'client_credentials',
}

/** How requests and responses travel. */
function* requestAbilities({ login }: Config, metadata: Metadata): Iterable<Finding> {
  if (login.pushedAuthorizationRequests === 'always' && metadata.pushed_authorization_request_endpoint === undefined) {
    yield error(
      'provider.par',
      'there is no endpoint for pushed requests',
      'Set login.pushed_authorization_requests: auto.',
    )
  }
  if (login.pushedAuthorizationRequests === 'never' && metadata.require_pushed_authorization_requests === true) {
    yield error('provider.par', 'pushed requests are required', 'Set login.pushed_authorization_requests: auto.')
  }
  if (login.responseMode === 'jwt' && !listed(metadata.response_modes_supported, 'jwt')) {
    yield error('provider.jarm', 'signed responses (JARM) are not listed', 'Set login.response_mode: query.')
  }
}

/** What is left of a session at the authorization server when it ends here, and the other way round. */
function* signOutAbilities({ logout, cookies }: Config, metadata: Metadata): Iterable<Finding> {
  if (metadata.revocation_endpoint === undefined && logout.revoke) {
    yield warning(
      'provider.revocation',
      'tokens cannot be revoked at sign-out',
      'Nothing to do here; keep tokens short-lived.',
    )
  }
  yield metadata.end_session_endpoint === undefined
    ? warning('provider.end_session', 'there is no sign-out at the authorization server', 'Users stay signed in there.')
    : ok(
        'provider.end_session',
        `sign-out there ${cookies.idTokenHint ? 'without a question' : 'may ask the user; cookies.id_token_hint avoids that'}`,
      )
  if (logout.backchannel && metadata.backchannel_logout_supported !== true) {
    yield error('provider.backchannel_logout', 'back-channel logout is not supported', 'Set logout.backchannel: false.')
  }
}

/** What we sign, against what the server takes (RFC 8414 §2, RFC 9101 §10.5). */
function* signingAbilities({ login, client }: Config, metadata: Metadata): Iterable<Finding> {
  if (!login.signedRequestObject && metadata.require_signed_request_object === true) {
    yield error('provider.jar', 'signed requests are required', 'Set login.signed_request_object: true.')
  }
  if (client.authentication !== 'private_key_jwt') return
  const signed: [check: string, what: string, accepted: unknown][] = [
    ['provider.client_algorithm', 'assertions', metadata.token_endpoint_auth_signing_alg_values_supported],
  ]
  if (login.signedRequestObject) {
    signed.push(['provider.jar', 'request objects', metadata.request_object_signing_alg_values_supported])
  }
  for (const [check, what, accepted] of signed) {
    const algorithms = listOf(accepted, [])
    if (accepted === undefined || algorithms === undefined) continue
    yield algorithms.includes(client.algorithm)
      ? ok(check, `${what} may be signed with ${client.algorithm}`)
      : error(check, `${client.algorithm} is not accepted for ${what}`, otherAlgorithms(algorithms))
  }
}

function otherAlgorithms(accepted: readonly string[]): string {
  const known = Object.keys(keyTypes)
  const shared = known.filter((algorithm) => accepted.includes(algorithm))
  if (shared.length > 0) return `Change client.algorithm: ${shared.join(', ')}.`
  return `Switch on one of these at the authorization server: ${known.join(', ')}.`
}

function* endpointChecks(config: Config, metadata: Metadata): Iterable<Finding> {
  const names = [
    'userinfo_endpoint',
    'revocation_endpoint',
    'end_session_endpoint',
    'pushed_authorization_request_endpoint',
  ] as const
  for (const name of names) {
    const value: unknown = metadata[name]
    if (value === undefined || config.insecureAllowHttp) continue
    if (typeof value === 'string' && value.startsWith('https:')) continue
    yield error(
      `provider.${name}`,
      'is not an https: URL',
      'The authorization server has to be configured with its public URL.',
    )
  }
}

function listed(values: unknown, wanted: string): boolean {
  return listOf(values, [])?.includes(wanted) === true
}

/** The texts of a list in the metadata; `absent` where there is none, undefined for what is no list. */
function listOf(values: unknown, absent: readonly string[]): readonly string[] | undefined {
  // Some servers write null for what RFC 8414 §3.2 has them leave out.
  if (values === undefined || values === null) return absent
  return Array.isArray(values) ? values.filter((value) => typeof value === 'string') : undefined
}

function noList(check: string, member: string): Finding {
  return skipped(check, `${member} of the metadata is no list, so it does not tell`)
}
