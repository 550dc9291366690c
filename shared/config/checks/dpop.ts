import type { CrossProblem } from './check.ts'
import { maxDpopBindingBytes } from '../../crypto/dpop-keys.ts'
import type { Config, Route } from '../schema.ts'

/** Where tokens that are bound to a key can be proved. */
export function* dpopChecks({ client, proxy, authorizationServer }: Config): Iterable<CrossProblem> {
  const isBound = client.dpopBoundAccessTokens
  const bindingBytes = Buffer.byteLength(client.id) + Buffer.byteLength(authorizationServer.issuer)
  if (isBound && bindingBytes > maxDpopBindingBytes) {
    yield {
      path: 'client.dpop_bound_access_tokens',
      problem: `takes a key that is derived from client.id and authorization_server.issuer, which have ${bindingBytes} bytes together, more than the ${maxDpopBindingBytes} that can be taken`,
      remedy: 'Have the client registered with a shorter id, or set it to false.',
      given: ['client.id', 'authorization_server.issuer'],
    }
  }
  for (const [index, route] of proxy.routes.entries()) {
    if (route.dpopBaseUrl === undefined || (isBound && givesToken(route))) continue
    yield {
      path: `proxy.routes[${index}].dpop_base_url`,
      problem: `is set, but no call ${isBound ? 'of this route ' : ''}is proved`,
      remedy: isBound
        ? 'Remove it; only a call with an access token is proved.'
        : 'Set client.dpop_bound_access_tokens: true, or remove it.',
      given: ['client.dpop_bound_access_tokens', `proxy.routes[${index}].credential`],
    }
  }
  if (isBound && proxy.forwardAuth.gateway !== 'off' && proxy.routes.some(givesToken)) {
    yield {
      path: 'proxy.forward_auth.gateway',
      problem: 'asks for tokens that are bound to a key, and a gateway cannot prove them',
      remedy:
        'Let the gateway send these calls through the proxy and set gateway: off, or set client.dpop_bound_access_tokens: false.',
      given: ['client.dpop_bound_access_tokens', 'proxy.routes'],
    }
  }
}

function givesToken({ credential: { kind }, anonymous }: Route): boolean {
  return (kind !== 'none' && kind !== 'api_key') || anonymous === 'client_credentials'
}
