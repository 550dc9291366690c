import type { Endpoint, EndpointParts } from './endpoint.ts'

/** GET /jwks: our public keys, present and next, where the authorization server is registered to fetch them. */
export function createJwksEndpoint({ authorizationServer }: EndpointParts): Endpoint {
  return async () => ({ body: { keys: await authorizationServer.publicKeys() } })
}
