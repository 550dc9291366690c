import { createServer, type Server } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { Secret } from '../../shared/secret.ts'
import { systemClock } from '../../shared/clock.ts'
import { createTransport } from '../../shared/oauth/transport.ts'
import { openValkeyStore } from '../../shared/store/valkey.ts'
import { createCertificate } from '../support/certificate.ts'
import { type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'

/** Attack: answer in the place of an API, the authorization server, the way to it or the store, where the environment asks for no proof. */

const observe = { emit: () => {} }
let impostor: Server
let origin: string
let heard: string
let world: ProxyWorld

beforeAll(async () => {
  const { certificate, privateKey } = createCertificate({ name: 'anybody', hosts: ['127.0.0.1'] })
  impostor = createServer({ cert: certificate, key: privateKey }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
    })
  })
  impostor.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve))
  origin = `https://127.0.0.1:${(impostor.address() as AddressInfo).port}`
  world = await startProxy(`
    - { path: /api, upstream: '${origin}' }
    - { path: /ws, upstream: '${origin}', websocket: true, headerless: [websocket] }
`)
})
afterAll(async () => {
  await world.close()
  await new Promise((resolve) => impostor.close(resolve))
})
beforeEach(() => {
  heard = ''
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
})
afterEach(() => vi.unstubAllEnvs())

it('N13 no token reaches an API that cannot prove its name', async () => {
  expect((await world.call('GET', '/api')).status).toBe(502)
  const handshake = [
    `Origin: ${publicOrigin}`,
    `Cookie: ${world.cookies()}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]
  expect((await world.call('GET', '/ws', { lines: handshake })).status).toBe(502)
  expect(heard).toBe('')
})

it('N13 no secret reaches an authorization server that cannot prove its name', async () => {
  const authorizationServer = { timeoutMs: 5000, maxConcurrentRequests: 5, clockToleranceSeconds: 30 }
  const transport = createTransport({ config: { authorizationServer }, clock: systemClock, observe })
  const call = transport.call('token', `${origin}/token`, { method: 'POST', headers: {}, body: 'secret' })
  await expect(call).rejects.toMatchObject({ reason: 'connect_failed' })
  await transport.close()
  expect(heard).toBe('')
})

it('N13 no credentials reach an HTTP proxy that cannot prove its name', async () => {
  const authorizationServer = {
    timeoutMs: 5000,
    maxConcurrentRequests: 5,
    clockToleranceSeconds: 30,
    httpProxy: origin,
    httpProxyAuthorization: new Secret('Basic dXNlcjpwYXNzd29yZA=='),
  }
  const transport = createTransport({ config: { authorizationServer }, clock: systemClock, observe })
  const call = transport.call('token', 'https://login.invalid/token', { method: 'POST', headers: {}, body: 'secret' })
  await expect(call).rejects.toMatchObject({ reason: 'proxy_connect_failed' })
  await transport.close()
  expect(heard).toBe('')
})

it('N13 no password reaches a store that cannot prove its name', async () => {
  const url = new Secret(origin.replace('https://', 'rediss://user:password@'))
  const store = await openValkeyStore({
    settings: { kind: 'valkey', url, timeoutMs: 500, keyPrefix: 'th:' },
    clock: systemClock,
    observe,
  })
  expect(store.available).toBe(false)
  await store.close()
  expect(heard).toBe('')
})
