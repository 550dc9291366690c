import { once } from 'node:events'
import { connect } from 'node:net'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../shared/clock.ts'
import { type RunningServer, type ServeParts, serve } from '../../../shared/http/serve.ts'
import {
  secureContextOptions,
  type ServerCertificate,
  type ServerCertificateSource,
} from '../../../shared/http/server-certificate.ts'
import { createCertificate, type TestCertificate } from '../../support/certificate.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { openRaw } from '../../support/raw-http.ts'

const get = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
const kept = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const authority = createCertificate({ name: 'authority' })
const otherAuthority = createCertificate({ name: 'other authority' })
const own = createCertificate({ name: 'server', issuer: authority, hosts: ['127.0.0.1'] })
const gateway = createCertificate({ name: 'gateway', issuer: authority })
const trusting = { ca: authority.certificate }
const clientOf = ({ certificate, privateKey }: TestCertificate): ConnectionOptions => ({
  ...trusting,
  cert: certificate,
  key: privateKey,
})

const events: [name: string, reason: unknown][] = []
const handled: (string | undefined)[] = []
let server: RunningServer | undefined
afterEach(async () => {
  await server?.stop(0)
  server = undefined
  events.length = 0
  handled.length = 0
})

/** A certificate that the test replaces. */
function certificateSource(first: ServerCertificate) {
  const listeners: ((next: ServerCertificate) => void)[] = []
  const source: ServerCertificateSource = {
    current: () => first,
    onChange: (listener) => void listeners.push(listener),
  }
  return { source, replace: (next: ServerCertificate) => listeners.forEach((listener) => listener(next)) }
}

async function start(change: Partial<ServerCertificate> = {}, more: Partial<ServeParts> = {}) {
  const { source, replace } = certificateSource({ ...own, ...change })
  server = await serve({
    handler: {
      handle(request, response) {
        handled.push(request.socket.remoteAddress)
        response.end('ok')
      },
    },
    listen: { host: '127.0.0.1', port: 0 },
    certificate: source,
    clock: systemClock,
    observe: { emit: (name, fields) => void events.push([name, 'reason' in fields ? fields.reason : undefined]) },
    ...more,
  })
  return { running: server, port: server.port, replace }
}

/** What comes back for a request; the code of the error when the handshake fails on the side of the client. */
async function ask(port: number, options: ConnectionOptions): Promise<string> {
  try {
    const connection = await openRaw(port, options)
    connection.write(get)
    const text = await connection.closed()
    connection.close()
    return text
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  }
}

/** The first message of a TLS 1.2 client that asks for a server by this name (RFC 5246 §7.4.1.2, RFC 6066 §3). */
function clientHello(name: string): Buffer {
  const sized = (bytes: number, content: Buffer) => {
    const length = Buffer.alloc(bytes)
    length.writeUIntBE(content.length, 0, bytes)
    return Buffer.concat([length, content])
  }
  const hostName = Buffer.concat([Buffer.of(0), sized(2, Buffer.from(name, 'latin1'))])
  const extension = Buffer.concat([Buffer.of(0, 0), sized(2, sized(2, hostName))])
  const suites = sized(2, Buffer.of(0xc0, 0x2b, 0xc0, 0x2f))
  const hello = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 7),
    Buffer.of(0),
    suites,
    Buffer.of(1, 0),
    sized(2, extension),
  ])
  return Buffer.concat([Buffer.of(0x16, 3, 1), sized(2, Buffer.concat([Buffer.of(1), sized(3, hello)]))])
}

describe('a server with a certificate', () => {
  it('answers over TLS, and knows the address of its client', async () => {
    const { port } = await start()
    expect(await ask(port, trusting)).toMatch(/^HTTP\/1\.1 200 [^]*ok/)
    expect(handled).toEqual(['127.0.0.1'])
    expect(events).toEqual([])
  })

  it('ends plain HTTP without a word of HTTP, and serves on', async () => {
    const { port } = await start()
    const plain = await openRaw(port)
    plain.write(get)
    expect(await plain.closed()).not.toContain('HTTP')
    expect(await ask(port, trusting)).toMatch(/^HTTP\/1\.1 200 /)
    expect(handled).toHaveLength(1)
    expect(events).toEqual([['handshake.failed', 'http_request']])
  })

  it.each(['TLSv1', 'TLSv1.1'] as const)('refuses %s, whatever the default of the process', async (version) => {
    const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls
    const lax = 'DEFAULT:@SECLEVEL=0'
    Object.assign(tls, { DEFAULT_MIN_VERSION: 'TLSv1', DEFAULT_CIPHERS: lax })
    try {
      const { port } = await start()
      expect(await ask(port, { ...trusting, minVersion: version, maxVersion: version, ciphers: lax })).toMatch(/^E/)
    } finally {
      Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS })
    }
    expect(events).toEqual([['handshake.failed', 'unsupported_protocol']])
    expect(handled).toEqual([])
  })

  it('refuses TLSv1.2 where the process demands more (--tls-min-v1.3)', async () => {
    const { DEFAULT_MIN_VERSION } = tls
    Object.assign(tls, { DEFAULT_MIN_VERSION: 'TLSv1.3' })
    try {
      const { port } = await start()
      expect(await ask(port, { ...trusting, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })).toMatch(/^E/)
      expect(await ask(port, trusting)).toMatch(/^HTTP\/1\.1 200 /)
    } finally {
      Object.assign(tls, { DEFAULT_MIN_VERSION })
    }
    expect(events).toEqual([['handshake.failed', 'unsupported_protocol']])
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('speaks %s', async (version) => {
    const { port } = await start()
    expect(await ask(port, { ...trusting, minVersion: version, maxVersion: version })).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('L12: agrees on http/1.1 and on nothing else', async () => {
    const { port } = await start()
    const both = await openRaw(port, { ...trusting, ALPNProtocols: ['h2', 'http/1.1'] })
    expect((both.socket as TLSSocket).alpnProtocol).toBe('http/1.1')
    both.close()
    expect(await ask(port, { ...trusting, ALPNProtocols: ['h2'] })).toMatch(/^ERR_SSL_.*NO_APPLICATION_PROTOCOL$/)
  })

  it('refuses a listener whose certificate cannot be used', async () => {
    await expect(start({ privateKey: gateway.privateKey })).rejects.toMatchObject({
      code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
    })
  })

  it('takes no empty text for the absence of an authority: every public one would do', () => {
    expect(() => secureContextOptions({ ...own, clientCa: '' })).toThrow('empty')
  })
})

describe('a handshake', () => {
  it('that takes too long is cut', async () => {
    const { port } = await start({}, { limits: { handshakeMs: 20 }, clock: createManualClock() })
    const silent = await openRaw(port)
    expect(await silent.closed()).toBe('')
    silent.close()
    expect(events).toEqual([['handshake.failed', 'handshake_timeout']])
  })

  it('that its client gives up is over at once', async () => {
    const { running, port } = await start({}, { clock: createManualClock() })
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.end()
    await once(socket.resume(), 'close')
    await running.stop(60_000)
    expect(events).toEqual([['handshake.failed', 'econnreset']])
  })

  it.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['a server name that is none', clientHello('xn--i\xf1valid')],
    ['an empty server name', clientHello('')],
    ['a server name of 300 characters', clientHello('a'.repeat(300))],
    ['a NUL in the server name', clientHello('localhost\0.evil.test')],
    ['half a record', clientHello('localhost').subarray(0, 20)],
    ['a record of another kind', Buffer.from([0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5])],
    ['a record that is too long', Buffer.concat([Buffer.from([0x16, 3, 1, 0xff, 0xff]), Buffer.alloc(70_000)])],
  ])('L09: that a client begins with %s and resets costs its own connection only', async (_, bytes) => {
    const { port } = await start()
    const client = await openRaw(port)
    client.socket.write(bytes, 'latin1', () => client.socket.resetAndDestroy())
    await once(client.socket, 'close')
    expect(await ask(port, trusting)).toMatch(/^HTTP\/1\.1 200 /)
    expect(handled).toHaveLength(1)
  })

  it('L09: that a client leaves as soon as it is over costs its own connection only', async () => {
    const { port } = await start()
    for (let round = 0; round < 5; round++) {
      const client = await openRaw(port, trusting)
      client.write(kept.slice(0, round * 5))
      client.close()
    }
    expect(await ask(port, trusting)).toMatch(/^HTTP\/1\.1 200 /)
    expect(handled).toHaveLength(1)
  })

  it('that never ends does not outlive the drain time of a stop', async () => {
    const clock = createManualClock()
    const { running, port } = await start({}, { clock })
    const silent = await openRaw(port)
    // Connections are taken in their order.
    await ask(port, trusting)
    const stopped = running.stop(25_000)
    clock.pass(25)
    await stopped
    await silent.closed()
  })
})

describe('a server that asks for certificates', () => {
  const asking = { clientCa: authority.certificate }

  it('answers those whom the authority vouches for', async () => {
    const { port } = await start(asking)
    expect(await ask(port, clientOf(gateway))).toMatch(/^HTTP\/1\.1 200 /)
  })

  it.each<[string, ConnectionOptions, string]>([
    ['none', trusting, 'peer_did_not_return_a_certificate'],
    [
      'one of another authority',
      clientOf(createCertificate({ name: 'gateway', issuer: otherAuthority })),
      'unable_to_verify_leaf_signature',
    ],
    [
      'one of an authority of the same name',
      clientOf(createCertificate({ name: 'gateway', issuer: createCertificate({ name: 'authority' }) })),
      'cert_signature_failure',
    ],
    ['one signed by itself', clientOf(createCertificate({ name: 'gateway' })), 'depth_zero_self_signed_cert'],
    [
      'one that has expired',
      clientOf(createCertificate({ name: 'gateway', issuer: authority, until: '210101000000Z' })),
      'cert_has_expired',
    ],
    [
      'one that another client signed',
      clientOf(createCertificate({ name: 'guest', issuer: gateway })),
      'unable_to_verify_leaf_signature',
    ],
  ])('refuses %s before it reads a request', async (_, options, reason) => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { running, port } = await start(asking)
      expect(await ask(port, { ...options, minVersion: version, maxVersion: version })).not.toContain('HTTP')
      await running.stop(0)
    }
    expect(handled).toEqual([])
    expect(events).toEqual([
      ['handshake.failed', reason],
      ['handshake.failed', reason],
    ])
  })

  it('goes on to ask for them, whatever takes the place of its certificate', async () => {
    const { port, replace } = await start(asking)
    expect(() => replace(own)).toThrow('other clients')
    expect(await ask(port, trusting)).not.toContain('HTTP')
    expect(await ask(port, clientOf(gateway))).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('takes no session of a client whose authority was taken out', async () => {
    const { port, replace } = await start(asking)
    const first = await openRaw(port, clientOf(gateway))
    const ticket = once(first.socket, 'session') as Promise<[Buffer]>
    first.write(kept)
    const [session] = await ticket
    first.close()
    const again = await openRaw(port, { ...clientOf(gateway), session })
    expect((again.socket as TLSSocket).isSessionReused()).toBe(true)
    again.write(get)
    expect(await again.closed()).toMatch(/^HTTP\/1\.1 200 /)
    replace({ ...own, clientCa: otherAuthority.certificate })
    handled.length = 0
    expect(await ask(port, { ...clientOf(gateway), session })).not.toContain('HTTP')
    expect(handled).toEqual([])
  })
})

describe('a certificate that takes the place of another', () => {
  const next = createCertificate({ name: 'renewed', issuer: authority, hosts: ['127.0.0.1'] })
  const nameOf = async (port: number) => {
    const connection = await openRaw(port, trusting)
    const { subject } = (connection.socket as TLSSocket).getPeerCertificate()
    connection.close()
    return subject.CN
  }

  it('is shown to new connections while old ones go on', async () => {
    const { port, replace } = await start()
    const old = await openRaw(port, trusting)
    old.write(kept)
    await old.until((text) => text.endsWith('ok'))
    replace(next)
    expect(await nameOf(port)).toBe('renewed')
    old.write(get)
    expect((await old.closed()).match(/200 OK/g)).toHaveLength(2)
  })

  it('is refused when it cannot be used, and the other stays', async () => {
    const { port, replace } = await start()
    expect(() => replace({ ...own, privateKey: next.privateKey })).toThrow('mismatch')
    expect(() => replace({ ...next, certificate: '' })).toThrow('empty')
    expect(await nameOf(port)).toBe('server')
    replace(next)
    expect(await nameOf(port)).toBe('renewed')
  })
})
