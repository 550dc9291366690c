import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { readByCopy } from '../../../oauth-proxy/forward/read-by-copy.ts'
import { createCertificate } from '../../support/certificate.ts'

/** Many sockets read into one piece of memory; each has to get its own bytes, whenever it comes to look at them. */

const certificate = createCertificate({ name: 'api', hosts: ['127.0.0.1'] })
const kinds = {
  http: {
    createServer,
    connect: (port: number) => connect({ port, host: '127.0.0.1', onread: readByCopy }),
  },
  https: {
    createServer: (onConnection: (socket: Socket) => void) =>
      createTlsServer({ cert: certificate.certificate, key: certificate.privateKey }, onConnection),
    connect(port: number) {
      const options = { port, host: '127.0.0.1', ca: certificate.certificate, onread: readByCopy }
      return connectTls(options)
    },
  },
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

/** Of lengths that come in one read, fill one, and take many; no two begin alike. */
const lengths = [1, 5, 1_000, 4_095, 4_096, 16_384, 65_535, 65_536, 65_537, 1_000_000]
const bodyOf = (reader: number) => `${reader};`.repeat(lengths[reader % lengths.length] ?? 1)

describe.each(Object.entries(kinds))('over %s', (_name, kind) => {
  /** An API that names the reader with every byte, and writes to all of them in turn. */
  async function start(): Promise<number> {
    const server = kind.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (asked: Buffer) => {
        const body = bodyOf(Number(asked.toString()))
        let at = 0
        const more = (): void => {
          const to = Math.min(body.length, at + 50_000)
          socket.write(body.slice(at, to), () => (to < body.length ? setImmediate(more) : socket.end()))
          at = to
        }
        more()
      })
    })
    return await listen(server)
  }

  async function read(port: number, reader: number, take: (socket: Socket) => Promise<Buffer[]>): Promise<string> {
    const socket = kind.connect(port)
    socket.write(String(reader))
    return Buffer.concat(await take(socket)).toString()
  }

  const takeAtOnce = async (socket: Socket): Promise<Buffer[]> => {
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    return chunks
  }

  /** Looks at what has come only when everybody else has read on. */
  const takeLate = async (socket: Socket): Promise<Buffer[]> => {
    const chunks: Buffer[] = []
    socket.on('readable', () => undefined)
    while (!socket.readableEnded) {
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        chunks.push(chunk)
      }
    }
    return chunks
  }

  it.each([
    ['at once', takeAtOnce],
    ['late, when others have read on', takeLate],
  ])('each reader gets its own bytes and all of them, when it takes them %s', async (_when, take) => {
    const port = await start()
    const readers = Array.from({ length: 3 * lengths.length }, (_, index) => index)
    const texts = await Promise.all(readers.map((reader) => read(port, reader, take)))
    for (const reader of readers) expect(texts[reader] === bodyOf(reader), `reader ${reader}`).toBe(true)
  })

  it('a reader that stops holds its API back', async () => {
    let written = 0
    const server = kind.createServer((socket) => {
      socket.on('error', () => undefined)
      const more = (): void => {
        written += 65_536
        if (written < 60_000_000) socket.write(Buffer.alloc(65_536), more)
      }
      more()
    })
    const socket = kind.connect(await listen(server))
    afterwards.push(() => socket.destroy())
    socket.on('readable', () => undefined)
    // What the buffers of the system take is some megabytes; then nothing moves until somebody reads.
    let before = -1
    for (let still = 0; still < 200; still = written === before ? still + 1 : 0) {
      before = written
      await new Promise(setImmediate)
    }
    expect(socket.readableLength).toBeLessThan(400_000)
    const seen = before
    while (written <= seen) {
      socket.read()
      await new Promise(setImmediate)
    }
  })
})
