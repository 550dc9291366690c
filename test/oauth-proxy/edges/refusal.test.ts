import { describe, expect, it } from 'vitest'
import { reportRefusal } from '../../../oauth-proxy/edges/refusal.ts'
import { createKeyRing, fixedKeys } from '../../../shared/crypto/key-ring.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { reportableAddress } from '../../../shared/http/client-address.ts'
import type { EventName } from '../../../shared/observe/events.ts'
import { parse, settingsFile } from '../../shared/config/settings.ts'
import { testKeys } from '../../support/installation.ts'
import { startProxy } from '../../support/proxy-world.ts'

it.each([
  ['a bug of ours by the name of its error', new TypeError('x of undefined'), 'TypeError'],
  ['something thrown that is no error', 'x', 'unknown'],
])('a refusal tells %s, and never its text', (_, cause, name) => {
  const events: [EventName, object][] = []
  const observe = { emit: (event: EventName, fields: object) => void events.push([event, fields]) }
  const keys = fixedKeys(createKeyRing(testKeys()))
  reportRefusal(new TokenHandlerError('server_error', { cause }), 'r1', {}, 'proxy', {
    config: parse(settingsFile()),
    keys,
    observe,
  })
  expect(events).toEqual([
    ['internal.failed', { request_id: 'r1', where: 'proxy', error_name: name }],
    ['request.refused', expect.objectContaining({ request_id: 'r1', side: 'proxy', error_code: 'server_error' })],
  ])
})

describe('the address of a client', () => {
  const routes = "- { path: /api, upstream: 'http://127.0.0.1:9' }"
  const wanted = 'observability: { client_addresses: true }'
  const behind = 'operations: { trusted_proxies: [127.0.0.1] }'
  const spoofed = ['X-Forwarded-For: 203.0.113.9, 198.51.100.7']

  it.each([
    ['is not told unless asked for', behind, spoofed, undefined],
    ['is that of the connection', wanted, spoofed, '127.0.0.1'],
    ['is the one that a trusted hop vouches for', `${wanted}\n${behind}`, spoofed, '198.51.100.7'],
    [
      'is that of the connection where the head cannot be read',
      `${wanted}\n${behind}`,
      [...spoofed, 'Host: x'],
      '127.0.0.1',
    ],
  ])('%s', async (_, settings, more, address) => {
    const world = await startProxy(`\n    ${routes}\n`, settings)
    await world.call('GET', '/nowhere', { more })
    await world.close()
    const told = world.events
      .filter(({ name }) => name === 'request.refused')
      .map(({ fields }) => fields['client_address'])
    expect(told).toEqual([address])
  })

  it('is told of a stranger who asks as if it were the gateway', async () => {
    const forwardAuth = 'forward_auth: { gateway: nginx, peers: [192.0.2.0/24], secret: only-the-gateway-knows }'
    const world = await startProxy(`\n    ${routes}\n  ${forwardAuth}\n`, wanted)
    await world.call('GET', '/oauth-proxy/verify', { more: spoofed })
    await world.close()
    expect(world.events.find(({ name }) => name === 'request.refused')?.fields).toMatchObject({
      error_code: 'untrusted_peer',
      client_address: '127.0.0.1',
    })
  })

  it('is left out for whoever comes through a socket in the file system', () => {
    expect(['unix:', '', undefined, '::1', '192.0.2.1'].map(reportableAddress)).toEqual([
      undefined,
      undefined,
      undefined,
      '::1',
      '192.0.2.1',
    ])
  })
})
