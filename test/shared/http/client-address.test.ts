import { describe, expect, it } from 'vitest'
import { clientAddress, createAddressMatcher, networkOf } from '../../../shared/http/client-address.ts'

const gateways = createAddressMatcher(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7', 'unix:'])

describe('the address of the client', () => {
  it.each<[string, string | undefined, string | undefined, string]>([
    ['the peer', '198.51.100.1', undefined, '198.51.100.1'],
    ['H06 an untrusted peer is believed nothing', '198.51.100.1', '1.2.3.4', '198.51.100.1'],
    ['one trusted hop', '10.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['the last untrusted hop, not the first', '10.0.0.1', '1.1.1.1, 198.51.100.9', '198.51.100.9'],
    ['several trusted hops', '10.0.0.1', '198.51.100.9, 10.1.1.1, 192.0.2.7', '198.51.100.9'],
    ['only trusted hops', '10.0.0.1', '10.0.0.2', '10.0.0.2'],
    ['IPv4 in IPv6', '::ffff:10.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['IPv4 in IPv6, and nobody before it', '::ffff:198.51.100.1', '1.2.3.4', '198.51.100.1'],
    ['IPv4 in IPv6 that says nothing', '::ffff:10.0.0.1', undefined, '10.0.0.1'],
    ['IPv6 that only contains the mark of IPv4 in IPv6', '2001:db9::ffff:1', undefined, '2001:db9::ffff:1'],
    ['IPv6', '2001:db8::1', '2001:DB9:0::5', '2001:db9::5'],
    ['garbage stops the walk', '10.0.0.1', '198.51.100.9, unknown', '10.0.0.1'],
    ['short forms are garbage', '10.0.0.1', '127.1', '10.0.0.1'],
    ['octal is garbage', '10.0.0.1', '0300.1.1.1', '10.0.0.1'],
    ['H19 a port is left out', '10.0.0.1', '198.51.100.9:4711', '198.51.100.9'],
    ['H19 a port of every hop', '10.0.0.1', '1.1.1.1:1, 198.51.100.9:65535, 10.1.1.1:80', '198.51.100.9'],
    ['H19 a port behind IPv6', '10.0.0.1', '[2001:DB9::5]:4711', '2001:db9::5'],
    ['H19 brackets alone', '10.0.0.1', '[2001:db9::5]', '2001:db9::5'],
    ['H19 IPv6 without brackets has no port', '10.0.0.1', '2001:db9::5:4711', '2001:db9::5:4711'],
    ['H19 no number behind the colon is garbage', '10.0.0.1', '198.51.100.9:http', '10.0.0.1'],
    ['H19 no port behind the colon is garbage', '10.0.0.1', '198.51.100.9:', '10.0.0.1'],
    ['H19 an open bracket is garbage', '10.0.0.1', '[2001:db9::5', '10.0.0.1'],
    ['an empty field', '10.0.0.1', '', '10.0.0.1'],
    ['no peer', undefined, '1.2.3.4', ''],
    ['a Unix socket', 'unix:', '198.51.100.9', '198.51.100.9'],
    ['a Unix socket behind a trusted hop', 'unix:', '198.51.100.9, 10.0.0.1', '198.51.100.9'],
    ['a Unix socket that says nothing', 'unix:', undefined, 'unix:'],
    ['no hop can claim to be the socket', '10.0.0.1', '198.51.100.9, unix:', '10.0.0.1'],
  ])('%s', (_, peer, forwardedFor, expected) => {
    expect(clientAddress(peer, forwardedFor, gateways)).toBe(expected)
  })

  it('nobody is trusted unless listed', () => {
    expect(createAddressMatcher([])('10.0.0.1')).toBe(false)
    expect(clientAddress('127.0.0.1', '1.2.3.4', createAddressMatcher([]))).toBe('127.0.0.1')
    expect(clientAddress('unix:', '1.2.3.4', createAddressMatcher(['10.0.0.0/8']))).toBe('unix:')
    expect(clientAddress(undefined, '1.2.3.4', createAddressMatcher(['unix:']))).toBe('')
  })
})

it.each([
  ['2001:db8:1:2::1', '2001:db8:1:2:ffff::', true],
  ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
  ['2001:db8:1:2::1', '2002:db8:1:2::1', false],
  ['::1', '::2', true],
  ['198.51.100.1', '198.51.100.2', false],
  ['unix:', 'unix:', true],
  ['unix:', '', false],
  ['WsG0Qk1bZk6oTgq8o3r5pA', 'WsG0Qk1bZk6oTgq8o3r5pB', false],
])('%s and %s are one client: %s', (one, two, same) => {
  expect(networkOf(one) === networkOf(two)).toBe(same)
})

it('H06 one IPv6 address is not the range around it', () => {
  const one = createAddressMatcher(['2001:db8::7'])
  expect(one('2001:db8:0::7')).toBe(true)
  expect(one('2001:db8::8')).toBe(false)
  expect(createAddressMatcher(['2001:db8::/48'])('2001:db8:1::7')).toBe(false)
})

it.each([
  '0.0.0.0/0',
  '::/0',
  '10.0.0.0/33',
  '2001:db8::/129',
  '10.0.0.0/',
  '10.0.0.0/-1',
  '10.0.0.0/08',
  'gateway',
  '10.0.0',
  '',
])('H06 the range %j is refused', (range) => {
  expect(() => createAddressMatcher([range])).toThrow(RangeError)
})
