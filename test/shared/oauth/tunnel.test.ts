import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../shared/clock.ts'
import { createTransport, type Transport, type TransportTls } from '../../../shared/oauth/transport.ts'
import type { Observe } from '../../../shared/observe/events.ts'
import { Secret } from '../../../shared/secret.ts'
import { createCertificate } from '../../support/certificate.ts'
import { type ConnectProxy, type ProxyAnswer, startConnectProxy } from '../../support/connect-proxy.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const authority = createCertificate({ name: 'authority' })
const proxyAuthority = createCertificate({ name: 'proxy authority' })
/** A name that resolves nowhere (RFC 6761 §6.4): whatever goes there without the proxy fails. */
const host = 'login.invalid'
const credentials = 'Basic dXNlcjpob3JzZS1iYXR0ZXJ5LXN0YXBsZQ=='

let server: ReturnType<typeof createServer>
let answer: RequestListener
/** Ports from which the server was connected to. */
let callers: number[]
let heard: string[]
let proxy: ConnectProxy
let transport: Transport
let events: [string, unknown][]
const observe: Observe = { emit: (name, fields) => void events.push([name, fields]) }

beforeEach(async () => {
  events = []
  callers = []
  heard = []
  answer = (_request, response) => void response.end('{}')
  const { certificate, privateKey } = createCertificate({ name: 'server', issuer: authority, hosts: [host] })
  const tls = { cert: certificate, key: privateKey, ca: authority.certificate, requestCert: true }
  server = createServer({ ...tls, rejectUnauthorized: false }, (request, response) => {
    heard.push(JSON.stringify(request.headers))
    answer(request, response)
  })
  server.on('connection', (socket: Socket) => callers.push(socket.remotePort ?? 0))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy = await startConnectProxy({ leadsTo: (server.address() as AddressInfo).port })
})
afterEach(async () => {
  await transport.close()
  await proxy.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

interface Change {
  readonly proxy?: string
  readonly tls?: TransportTls
  readonly clock?: typeof systemClock
  readonly maxConcurrentRequests?: number
}

function open(change: Change = {}): void {
  const authorizationServer = {
    timeoutMs: 8000,
    maxConcurrentRequests: change.maxConcurrentRequests ?? 5,
    clockToleranceSeconds: 30,
    httpProxy: change.proxy ?? proxy.origin,
    httpProxyAuthorization: new Secret(credentials),
  }
  const tls = { ca: authority.certificate, ...change.tls }
  transport = createTransport({ config: { authorizationServer }, clock: change.clock ?? systemClock, observe, tls })
}

const call = (url = `https://${host}/token`) =>
  transport.call('token', url, { method: 'POST', headers: { accept: 'application/json' }, body: 'code=splendid' })
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => error,
  )

describe('through an HTTP proxy', () => {
  it('every connection is a tunnel, and nothing goes around it', async () => {
    open()
    const calls = Array.from({ length: 12 }, () => call())
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(calls.map(() => 200))
    expect((await call(`https://${host}:8443/token`)).status).toBe(200)
    expect(new Set(proxy.asked.map(({ authority }) => authority))).toEqual(new Set([`${host}:443`, `${host}:8443`]))
    expect(proxy.asked.map(({ headers }) => headers.host)).toEqual(proxy.asked.map(({ authority }) => authority))
    // The limit of connections holds for tunnels, which are used again.
    expect(proxy.asked.length).toBeLessThanOrEqual(6)
    expect(callers).toHaveLength(proxy.asked.length)
    expect(callers.filter((port) => !proxy.ports.has(port))).toEqual([])
  })

  it('an IPv6 address is asked for in brackets (RFC 9112 §3.2.3)', async () => {
    open()
    proxy.answer = () => 502
    await failure(call('https://[::1]:8443/token'))
    await failure(call('https://[::1]/token'))
    expect(proxy.asked.map(({ authority, headers }) => [authority, headers.host])).toEqual([
      ['[::1]:8443', '[::1]:8443'],
      ['[::1]:443', '[::1]:443'],
    ])
  })

  it('the proxy hears its credentials and sees nothing of the call, and the server the other way round', async () => {
    open()
    await call()
    expect(proxy.asked[0]?.headers['proxy-authorization']).toBe(credentials)
    expect(proxy.readable).toEqual([])
    expect(proxy.carried().length).toBeGreaterThan(500)
    expect(proxy.carried()).not.toMatch(/splendid|POST|\/token/)
    expect(heard).toHaveLength(1)
    expect(heard.join()).not.toMatch(/proxy|dXNlcj/i)
  })

  it('the server is shown the client certificate, and the proxy is not', async () => {
    const mine = createCertificate({ name: 'client', issuer: authority })
    let shown: string | undefined
    answer = (request, response) => {
      const socket = request.socket as TLSSocket
      shown = socket.authorized ? String(socket.getPeerCertificate().subject.CN) : 'nobody'
      response.end('{}')
    }
    open({ tls: { certificate: mine.certificate, privateKey: mine.privateKey } })
    await call()
    expect(shown).toBe('client')
    await transport.close()
    open()
    await call()
    expect(shown).toBe('nobody')
  })

  it.each<[string, Change, string]>([
    ['nobody vouches for', { tls: { ca: proxyAuthority.certificate } }, `https://${host}/token`],
    ['is for another host', {}, 'https://other.invalid/token'],
    ['is met with one of ours that is none', { tls: { certificate: 'x', privateKey: 'y' } }, `https://${host}/token`],
  ])('a server whose certificate %s hears nothing, and no tunnel stays behind', async (_, change, url) => {
    open(change)
    expect(await failure(call(url))).toMatchObject({ reason: 'connect_failed' })
    expect(heard).toEqual([])
    await expect.poll(() => proxy.open.size).toBe(0)
  })

  it('a tunnel that is torn down under a call is a lost connection, because the server may have acted on it', async () => {
    open()
    answer = () => {
      for (const socket of proxy.open) if (socket instanceof Socket) socket.resetAndDestroy()
    }
    expect(await failure(call())).toMatchObject({ reason: 'connection_lost' })
    answer = (_request, response) => void response.end('{}')
    expect(await failure(call())).toBe('no failure')
  })

  it('an http: endpoint is refused, because the proxy could read what goes there', async () => {
    open()
    expect(await failure(call(`http://${host}/token`))).toMatchObject({ reason: 'connect_failed' })
    expect([proxy.asked, proxy.readable]).toEqual([[], []])
  })

  it('a redirect is not followed, an answer without end is cut, and a silent server is a timeout', async () => {
    const clock = createManualClock()
    open({ clock })
    answer = (_request, response) => void response.writeHead(302, { location: 'https://elsewhere.invalid/' }).end()
    expect((await call()).status).toBe(302)
    answer = (_request, response) => void response.end(Buffer.alloc(1_100_000))
    expect(await failure(call())).toMatchObject({ check: 'answer_too_large' })
    let isAsked = false
    answer = () => {
      isAsked = true
    }
    const pending = failure(call())
    await expect.poll(() => isAsked).toBe(true)
    clock.pass(8)
    expect(await pending).toMatchObject({ reason: 'timeout' })
  })
})

describe('an HTTP proxy that speaks TLS', () => {
  it.each([
    ['by its own authority', { proxyCa: proxyAuthority.certificate }, 'no failure'],
    ['not by that of the authorization server', {}, 'proxy_connect_failed'],
  ])('is believed %s', async (_, tls, expected) => {
    const certificate = createCertificate({ name: 'proxy', issuer: proxyAuthority, hosts: ['127.0.0.1'] })
    const leadsTo = (server.address() as AddressInfo).port
    const secureProxy = await startConnectProxy({ certificate, leadsTo })
    open({ proxy: secureProxy.origin, tls })
    const outcome = await failure(call())
    expect(outcome === 'no failure' ? outcome : (outcome as { reason: string }).reason).toBe(expected)
    expect(secureProxy.asked).toHaveLength(expected === 'no failure' ? 1 : 0)
    expect(callers).toHaveLength(secureProxy.asked.length)
    await secureProxy.close()
  })

  it('is not believed where its certificate is for another host', async () => {
    const certificate = createCertificate({ name: 'proxy', issuer: proxyAuthority, hosts: [host] })
    const secureProxy = await startConnectProxy({ certificate })
    open({ proxy: secureProxy.origin, tls: { proxyCa: proxyAuthority.certificate } })
    expect(await failure(call())).toMatchObject({ reason: 'proxy_connect_failed' })
    expect(secureProxy.asked).toEqual([])
    await secureProxy.close()
  })
})

describe('an HTTP proxy that opens no tunnel', () => {
  it.each<[string, ProxyAnswer, string, number | undefined, string?]>([
    ['knows us not', 407, 'proxy_refused', 407],
    ['lets nobody go there', 403, 'proxy_refused', 403],
    ['lets us choose', 300, 'proxy_refused', 300],
    ['sends us elsewhere', 302, 'proxy_refused', 302],
    ['has an error of its own', 500, 'proxy_refused', 500],
    ['does not reach the server', 502, 'proxy_gateway_error', 502],
    ['gets no answer from the server', 504, 'proxy_gateway_error', 504],
    ['speaks another HTTP', 505, 'proxy_refused', 505],
    ['hangs up', { bytes: '' }, 'proxy_connect_failed', undefined, 'UND_ERR_SOCKET'],
    ['speaks no HTTP', { bytes: 'SSH-2.0-proxy\r\n\r\n' }, 'proxy_connect_failed', undefined],
    [
      'writes more header than anybody reads',
      { bytes: `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n` },
      'proxy_connect_failed',
      undefined,
      'UND_ERR_HEADERS_OVERFLOW',
    ],
  ])('%s: told as it is, once, and without our credentials', async (_, given, reason, status, code) => {
    proxy.answer = () => given
    open()
    const failed = await failure(call())
    expect(failed).toMatchObject({ name: 'ProviderUnavailable', reason, retryAfterSeconds: 1 })
    expect(events.at(-1)).toEqual(['provider.unavailable', { endpoint: 'token', reason, code, proxy_status: status }])
    expect(proxy.asked).toHaveLength(1)
    expect(callers).toEqual([])
    expect(inspect([failed, events], { depth: 20, showHidden: true })).not.toContain('dXNlcj')
    await expect.poll(() => proxy.open.size).toBe(0)
  })

  it.each([
    ['hangs up', '', 'connection_lost'],
    ['goes on in the clear', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}', 'connect_failed'],
  ])('says that it does, and %s: the call ends', async (_, bytes, reason) => {
    proxy.answer = () => ({ bytes: `HTTP/1.1 200 OK\r\n\r\n${bytes}` })
    open()
    expect(await failure(call())).toMatchObject({ reason })
    expect(proxy.asked).toHaveLength(1)
  })

  it('is not there', async () => {
    open({ proxy: 'http://127.0.0.1:1' })
    expect(await failure(call())).toMatchObject({ reason: 'proxy_connect_failed' })
  })

  it('says nothing: calls end before their own time limit, and give their places back', async () => {
    const clock = createManualClock()
    proxy.answer = () => 'silence'
    open({ clock, maxConcurrentRequests: 2 })
    const calls = Array.from({ length: 2 }, () => failure(call()))
    await expect.poll(() => proxy.asked.length).toBe(2)
    clock.pass(3.9)
    expect(events).toEqual([])
    clock.pass(0.1)
    for (const failed of await Promise.all(calls)) expect(failed).toMatchObject({ reason: 'proxy_timeout' })
    await expect.poll(() => proxy.open.size).toBe(0)
    proxy.answer = () => 'tunnel'
    expect(await failure(call())).toBe('no failure')
  })

  it.each<ProxyAnswer>([407, 503, { bytes: '' }])(
    '%o opens the circuit, so that it is not asked again',
    async (given) => {
      proxy.answer = () => given
      open()
      for (let i = 0; i < 5; i++) await failure(call())
      expect(await failure(call())).toMatchObject({ reason: 'circuit_open' })
      expect(proxy.asked).toHaveLength(5)
    },
  )

  it('is still asked when we stop: the call says that we stopped', async () => {
    proxy.answer = () => 'silence'
    open()
    const pending = failure(call())
    await expect.poll(() => proxy.asked.length).toBe(1)
    await transport.close()
    expect(await pending).toMatchObject({ reason: 'stopped' })
    await expect.poll(() => proxy.open.size).toBe(0)
  })
})
