import type { IncomingMessage, ServerResponse } from 'node:http'
import { createLocalJWKSet, errors as joseErrors, type JSONWebKeySet, jwtVerify } from 'jose'
import { demoUsers } from './users.ts'

interface Parts {
  readonly issuer: string
  readonly jwks: JSONWebKeySet
}

/**
 * Userinfo for access tokens that are JWTs (OpenID Connect Core §5.3).
 *
 * The provider refuses them there because they name the API as audience; many servers in the field accept both, and
 * the demo wants one token that serves the API and userinfo. Returns false for requests that the provider answers.
 */
export function createJwtUserinfo({ issuer, jwks }: Parts) {
  const keys = createLocalJWKSet(jwks)
  return async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined || new URL(request.url ?? '', issuer).pathname !== '/me') return false
    try {
      const { payload } = await jwtVerify(token, keys, { issuer, typ: 'at+jwt' })
      const user = demoUsers.find(({ claims }) => claims.sub === payload.sub)
      const { scope } = payload
      const openid = typeof scope === 'string' && scope.split(' ').includes('openid')
      if (user === undefined || !openid) throw new joseErrors.JWTClaimValidationFailed('not a user', payload, 'scope')
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
      response.end(JSON.stringify(user.claims))
    } catch (error) {
      if (!(error instanceof joseErrors.JOSEError)) throw error
      response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"', 'cache-control': 'no-store' })
      response.end()
    }
    return true
  }
}
