import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { CrossProblem } from './check.ts'
import { isLocalOrigin } from '../local.ts'
import type { Config } from '../schema.ts'
import { listenDefaults, maxSocketPathBytes, unixPeer } from '../values.ts'

/** Addresses, ports and paths: who is trusted, and that no two parts claim the same place. */
export function* networkChecks(config: Config): Iterable<CrossProblem> {
  const { agent, proxy, operations, cors, publicOrigin } = config
  yield* rangeChecks(operations.trustedProxies, 'operations.trusted_proxies')
  yield* rangeChecks(proxy.forwardAuth.peers, 'proxy.forward_auth.peers')
  if (proxy.forwardAuth.gateway !== 'off' && proxy.forwardAuth.peers.length === 0) {
    yield {
      path: 'proxy.forward_auth.peers',
      problem: 'is empty, so no gateway may ask',
      remedy: 'List the addresses of the gateway, such as 10.0.3.0/24.',
      given: ['proxy.forward_auth.gateway'],
    }
  }
  yield* gatewaySecretChecks(config)
  yield* socketChecks(config)
  yield* hostChecks(config)

  for (const [name, { listen }] of Object.entries({ agent, proxy })) {
    if (listen.socket === undefined && listen.port !== 0 && listen.port === operations.listen.port) {
      yield {
        path: 'operations.listen.port',
        problem: `is also the port of ${name}.listen; metrics must not be public`,
        remedy: 'Give operations a port of its own.',
        given: [`${name}.listen.port`],
      }
    }
  }
  if (isBelow(proxy.forwardAuth.path, agent.path) || isBelow(agent.path, proxy.forwardAuth.path)) {
    yield {
      path: 'proxy.forward_auth.path',
      problem: 'overlaps with agent.path',
      remedy: 'Choose two paths, neither of which begins with the other.',
      given: ['agent.path'],
    }
  }
  const taken: readonly (readonly [string, string])[] = [
    ['agent.path', agent.path],
    ...(proxy.forwardAuth.gateway === 'off' ? [] : [['proxy.forward_auth.path', proxy.forwardAuth.path] as const]),
  ]
  for (const [index, { path }] of proxy.routes.entries()) {
    for (const [setting, place] of taken) {
      if (!isBelow(path, place)) continue
      yield {
        path: `proxy.routes[${index}].path`,
        problem: `lies below ${setting} and would never be reached`,
        remedy: `Choose another path, or another ${setting}.`,
        given: [setting],
      }
    }
  }
  for (const [index, origin] of cors.origins.entries())
    yield* siblingCheck(origin, publicOrigin, `cors.origins[${index}]`)
}

/** A secret is needed, because what a gateway forwards for a browser comes from the same address as its own questions. */
function* gatewaySecretChecks({ proxy, publicOrigin }: Config): Iterable<CrossProblem> {
  const { gateway, secret, insecureNoSecret } = proxy.forwardAuth
  if (insecureNoSecret && !isLocalOrigin(publicOrigin)) {
    yield {
      path: 'proxy.forward_auth.insecure_no_secret',
      problem: 'is refused, because the public origin is not on localhost',
      remedy: 'Remove it and set proxy.forward_auth.secret.',
      given: ['public_origin'],
    }
  } else if (gateway !== 'off' && secret === undefined && !insecureNoSecret) {
    yield {
      path: 'proxy.forward_auth.secret',
      problem: 'is missing, so a gateway that forwards this path from outside would hand tokens to pages',
      remedy: 'Give the gateway and the proxy one secret, such as 32 random bytes in hexadecimal; deploy/ shows where.',
      given: ['proxy.forward_auth.gateway', 'proxy.forward_auth.secret_file'],
    }
  } else if (secret !== undefined && secret.reveal().length < leastGatewaySecret) {
    yield {
      path: 'proxy.forward_auth.secret',
      problem: `has fewer than ${leastGatewaySecret} characters, so pages behind a gateway could try out what it is`,
      remedy: 'Take 32 random bytes in hexadecimal: `openssl rand -hex 32`.',
    }
  }
}

/** 64 random bits in hexadecimal: a page can ask as often as it likes, but not that often. */
const leastGatewaySecret = 16

/** Whoever connects through a socket is a gateway: without its word there would be no address of any client. */
function* socketChecks({ agent, proxy, operations }: Config): Iterable<CrossProblem> {
  const { host, ports } = listenDefaults
  for (const [name, { listen }, port] of [
    ['agent', agent, ports.agent],
    ['proxy', proxy, ports.proxy],
  ] as const) {
    if (listen.socket === undefined) continue
    const path = `${name}.listen.socket`
    if (listen.host !== host || listen.port !== port) {
      yield {
        path,
        problem: 'is set as well as host or port, so it is not clear which one counts',
        remedy: `Keep the socket, or ${name}.listen.host and ${name}.listen.port.`,
      }
    }
    if (Buffer.byteLength(listen.socket) > maxSocketPathBytes) {
      yield {
        path,
        problem: `is longer than ${maxSocketPathBytes} bytes, which is more than systems allow`,
        remedy: 'Choose a shorter path, such as /run/token-handler/proxy.sock.',
      }
    }
    if (!operations.trustedProxies.includes(unixPeer)) {
      yield {
        path: 'operations.trusted_proxies',
        problem: `does not list "${unixPeer}", so all clients would seem to be one`,
        remedy: `Add "${unixPeer}", and let the gateway set X-Forwarded-For.`,
        given: [path],
      }
    }
  }
  if (
    proxy.listen.socket !== undefined &&
    proxy.forwardAuth.gateway !== 'off' &&
    proxy.forwardAuth.peers.length > 0 &&
    !proxy.forwardAuth.peers.includes(unixPeer)
  ) {
    yield {
      path: 'proxy.forward_auth.peers',
      problem: `does not list "${unixPeer}", so nobody who comes through the socket may ask`,
      remedy: `Add "${unixPeer}".`,
      given: ['proxy.listen.socket', 'proxy.forward_auth.gateway'],
    }
  }
}

/** Where a process cannot listen on any machine; an empty host would mean every address. */
function* hostChecks({ agent, proxy, operations }: Config): Iterable<CrossProblem> {
  for (const [name, { host }, remedy] of [
    ['agent', agent.listen, 'Write the path of a Unix socket as agent.listen.socket.'],
    ['proxy', proxy.listen, 'Write the path of a Unix socket as proxy.listen.socket.'],
    ['operations', operations.listen, 'Write an address; operations has no Unix socket.'],
  ] as const) {
    if (isIP(host) !== 0 || isHostName(host)) continue
    yield {
      path: `${name}.listen.host`,
      problem: `is neither an address nor a host name, but ${JSON.stringify(host.slice(0, 50))}`,
      remedy: /^(?:unix:|[./])/.test(host) ? remedy : 'Write an address such as 127.0.0.1 or ::1, or a host name.',
    }
  }
}

/** RFC 1123 §2.1: the last label of a name is never a number, so that no address is taken for one. */
function isHostName(text: string): boolean {
  const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i
  const labels = text.replace(/\.$/, '').split('.')
  return text.length <= 254 && labels.every((part) => label.test(part)) && !/^[0-9]+$/.test(labels.at(-1) ?? '')
}

function* rangeChecks(ranges: readonly string[], path: string): Iterable<CrossProblem> {
  for (const [index, range] of ranges.entries()) {
    if (range === unixPeer) continue
    const [address = '', prefix] = range.split('/')
    if (/^0+$/.test(prefix ?? '')) {
      yield {
        path: `${path}[${index}]`,
        problem: 'would trust everybody',
        remedy: 'List the addresses of the gateways themselves; /0 is never accepted.',
      }
    } else if (!isAddress(address) || (prefix !== undefined && !isRange(range))) {
      yield {
        path: `${path}[${index}]`,
        problem: `is not a range of addresses, but ${JSON.stringify(range.slice(0, 50))}`,
        remedy: `Write a CIDR range such as 10.0.3.0/24 or fd00::/64, or "${unixPeer}".`,
      }
    }
  }
}

/** A prefix without leading zeros that fits the address; an IPv4-mapped IPv6 one counts as IPv4. */
function isRange(range: string): boolean {
  if (!ipaddr.isValidCIDR(range) || /\/0[0-9]/.test(range)) return false
  const [address, bits] = ipaddr.parseCIDR(range)
  return ipaddr.process(address.toString()).kind() === address.kind() || bits <= 32
}

/** Four decimal parts or IPv6; other spellings of IPv4 are read differently by different software. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
}

/** SameSite=Strict cookies reach us from pages of the same site only: same scheme, same registrable domain. */
function* siblingCheck(origin: string, publicOrigin: string, path: string): Iterable<CrossProblem> {
  if (origin === publicOrigin) {
    yield {
      path,
      problem: 'is the public origin itself',
      remedy: 'Remove it; the public origin is always allowed.',
      given: ['public_origin'],
    }
    return
  }
  const [theirs, ours] = [new URL(origin), new URL(publicOrigin)]
  if (theirs.protocol === ours.protocol && lastLabels(theirs.hostname) === lastLabels(ours.hostname)) return
  yield {
    path,
    problem: 'is not of the same site as public_origin, so browsers would not send the cookies',
    remedy: `Use ${ours.protocol}// and a host that shares its domain with ${ours.hostname}.`,
    given: ['public_origin'],
  }
}

/** The least that two hosts of one site share; the public suffix list is more exact, but changes with the browsers. */
function lastLabels(hostname: string): string {
  return /^[\d.]+$/.test(hostname) ? hostname : hostname.split('.').slice(-2).join('.')
}

function isBelow(path: string, base: string): boolean {
  return path === base || path.startsWith(`${base}/`)
}
