import { createLocalJWKSet, errors as joseErrors, type JSONWebKeySet, jwtVerify } from 'jose'
import { errors, type OidcContext, type Provider } from 'oidc-provider'

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'

/** Name and parameters of the grant (RFC 8693 §2.1), which oidc-provider does not bring. */
export const tokenExchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const parameters = [
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'audience',
  'resource',
  'scope',
] as const

interface Parts {
  readonly provider: Provider
  readonly issuer: string
  readonly jwks: JSONWebKeySet
  /** What a token for this resource may hold; throws `InvalidTarget` for an unknown one. */
  readonly resourceInfo: (resource: string) => { readonly ownScope: string }
}

/** Teaches the provider to exchange the access token of a user for one meant for another API (RFC 8693 §2). */
export function addTokenExchange({ provider, issuer, jwks, resourceInfo }: Parts): void {
  const keys = createLocalJWKSet(jwks)

  const subjectOf = async (token: string): Promise<string | undefined> => {
    const opaque = await provider.AccessToken.find(token)
    if (opaque !== undefined) return opaque.accountId
    try {
      return (await jwtVerify(token, keys, { issuer, typ: 'at+jwt' })).payload.sub
    } catch (error) {
      if (error instanceof joseErrors.JOSEError) return undefined
      throw error
    }
  }

  const exchange = async (ctx: OidcContext): Promise<void> => {
    const { subject_token: subjectToken, subject_token_type: type, audience, resource, scope } = ctx.oidc.params
    if (subjectToken === undefined || type !== accessTokenType) {
      throw new errors.InvalidRequest('subject_token must be an access token')
    }
    const accountId = await subjectOf(subjectToken)
    if (accountId === undefined) throw new errors.InvalidGrant('subject_token is not valid')
    const target = resource ?? audience
    if (target === undefined) throw new errors.InvalidRequest('resource or audience is missing')
    const info = resourceInfo(target)
    const allowed = new Set(info.ownScope.split(' '))
    const granted = (scope ?? info.ownScope)
      .split(' ')
      .filter((token) => allowed.has(token))
      .join(' ')

    const { client } = ctx.oidc
    const grant = new provider.Grant({ accountId, clientId: client.clientId })
    grant.addResourceScope(target, granted)
    const token = new provider.AccessToken({
      accountId,
      client,
      grantId: await grant.save(),
      gty: 'token_exchange',
      scope: granted,
      extra: { act: { sub: client.clientId } },
    })
    token.resourceServer = new provider.ResourceServer(target, info)
    ctx.oidc.entity('AccessToken', token)
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: accessTokenType,
      token_type: 'Bearer',
      expires_in: token.expiration,
      scope: granted,
    }
  }

  provider.registerGrantType(tokenExchangeGrant, exchange, parameters, ['audience', 'resource'])
}
