import type { CrossProblem } from './check.ts'
import type { Config, Route } from '../schema.ts'

/** Where tokens that are bound to a key can be proved. */
export function* dpopChecks({ client, proxy }: Config): Iterable<CrossProblem> {
  if (!client.dpopBoundAccessTokens) {
    for (const [index, { dpopBaseUrl }] of proxy.routes.entries()) {
      if (dpopBaseUrl === undefined) continue
      yield {
        path: `proxy.routes[${index}].dpop_base_url`,
        problem: 'is set, but no call is proved',
        remedy: 'Set client.dpop_bound_access_tokens: true, or remove it.',
        given: ['client.dpop_bound_access_tokens'],
      }
    }
    return
  }
  if (proxy.forwardAuth.gateway !== 'off' && proxy.routes.some(givesToken)) {
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
