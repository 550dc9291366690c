import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { type Connections, createConnections } from '../../../shared/http/connections.ts'
import { createCertificate } from '../../support/certificate.ts'
import { openRaw, type RawConnection } from '../../support/raw-http.ts'

const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const { certificate, privateKey } = createCertificate({ name: 'server', hosts: ['127.0.0.1'] })
const server = createServer({ keepAliveTimeout: 90_000 })
afterEach(async () => {
  server.removeAllListeners('request')
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

/** A server without a handler: the test answers the request that it finds. */
async function start(): Promise<{ connections: Connections; open: () => Promise<RawConnection> }> {
  const connections = createConnections(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { connections, open: () => openRaw(port) }
}

async function nextRequest(connections: Connections): Promise<{ socket: Socket; response: ServerResponse }> {
  const [request, response] = (await once(server, 'request')) as [{ socket: Socket }, ServerResponse]
  connections.begin(request.socket, response)
  return { socket: request.socket, response }
}

it('an answer is given from its head to its end, however late the handler looks away', async () => {
  const { connections, open } = await start()
  const client = await open()
  client.write(get)
  const { socket, response } = await nextRequest(connections)
  expect(connections.isAnswering(socket)).toBe(false)
  response.writeHead(200, { 'content-length': '2' }).write('o')
  expect(connections.isAnswering(socket)).toBe(true)
  // The handler is done before the last byte has left.
  response.end('k')
  connections.end(socket, response)
  await client.until((text) => text.endsWith('ok'))
  await expect.poll(() => response.writableFinished).toBe(true)
  expect(connections.isAnswering(socket)).toBe(false)
  client.close()
})

it('a connection whose answer had begun before the drain is closed when that answer is over', async () => {
  const { connections, open } = await start()
  const client = await open()
  client.write(get)
  const { response } = await nextRequest(connections)
  // The head promises to keep the connection, so the answer itself cannot end it any more.
  response.writeHead(200, { 'content-length': '2' }).write('o')
  await client.until((text) => text.endsWith('o'))
  connections.drain()
  response.end('k')
  const text = await client.closed()
  expect(text).toMatch(/connection: keep-alive/i)
  expect(text.endsWith('ok')).toBe(true)
  client.close()
})

it.each([
  ['plain HTTP', undefined],
  ['TLS', { ca: certificate }],
])('over %s a connection that has gone is forgotten', async (_, tls) => {
  const server = tls === undefined ? createServer() : createTlsServer({ key: privateKey, cert: certificate })
  const connections = createConnections(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = await openRaw((server.address() as AddressInfo).port, tls)
  client.write(get)
  const [request, response] = (await once(server, 'request')) as [{ socket: Socket }, ServerResponse]
  connections.begin(request.socket, response)
  const gone = once(request.socket, 'close')
  client.close()
  await gone
  connections.retire()
  expect(response.shouldKeepAlive).toBe(true)
  await connections.gone()
  await new Promise((resolve) => server.close(resolve))
})

it('a connection that is retired ends with its next answer, and only then', async () => {
  const { connections, open } = await start()
  const client = await open()
  client.write(get)
  const first = await nextRequest(connections)
  first.response.end('one')
  await client.until((text) => text.includes('one'))
  connections.retire()
  client.write(get)
  const second = await nextRequest(connections)
  second.response.end('two')
  expect(await client.closed()).toMatch(/connection: close[^]*two/i)
  client.close()
})

it.each([
  ['half an answer', (response: ServerResponse) => void response.write('half'), 'ECONNRESET'],
  ['a whole one', (response: ServerResponse) => void response.end('half'), 'end'],
])(
  'a cut shows %s as what it is to an HTTP/1.0 client, which knows no other sign than a reset',
  async (_, give, end) => {
    const { connections, open } = await start()
    const client = await open()
    const over = new Promise((resolve) => {
      client.socket
        .once('end', () => resolve('end'))
        .once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    })
    client.write(get.replace('HTTP/1.1', 'HTTP/1.0'))
    const { response } = await nextRequest(connections)
    give(response)
    await client.until((text) => text.endsWith('\r\n\r\nhalf'))
    connections.cut()
    expect(await over).toBe(end)
    client.close()
  },
)
