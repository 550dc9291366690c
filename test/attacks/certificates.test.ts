import type { AddressInfo } from 'node:net'
import tls, { createServer, type SecureContextOptions, type Server } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Secret } from '../../shared/secret.ts'
import { systemClock } from '../../shared/clock.ts'
import { providerFailure } from '../../shared/oauth/failure.ts'
import { createTransport, type TransportTls } from '../../shared/oauth/transport.ts'
import { openValkeyStore } from '../../shared/store/valkey.ts'
import { type CertificateOptions, createCertificate, type TestCertificate } from '../support/certificate.ts'
import { type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { errorCode } from '../support/raw-http.ts'
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

/** Has one of our clients speak to the server at `origin`; gives the code with which that fails. */
interface Client {
  readonly speak: (origin: string, trusted?: TestCertificate) => Promise<unknown>
  /** What is told of a server that cannot be trusted. */
  readonly refusal: string
}

const clients: Readonly<Record<string, Client>> = {
  'no token reaches an API': {
    refusal: 'upstream_unreachable',
    async speak(origin, trusted) {
      const world = await startWorld(origin, trusted)
      const answer = await world.call('GET', '/api')
      await world.close()
      return errorCode(answer)
    },
  },
  'no token reaches the WebSocket of an API': {
    refusal: 'upstream_unreachable',
    async speak(origin, trusted) {
      const world = await startWorld(origin, trusted)
      const handshake = [
        `Origin: ${publicOrigin}`,
        `Cookie: ${world.cookies()}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ]
      const answer = await world.call('GET', '/ws', { lines: handshake })
      await world.close()
      return errorCode(answer)
    },
  },
  'no secret reaches an authorization server': {
    refusal: 'authorization_server_unavailable connect_failed',
    speak: (origin, trusted) =>
      callToken(`${origin}/token`, {}, trusted === undefined ? {} : { ca: trusted.certificate }),
  },
  'no credentials reach an HTTP proxy': {
    refusal: 'authorization_server_unavailable proxy_connect_failed',
    speak: (origin, trusted) =>
      callToken(
        'https://login.invalid/token',
        { httpProxy: origin, httpProxyAuthorization: new Secret('Basic dXNlcjpwYXNzd29yZA==') },
        trusted === undefined ? {} : { proxyCa: trusted.certificate },
      ),
  },
  'no password reaches a store': {
    refusal: 'unavailable',
    async speak(origin, trusted) {
      const url = new Secret(origin.replace('https://', 'rediss://user:password@'))
      const trust = trusted === undefined ? {} : { caFile: folder.file('ca.pem', trusted.certificate) }
      const store = await openValkeyStore({
        settings: { kind: 'valkey', url, timeoutMs: 500, keyPrefix: 'th:', ...trust },
        clock: systemClock,
        observe,
      })
      const { available } = store
      await store.close()
      return available ? undefined : 'unavailable'
    },
  },
}

/** Calls a token endpoint with a secret; gives the error and the check that the page and the log get. */
async function callToken(url: string, way: object, tls: TransportTls): Promise<string | undefined> {
  const config = { authorizationServer: { ...authorizationServer, ...way } }
  const transport = createTransport({ config, clock: systemClock, observe, tls })
  const failure: unknown = await transport.call('token', url, { method: 'POST', headers: {}, body: 'secret' }).then(
    () => undefined,
    (error: unknown) => error,
  )
  await transport.close()
  if (failure === undefined) return undefined
  const { code, detail } = providerFailure(failure)
  return `${code} ${detail.check}`
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

  it.each(Object.entries(clients))('%s that cannot prove its name', async (_, { speak, refusal }) => {
    expect(await speak(origin)).toBe(refusal)
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

const authority = createCertificate({ name: 'authority' })
const right = { name: '127.0.0.1', hosts: ['127.0.0.1'], issuer: authority }

describe.each<[string, CertificateOptions]>([
  ['FA-1 FI-28 has another name', { ...right, hosts: ['127.0.0.2'] }],
  ['FI-28 has expired', { ...right, until: '210101000000Z' }],
  ['FI-28 is not valid yet', { ...right, from: '480101000000Z' }],
  ['FI-28 is of another authority with the same name', { ...right, issuer: createCertificate({ name: 'authority' }) }],
  ['FI-28 is of no authority', { name: right.name, hosts: right.hosts }],
])('where the certificate of a server %s', (_, options) => {
  it.each(Object.entries(clients))('%s', async (_name, { speak, refusal }) => {
    const { server, origin } = await startServer(certificateOf(options))
    expect(await speak(origin, authority)).toBe(refusal)
    // By then all that was written in the moment before the refusal has come.
    await closed(server)
    expect(heard).toBe('')
  })
})

it.each(Object.entries(clients))('with the right certificate it is spoken to, or else: %s', async (_, { speak }) => {
  const { server, origin } = await startServer(certificateOf(right))
  await speak(origin, authority)
  await closed(server)
  expect(heard).not.toBe('')
})

function certificateOf(options: CertificateOptions): SecureContextOptions {
  const { certificate: cert, privateKey: key } = createCertificate(options)
  return { cert, key }
}

/** Resolves when all connections to the server have ended. */
function closed(server: Server): Promise<unknown> {
  return new Promise((resolve) => server.close(resolve))
}

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

  it.each(Object.entries(clients))(
    `%s that speaks nothing newer than ${version}`,
    async (_name, { speak, refusal }) => {
      expect(await speak(origin, own)).toBe(refusal)
      expect(heard).toBe('')
    },
  )
})
