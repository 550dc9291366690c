import { gatewayDialects } from '../../oauth-proxy/edges/gateway-dialects.ts'
import { type RawAnswer, rawRequest, sendRaw } from './raw-http.ts'
import type { ProxyWorld } from './proxy-world.ts'

export type Gateway = keyof typeof gatewayDialects
export const gateways = Object.keys(gatewayDialects) as Gateway[]

const secret = 'only-the-gateway-knows'

/** Settings that follow the routes of a proxy and make it answer `gateway`. */
export function forwardAuthSettings(gateway: Gateway): string {
  return `
  forward_auth:
    gateway: ${gateway}
    peers: [127.0.0.1]
    secret: ${secret}
`
}

export const verifyPath = '/oauth-proxy/verify'

/** The request that a browser sent to the gateway. */
export interface Original {
  readonly method?: string
  readonly host?: string
  readonly target: string
  /** Header lines of the browser. */
  readonly lines?: readonly string[]
  /** Header lines by which the gateway proves that it asks; the right one if absent. */
  readonly proof?: readonly string[]
}

/** The bytes with which this kind of gateway asks about a request. */
export function questionBytes(
  gateway: Gateway,
  {
    method = 'GET',
    host = 'www.example.com',
    target,
    lines = [],
    proof = [`token-handler-gateway: ${secret}`],
  }: Original,
): string {
  const dialect = gatewayDialects[gateway]
  if (dialect.target === 'behind_the_path') {
    return rawRequest(method, `${verifyPath}${target}`, [`Host: ${host}`, 'Content-Length: 0', ...proof, ...lines])
  }
  return rawRequest('GET', verifyPath, [
    'Host: 127.0.0.1',
    `${dialect.method}: ${method}`,
    `${dialect.host}: ${host}`,
    `${dialect.target}: ${target}`,
    ...proof,
    ...lines,
  ])
}

/** Asks as this kind of gateway does. */
export function ask(world: ProxyWorld, gateway: Gateway, original: Original): Promise<RawAnswer> {
  return sendRaw(world.port, questionBytes(gateway, original))
}
