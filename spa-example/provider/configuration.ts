import { randomBytes, X509Certificate } from 'node:crypto'
import type { JWK } from 'jose'
import { type ClientMetadata, errors, interactionPolicy, type OidcContext, type Provider } from 'oidc-provider'
import type { Clock } from '../../shared/clock.ts'
import { createAdapter } from './adapter.ts'
import { signOutPage, errorPage, goodbyePage } from './pages.ts'
import { demoUsers } from './users.ts'

/** The level of authentication that asks for the second factor. */
export const mfaLevel = 'urn:example:mfa'
/** The level of a sign-in with user name and password. */
export const passwordLevel = 'urn:example:pwd'

/** An API for which access tokens are issued (RFC 8707). */
export interface ApiResource {
  readonly identifier: string
  /** Scope tokens that the API knows, space-separated. */
  readonly scope: string
}

export interface ProviderSettings {
  readonly clients: readonly ClientMetadata[]
  /** The first is the audience of every token for which no other was asked. */
  readonly resources: readonly [ApiResource, ...ApiResource[]]
  readonly accessTokenSeconds: number
  readonly refreshTokenSeconds: number
  readonly codeSeconds: number
  /** A new refresh token at every refresh; using an old one again revokes the whole grant (RFC 9700 §4.14.2). */
  readonly rotateRefreshTokens: boolean
  /** Demands a nonce of this server in every DPoP proof (RFC 9449 §8). */
  readonly requireDpopNonce: boolean
  /** Claims added to every access token, for instance to make it large. */
  readonly accessTokenClaims: (subject: string | undefined) => Readonly<Record<string, unknown>>
}

interface Parts extends ProviderSettings {
  readonly signingKeys: readonly JWK[]
  readonly cookieSuffix: string
  readonly clock: Clock
}

const openidScope = 'openid profile email offline_access'
const openidTokens = new Set(openidScope.split(' '))

/** What a token for this resource may hold; throws `InvalidTarget` for a resource nobody registered. */
export function resourceInfo({ resources, accessTokenSeconds }: ProviderSettings, identifier: string) {
  const resource = resources.find((known) => known.identifier === identifier)
  if (resource === undefined) throw new errors.InvalidTarget()
  return {
    scope: `${openidScope} ${resource.scope}`,
    ownScope: resource.scope,
    audience: identifier,
    accessTokenTTL: accessTokenSeconds,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'ES256' } },
  }
}

function askForSecondFactor(): ReturnType<typeof interactionPolicy.base> {
  const policy = interactionPolicy.base()
  policy.get('login').checks.add(
    new interactionPolicy.Check('step_up', 'a second factor is needed', 'login_required', (ctx) => {
      const wanted = ctx.oidc.params['acr_values']?.split(' ') ?? []
      return wanted.includes(mfaLevel) && ctx.oidc.acr !== mfaLevel
    }),
  )
  return policy
}

/** The certificate that a client showed in the TLS handshake, for RFC 8705 client authentication. */
const mutualTls = {
  enabled: true,
  certificateBoundAccessTokens: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: ({ socket }: OidcContext) => {
    const raw = socket.getPeerCertificate?.().raw
    return raw === undefined ? undefined : new X509Certificate(raw).toString()
  },
  certificateAuthorized: ({ socket }: OidcContext) => socket.authorized,
  certificateSubjectMatches: ({ socket }: OidcContext, property: string, expected: string) => {
    // RFC 4514 §2.1 starts with the last name of the sequence.
    const names = Object.entries(socket.getPeerCertificate().subject).reverse()
    const subject = names.map(([type, value]) => `${type}=${[value].flat().join('+')}`).join(',')
    return property === 'tls_client_auth_subject_dn' && subject === expected
  },
}

/** How and when the user was authenticated, for the API that receives the token (RFC 9068 §2.2.1). */
function authentication(source: unknown): Readonly<Record<string, unknown>> {
  const { acr, authTime } = (source ?? {}) as { acr?: string; authTime?: number }
  return { ...(acr === undefined ? {} : { acr }), ...(authTime === undefined ? {} : { auth_time: authTime }) }
}

/** The settings of oidc-provider for the demo: every feature that the agent can use is on, consent is never asked. */
export function createConfiguration(parts: Parts, provider: () => Provider): Readonly<Record<string, unknown>> {
  const { clock, resources, rotateRefreshTokens, accessTokenSeconds, refreshTokenSeconds, codeSeconds } = parts
  const scopes = new Set(resources.flatMap(({ scope }) => scope.split(' ')))
  const allScopes = [...openidTokens, ...scopes]
  const cookie = (name: string) => `demo-${name}-${parts.cookieSuffix}`

  return {
    adapter: createAdapter(clock),
    clients: parts.clients.map((client) => ({ scope: allScopes.join(' '), ...client })),
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'tls_client_auth',
      'self_signed_tls_client_auth',
    ],
    jwks: { keys: parts.signingKeys },
    cookies: {
      keys: [crypto.randomUUID()],
      names: { session: cookie('session'), interaction: cookie('interaction'), resume: cookie('resume') },
    },
    findAccount: (_ctx: OidcContext, accountId: string) => {
      const user = demoUsers.find(({ claims }) => claims.sub === accountId)
      return user && { accountId, claims: async () => user.claims }
    },
    scopes: allScopes,
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time'],
      profile: ['name', 'given_name', 'family_name', 'preferred_username', 'locale'],
      email: ['email', 'email_verified'],
      sid: null,
    },
    acrValues: [passwordLevel, mfaLevel],
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    responseTypes: ['code'],
    rotateRefreshToken: rotateRefreshTokens,
    issueRefreshToken: async (_ctx: OidcContext, client: { grantTypeAllowed(type: string): boolean }) =>
      client.grantTypeAllowed('refresh_token'),
    expiresWithSession: async () => false,
    // A grant per sign-in: revoking one browser's tokens must not end another browser's session.
    loadExistingGrant: async ({ oidc }: OidcContext) => {
      const grant = new (provider().Grant)({ accountId: oidc.session.accountId, clientId: oidc.client.clientId })
      grant.addOIDCScope(allScopes.join(' '))
      for (const { identifier } of resources) grant.addResourceScope(identifier, allScopes.join(' '))
      await grant.save()
      return grant
    },
    extraTokenClaims: ({ oidc }: OidcContext, token: { accountId?: string; extra?: object }) => ({
      ...authentication(oidc.entities['AuthorizationCode'] ?? oidc.entities['RefreshToken']),
      ...parts.accessTokenClaims(token.accountId),
      ...token.extra,
    }),
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => parts.requireDpopNonce },
      introspection: { enabled: true, allowedPolicy: async () => true },
      jwtResponseModes: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      revocation: {
        enabled: true,
        allowedPolicy: async (_ctx: OidcContext, client: { clientId: string }, token: { clientId: string }) =>
          token.clientId === client.clientId,
      },
      rpInitiatedLogout: { enabled: true, logoutSource: signOutPage, postLogoutSuccessSource: goodbyePage },
      mTLS: mutualTls,
      resourceIndicators: {
        enabled: true,
        defaultResource: async (_ctx: OidcContext, _client: unknown, oneOf?: readonly string[]) =>
          oneOf?.[0] ?? resources[0].identifier,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_ctx: OidcContext, identifier: string) => resourceInfo(parts, identifier),
      },
    },
    interactions: {
      policy: askForSecondFactor(),
      url: (_ctx: OidcContext, { uid }: { uid: string }) => `/sign-in/${uid}`,
    },
    ttl: {
      AccessToken: accessTokenSeconds,
      AuthorizationCode: codeSeconds,
      ClientCredentials: accessTokenSeconds,
      Grant: refreshTokenSeconds,
      IdToken: 600,
      Interaction: 600,
      RefreshToken: refreshTokenSeconds,
      Session: refreshTokenSeconds,
    },
    // oidc-provider refuses to call loopback addresses; here client and back-channel live on loopback.
    fetch: (url: string, { dispatcher: _refusesLoopback, ...request }: RequestInit & { dispatcher?: unknown }) =>
      fetch(url, request),
    renderError: errorPage,
  }
}
