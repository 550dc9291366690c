import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { type RunningServer, serve } from '../../shared/http/serve.ts'
import { createCertificate } from '../support/certificate.ts'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { openRaw, type RawConnection, rawRequest } from '../support/raw-http.ts'

/** The proxy behind a gateway that connects with TLS; at the end, also through a Unix socket. */

const own = createCertificate({ name: 'proxy', hosts: ['127.0.0.1'] })
const trusting = { ca: own.certificate }
/** What the stream of the API sends next. */
let send: (text: string) => void
const api = createServer((request, response) => {
  if (request.url === '/stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send = (text) => void response.write(text)
    response.write('data: first\n\n')
    return
  }
  if (request.url === '/half') {
    response.write('ab')
    send = () => void response.destroy()
    return
  }
  let length = 0
  request.on('data', (chunk: Buffer) => (length += chunk.length))
  request.on('end', () => response.end(`${request.headers.authorization?.slice(0, 7)}${length}`))
})
const sockets = new WebSocketServer({ server: api })
sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${String(data as Buffer)}`)))

beforeAll(() => new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve)))
afterAll(async () => {
  sockets.close()
  api.closeAllConnections()
  await new Promise((resolve) => api.close(resolve))
})

let world: ProxyWorld
let server: RunningServer
let stopped: Promise<void> | undefined
beforeEach(async () => {
  const origin = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
  world = await startProxy(`
    - { path: /stream, upstream: '${origin}', headerless: [event_stream] }
    - { path: /half, upstream: '${origin}' }
    - { path: /ws, upstream: '${origin}', websocket: true, headerless: [websocket] }
    - { path: /orders, upstream: '${origin}', methods: [POST] }
`)
  stopped = undefined
  server = await serve({
    handler: world.proxy,
    listen: { host: '127.0.0.1', port: 0 },
    certificate: { current: () => own, onChange: () => undefined },
    clock: world.clock,
    observe: { emit: () => undefined },
  })
})
afterEach(async () => {
  stopped ??= server.stop(1000)
  world.clock.pass(3)
  await stopped
  await world.close()
})

const lines = () => [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]

it('a call goes through with its body, and waits for 100 Continue', async () => {
  const connection = await openRaw(server.port, trusting)
  const head = [...lines(), 'Expect: 100-continue', 'Content-Length: 200000', 'Connection: close']
  connection.write(rawRequest('POST', '/orders', head))
  await connection.until((text) => text.includes('100 Continue'))
  connection.write('a'.repeat(200_000))
  expect(await connection.closed()).toMatch(/HTTP\/1\.1 200 [^]*Bearer 200000/)
})

it('an event stream goes on as it comes, and ends when the process stops', async () => {
  const connection = await openRaw(server.port, trusting)
  connection.write(rawRequest('GET', '/stream', [...lines(), 'Accept: text/event-stream']))
  await connection.until((text) => text.includes('data: first'))
  send('data: second\n\n')
  await connection.until((text) => text.includes('data: second'))
  stopped = server.stop(60_000)
  expect(await connection.closed()).toContain('data: second')
  await stopped
})

it('a WebSocket carries messages, and is closed with its code when the process stops', async () => {
  const headers = { host: 'www.example.com', origin: publicOrigin, cookie: world.cookies() }
  const socket = new WebSocket(`wss://127.0.0.1:${server.port}/ws`, { ...trusting, headers })
  const message = new Promise((resolve) => socket.once('message', (data) => resolve(String(data as Buffer))))
  socket.once('open', () => socket.send('hello'))
  expect(await message).toBe('echo hello')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  stopped = server.stop(60_000)
  expect(await closed).toBe(1001)
  await stopped
})

describe('I13 half an answer to an HTTP/1.0 client is cut where a connection cannot be reset', () => {
  const cutsHalf = async (connection: RawConnection) => {
    const request = rawRequest('GET', '/half', [hostLine, ...ownPage, `Cookie: ${world.cookies()}`])
    connection.write(request.replace('HTTP/1.1', 'HTTP/1.0'))
    await connection.until((text) => text.endsWith('\r\n\r\nab'))
    send('')
    await connection.closed()
    await expect.poll(() => world.events.map(({ fields }) => fields['outcome'])).toContain('truncated')
  }

  it('over TLS', async () => {
    await cutsHalf(await openRaw(server.port, trusting))
  })

  it('at a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const socket = join(folder, 'proxy.sock')
    const listen = { host: '127.0.0.1', port: 0, socket }
    const observe = { emit: () => undefined }
    const atSocket = await serve({ handler: world.proxy, listen, clock: world.clock, observe })
    await cutsHalf(await openRaw(socket))
    const end = atSocket.stop(1000)
    world.clock.pass(3)
    await end
  })
})
