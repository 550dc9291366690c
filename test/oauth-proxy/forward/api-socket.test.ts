import { createServer as createTcpServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { buildConnector } from 'undici'
import connectorOfFile from 'undici/lib/core/connect.js'
import { afterEach, describe, expect, it } from 'vitest'
import { apiSocket } from '../../../oauth-proxy/forward/api-socket.ts'
import { createCertificate } from '../../support/certificate.ts'
import { hostLine, ownPage, publicOrigin, startProxy } from '../../support/proxy-world.ts'
import { errorCode, isComplete, openRaw, parseAnswer, rawRequest } from '../../support/raw-http.ts'
import { okBytes } from '../../support/upstream.ts'

/** APIs that hang up: on a body that is still on its way, as servers do that refuse it by its length, or on their answer. */

const certificate = createCertificate({ name: 'api', hosts: ['127.0.0.1'] })
const kinds = {
  http: (onConnection: (socket: Socket) => void) => createTcpServer({ noDelay: true }, onConnection),
  https: (onConnection: (socket: Socket) => void) =>
    createTlsServer({ cert: certificate.certificate, key: certificate.privateKey }, onConnection),
}
const afterwards: (() => unknown)[] = []
afterEach(async () => {
  for (const end of afterwards.splice(0).reverse()) await end()
})

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterwards.push(() => new Promise((resolve) => server.close(resolve)))
  return (server.address() as AddressInfo).port
}

it('the connector is the one that the library exports', () => {
  expect(connectorOfFile).toBe(buildConnector)
})

describe('a connection whose other side has hung up', () => {
  it.each([
    ['one piece', (socket: Socket) => void socket.write('rest')],
    [
      'several pieces',
      (socket: Socket) => {
        socket.cork()
        for (const piece of ['r', 'e', 's', 't']) socket.write(piece)
        socket.uncork()
      },
    ],
  ])('is read to its end, although %s cannot be written any more', async (_name, writeRest) => {
    let accept: (socket: Socket) => void = () => undefined
    const accepted = new Promise<Socket>((resolve) => (accept = resolve))
    const port = await listen(createTcpServer((socket) => accept(socket.on('error', () => undefined))))
    const socket = apiSocket(connect(port, '127.0.0.1'))
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.on('error', () => undefined)
    const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)))
    const connected = new Promise((resolve) => socket.once('connect', resolve))
    const [api] = await Promise.all([accepted, connected])
    // Before this process comes to read, the answer has arrived and the connection is gone.
    api.write('answer', () => {
      api.resetAndDestroy()
      writeRest(socket)
      writeRest(socket)
    })
    expect(await closed).toBe('answer')
  })

  it.each<[string, (socket: Socket) => void, string]>([
    ['breaks off, where it was reset', (socket) => void socket.resetAndDestroy(), 'ECONNABORTED'],
    ['ends, where it ended in good order before', (socket) => void socket.destroy(), 'end'],
  ])('%s, although it is a write that is told of it', async (_name, hangUp, expected) => {
    let accept: (socket: Socket) => void = () => undefined
    const accepted = new Promise<Socket>((resolve) => (accept = resolve))
    const port = await listen(createTcpServer((socket) => accept(socket.on('error', () => undefined))))
    const socket = apiSocket(connect(port, '127.0.0.1'))
    socket.on('data', () => undefined)
    const over = new Promise<string | undefined>((resolve) => {
      socket.once('end', () => resolve('end'))
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    })
    const connected = new Promise((resolve) => socket.once('connect', resolve))
    const [api] = await Promise.all([accepted, connected])
    // The system says it once: to the write that comes before the next look at what has arrived.
    api.write('half', () => {
      hangUp(api)
      socket.write('rest')
      socket.write('rest')
    })
    expect(await over).toBe(expected)
    socket.destroy()
    api.destroy()
  })

  it('fails where a write fails for another reason', async () => {
    const port = await listen(createTcpServer((socket) => socket.resume()))
    const plain = connect(port, '127.0.0.1')
    plain._write = (_chunk, _encoding, done) => done(Object.assign(new Error('no'), { code: 'ENOBUFS' }))
    const failed = new Promise((resolve) => plain.once('error', resolve))
    apiSocket(plain).write('a')
    expect(await failed).toMatchObject({ code: 'ENOBUFS' })
  })
})

describe.each(Object.entries(kinds))('an API over %s hangs up on an upload', (protocol, createServer) => {
  /** Uploads a body that nobody waits for, to an API that does this as soon as it hears of it. */
  async function upload(behave: (socket: Socket) => void) {
    const open = new Set<Socket>()
    const server = createServer((socket) => {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => behave(socket))
    })
    const port = await listen(server)
    afterwards.push(() => open.forEach((socket) => socket.destroy()))
    const world = await startProxy(
      `
    - { path: /api/upload, upstream: '${protocol}://127.0.0.1:${port}', methods: [POST], ca_file: api.pem }
`,
      '',
      (path) => (path === 'api.pem' ? certificate.certificate : undefined),
    )
    afterwards.push(() => world.close())
    const body = 'a'.repeat(4_000_000)
    const lines = [hostLine, ...ownPage, `Origin: ${publicOrigin}`, `Cookie: ${world.cookies()}`]
    const connection = await openRaw(world.port)
    connection.write(
      `POST /api/upload HTTP/1.1\r\n${lines.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    const answered = parseAnswer(await connection.until(isComplete))
    connection.close()
    return answered
  }

  it.each([1, 2, 3, 4])('after its answer: the browser gets that (%s)', async () => {
    const answer = okBytes('too much', ['Connection: close'], '413 Content Too Large')
    const answered = await upload((socket) => void socket.write(answer, () => socket.destroy()))
    expect([answered.status, answered.body]).toEqual([413, 'too much'])
  })

  it.each([
    ['without an answer', ''],
    ['within the head of its answer', 'HTTP/1.1 413 Content Too Large\r\nContent-Le'],
  ])('%s: that is an error', async (_name, bytes) => {
    const answered = await upload((socket) => void socket.write(bytes, () => socket.destroy()))
    expect([answered.status, errorCode(answered)]).toEqual([502, 'upstream_reset'])
  })

  it('within the body of its answer: half of it never looks like all', async () => {
    const bytes = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 100\r\n\r\nhalf'
    const answered = await upload((socket) => void socket.write(bytes, () => socket.destroy()))
    expect([answered.status, answered.header('content-length'), answered.body.length < 100]).toEqual([413, '100', true])
  })

  it('within the body of an answer without a length: half of it never looks like all', async () => {
    const bytes = 'HTTP/1.0 413 Content Too Large\r\n\r\nhalf'
    const answered = await upload((socket) => void socket.write(bytes, () => socket.destroy()))
    expect(answered.body).not.toMatch(/0\r\n\r\n$/)
  })
})

describe('I13 an answer without a length, as of HTTP/1.0, is whole', () => {
  const head = 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n'

  it.each<[string, (socket: Socket) => void, string, string]>([
    ['when its connection ends in good order', (socket) => socket.end('all'), '3\r\nall\r\n0\r\n\r\n', 'complete'],
    ['but not when its connection is reset', (socket) => void socket.write('half'), '4\r\nhalf\r\n', 'truncated'],
  ])('%s', async (_name, finish, body, outcome) => {
    const open: Socket[] = []
    const server = createTcpServer({ noDelay: true }, (socket) => {
      open.push(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write(head)
        finish(socket)
      })
    })
    const port = await listen(server)
    const world = await startProxy(`
    - { path: /api/file, upstream: 'http://127.0.0.1:${port}' }
`)
    afterwards.push(() => world.close())
    const connection = await openRaw(world.port)
    connection.write(rawRequest('GET', '/api/file', [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]))
    await connection.until((text) => text.includes('half') || text.includes('all'))
    // The browser has what came; the rest will not.
    for (const socket of open) if (!socket.writableEnded) socket.resetAndDestroy()
    const text = await connection.until((received) => received.endsWith('0\r\n\r\n'))
    connection.close()
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(body)
    expect(world.events.find(({ name }) => name === 'upstream.called')?.fields['outcome']).toBe(outcome)
  })
})
