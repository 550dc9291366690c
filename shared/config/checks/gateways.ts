import ipaddr from 'ipaddr.js'
import type { CrossProblem } from './check.ts'
import { isLocalOrigin } from '../local.ts'
import type { Config } from '../schema.ts'
import { unixPeer } from '../values.ts'

/** Gateways: which addresses are believed, which may ask, and how they prove that it is they who ask. */
export function* gatewayChecks(config: Config): Iterable<CrossProblem> {
  const { forwardAuth } = config.proxy
  yield* rangeChecks(config.operations.trustedProxies, 'operations.trusted_proxies')
  yield* rangeChecks(forwardAuth.peers, 'proxy.forward_auth.peers')
  if (forwardAuth.gateway !== 'off' && forwardAuth.peers.length === 0) {
    yield {
      path: 'proxy.forward_auth.peers',
      problem: 'is empty, so no gateway may ask',
      remedy: 'List the addresses of the gateway, such as 10.0.3.0/24.',
      given: ['proxy.forward_auth.gateway'],
    }
  }
  yield* secretChecks(config)
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
    } else if (prefix !== undefined) {
      yield* wholeRangeCheck(range, `${path}[${index}]`)
    }
  }
}

/** Of an address with the length of its network, such as 10.0.0.5/8, everybody in that network would be believed. */
function* wholeRangeCheck(range: string, path: string): Iterable<CrossProblem> {
  const [written, bits] = ipaddr.parseCIDR(range)
  const address = ipaddr.process(written.toString())
  const family = address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
  const network = family.networkAddressFromCIDR(`${address.toString()}/${bits}`)
  if (network.toString() === address.toString()) return
  yield {
    path,
    problem: `names one address, ${address.toString()}, but with /${bits} all of its network would be believed`,
    remedy: `Write ${address.toString()} for the address alone, or ${network.toString()}/${bits} for the whole network.`,
  }
}

/** A prefix without leading zeros that fits the address; an IPv4-mapped IPv6 one counts as IPv4. */
function isRange(range: string): boolean {
  if (!ipaddr.isValidCIDR(range) || /\/0[0-9]/.test(range)) return false
  const [address, bits] = ipaddr.parseCIDR(range)
  return ipaddr.process(address.toString()).kind() === address.kind() || bits <= 32
}

/**
 * Four decimal parts or IPv6; other spellings of IPv4 are read differently by different software. The name of an interface
 * (`fe80::1%eth0`) is not compared, so an address with one would be believed on all of them.
 */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !text.includes('%'))
}

/** A secret is needed, because what a gateway forwards for a browser comes from the same address as its own questions. */
function* secretChecks({ proxy, publicOrigin }: Config): Iterable<CrossProblem> {
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
