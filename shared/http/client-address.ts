import ipaddr from 'ipaddr.js'
import { unixPeer } from '../config/values.ts'

/** True for an address inside the listed ranges. */
export type AddressMatcher = (address: string) => boolean

const nobody: AddressMatcher = () => false

/**
 * A matcher for CIDR ranges, single addresses or `unix:`; an empty list matches nobody.
 *
 * Throws RangeError for text that is no range, and for /0, which would trust everybody (H06).
 */
export function createAddressMatcher(ranges: readonly string[]): AddressMatcher {
  if (ranges.length === 0) return nobody
  const trustsUnix = ranges.includes(unixPeer)
  const parsed = ranges.filter((range) => range !== unixPeer).map(parseRange)
  return (address) => {
    if (address === unixPeer) return trustsUnix
    const candidate = parseAddress(address)
    return (
      candidate !== undefined &&
      parsed.some(([network, bits]) => network.kind() === candidate.kind() && candidate.match(network, bits))
    )
  }
}

/**
 * The address of the client in canonical text: the socket's peer, or, behind trusted hops, the last address that no
 * trusted hop vouches for.
 *
 * X-Forwarded-For is read from the right, because everything left of the first untrusted hop was written by it.
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trusted: AddressMatcher,
): string {
  let address = canonicalAddress(peer ?? '')
  if (trusted === nobody || forwardedFor === undefined) return address
  const hops = forwardedFor.split(',')
  while (hops.length > 0 && trusted(address)) {
    const next = parseHop(hops.pop()?.trim() ?? '')
    if (next === undefined) break
    address = next.toString()
  }
  return address
}

/** An address as events may tell it; undefined for a socket in the file system, and where there is none. */
export function reportableAddress(address: string | undefined): string | undefined {
  return address === undefined || parseAddress(address) === undefined ? undefined : address
}

/**
 * What tells one client from another: an IPv4 address, or the first 64 bits of an IPv6 address, since a client can take
 * every address below them (RFC 4291 §2.5.4, RFC 8981). Any other text stays as it is.
 */
export function networkOf(address: string): string {
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return address
  return `${ipaddr.IPv6.parse(address)
    .parts.slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

type Address = ipaddr.IPv4 | ipaddr.IPv6

function canonicalAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}

function parseRange(range: string): readonly [Address, number] {
  const slash = range.indexOf('/')
  const address = parseAddress(slash === -1 ? range : range.slice(0, slash))
  if (address === undefined) throw new RangeError('not an address range')
  const width = address.kind() === 'ipv4' ? 32 : 128
  const bits = slash === -1 ? width : parsePrefixLength(range.slice(slash + 1))
  if (bits === 0) throw new RangeError('a range of /0 would trust everybody')
  if (bits > width) throw new RangeError('a prefix longer than the address')
  return [address, bits]
}

/** A range as those read it who tell IPv4 from IPv6 by its form: an IPv4-mapped IPv6 one is written as IPv4. */
export function plainRange(range: string): string {
  if (range === unixPeer) return range
  const [network, bits] = parseRange(range)
  return network.kind() === 'ipv4' && range.includes(':') ? `${network.toString()}/${bits}` : range
}

function parsePrefixLength(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(text)) throw new RangeError('not a prefix length')
  return Number(text)
}

/** Address and port, as some load balancers write each hop (RFC 7239 §6). */
const withPort = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?$/

/** Leaves the port out: it changes with each connection, so one client would be counted as many (H19). */
function parseHop(text: string): Address | undefined {
  const [, ipv6, ipv4] = withPort.exec(text) ?? []
  return parseAddress(ipv6 ?? ipv4 ?? text)
}

/** An IPv4-mapped IPv6 address counts as IPv4; short forms such as 127.1 are refused because readers differ. */
function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  return ipaddr.IPv6.isValid(text) ? ipaddr.process(text) : undefined
}
