import type { AddressInfo } from 'node:net'
import tls, { createServer, type SecureContextOptions, type Server } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Secret } from '../../shared/secret.ts'
import { systemClock } from '../../shared/clock.ts'
import { createTransport } from '../../shared/oauth/transport.ts'
import { openValkeyStore } from '../../shared/store/valkey.ts'
import { createCertificate, type TestCertificate } from '../support/certificate.ts'
import { type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** Attack: answer in the place of an API, the authorization server, the way to it or the store, where the environment asks for no proof or for an old one. */

const observe = { emit: () => {} }
const authorizationServer = { timeoutMs: 5000, maxConcurrentRequests: 5, clockToleranceSeconds: 30 }
const own = createCertificate({ name: 'anybody', hosts: ['127.0.0.1'] })
const folder = temporaryFolder()
let heard: string
beforeEach(() => {
  heard = ''
})

/** A server that keeps what it hears; gives its origin. */
async function startServer(options: SecureContextOptions = {}): Promise<{ server: Server; origin: string }> {
  const server = createServer({ cert: own.certificate, key: own.privateKey, ...options }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
    })
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A proxy with an API at this origin, which trusts this authority instead of the public ones. */
function startWorld(origin: string, trusted?: TestCertificate): Promise<ProxyWorld> {
  const trust = trusted === undefined ? '' : `, ca_file: /ca.pem`
  const routes = `
    - { path: /api, upstream: '${origin}'${trust} }
    - { path: /ws, upstream: '${origin}', websocket: true, headerless: [websocket]${trust} }
`
  return startProxy(routes, '', (path) => (path === '/ca.pem' ? trusted?.certificate : undefined))
}

/** Has one of our clients speak to the server at `origin`, and looks at how that fails. */
type Speak = (origin: string, trusted?: TestCertificate) => Promise<void>

const clients: Readonly<Record<string, Speak>> = {
  async 'no token reaches an API'(origin, trusted) {
    const world = await startWorld(origin, trusted)
    expect((await world.call('GET', '/api')).status).toBe(502)
    await world.close()
  },
  async 'no token reaches the WebSocket of an API'(origin, trusted) {
    const world = await startWorld(origin, trusted)
    const handshake = [
      `Origin: ${publicOrigin}`,
      `Cookie: ${world.cookies()}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ]
    expect((await world.call('GET', '/ws', { lines: handshake })).status).toBe(502)
    await world.close()
  },
  async 'no secret reaches an authorization server'(origin, trusted) {
    const transport = createTransport({
      config: { authorizationServer },
      clock: systemClock,
      observe,
      tls: trusted === undefined ? {} : { ca: trusted.certificate },
    })
    const call = transport.call('token', `${origin}/token`, { method: 'POST', headers: {}, body: 'secret' })
    await expect(call).rejects.toMatchObject({ reason: 'connect_failed' })
    await transport.close()
  },
  async 'no credentials reach an HTTP proxy'(origin, trusted) {
    const httpProxyAuthorization = new Secret('Basic dXNlcjpwYXNzd29yZA==')
    const transport = createTransport({
      config: { authorizationServer: { ...authorizationServer, httpProxy: origin, httpProxyAuthorization } },
      clock: systemClock,
      observe,
      tls: trusted === undefined ? {} : { proxyCa: trusted.certificate },
    })
    const call = transport.call('token', 'https://login.invalid/token', { method: 'POST', headers: {}, body: 'secret' })
    await expect(call).rejects.toMatchObject({ reason: 'proxy_connect_failed' })
    await transport.close()
  },
  async 'no password reaches a store'(origin, trusted) {
    const url = new Secret(origin.replace('https://', 'rediss://user:password@'))
    const trust = trusted === undefined ? {} : { caFile: folder.file('ca.pem', trusted.certificate) }
    const store = await openValkeyStore({
      settings: { kind: 'valkey', url, timeoutMs: 500, keyPrefix: 'th:', ...trust },
      clock: systemClock,
      observe,
    })
    expect(store.available).toBe(false)
    await store.close()
  },
}

describe('N13 whatever the environment says of certificates', () => {
  let impostor: Server
  let origin: string
  beforeAll(async () => {
    ;({ server: impostor, origin } = await startServer())
  })
  afterAll(() => new Promise((resolve) => impostor.close(resolve)))
  beforeEach(() => vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0'))
  afterEach(() => vi.unstubAllEnvs())

  it.each(Object.entries(clients))('%s that cannot prove its name', async (_, speak) => {
    await speak(origin)
    expect(heard).toBe('')
  })

  it('L10 an API that cannot prove its name is refused each time, and leaves no connection open', async () => {
    const world = await startWorld(origin)
    for (let call = 0; call < 40; call++) {
      const answered = await world.call('GET', '/api')
      expect([answered.status, answered.json()['error_code']]).toEqual([502, 'upstream_unreachable'])
    }
    const open = () => new Promise((resolve) => impostor.getConnections((_, count) => resolve(count)))
    await expect.poll(open).toBe(0)
    await world.close()
  })
})

describe('FA-1 whoever else has a certificate of the same authority', () => {
  const authority = createCertificate({ name: 'authority' })
  const { certificate: cert, privateKey: key } = createCertificate({
    name: '127.0.0.1',
    issuer: authority,
    hosts: ['127.0.0.2'],
  })
  let other: Server
  let origin: string
  beforeAll(async () => {
    ;({ server: other, origin } = await startServer({ cert, key }))
  })
  afterAll(() => new Promise((resolve) => other.close(resolve)))

  it.each(Object.entries(clients))('%s that has another name', async (_, speak) => {
    await speak(origin, authority)
    expect(heard).toBe('')
  })
})

describe.each([
  [
    'whatever the default of the process',
    'TLS 1.1',
    { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    // What NODE_OPTIONS does with --tls-min-v1.0 and --tls-cipher-list.
    { DEFAULT_MIN_VERSION: 'TLSv1', DEFAULT_CIPHERS: 'DEFAULT:@SECLEVEL=0' },
  ],
  // And with --tls-min-v1.3.
  ['where the process demands more', 'TLS 1.2', { maxVersion: 'TLSv1.2' }, { DEFAULT_MIN_VERSION: 'TLSv1.3' }],
] as const)('FA-1 %s', (_, version, spoken, environment) => {
  const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls
  let outdated: Server
  let origin: string
  beforeAll(async () => {
    ;({ server: outdated, origin } = await startServer({ minVersion: 'TLSv1', ...spoken }))
  })
  afterAll(() => new Promise((resolve) => outdated.close(resolve)))
  beforeEach(() => Object.assign(tls, environment))
  afterEach(() => Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS }))

  it.each(Object.entries(clients))(`%s that speaks nothing newer than ${version}`, async (_name, speak) => {
    await speak(origin, own)
    expect(heard).toBe('')
  })
})
