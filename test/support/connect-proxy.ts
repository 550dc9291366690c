import { createServer, type IncomingHttpHeaders } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TestCertificate } from './certificate.ts'

/** One CONNECT as it came (RFC 9110 §9.3.6). */
export interface AskedTunnel {
  readonly authority: string
  readonly headers: IncomingHttpHeaders
}

/** What a proxy does with a CONNECT: opens the tunnel, answers with a status, or with these bytes, or says nothing. */
export type ProxyAnswer = 'tunnel' | 'silence' | number | { readonly bytes: string }

/** A real HTTP forward proxy on loopback that opens TCP tunnels and nothing else. */
export interface ConnectProxy {
  readonly origin: string
  readonly asked: readonly AskedTunnel[]
  /** Requests other than CONNECT, which a proxy could read. */
  readonly readable: readonly string[]
  /** Everything that clients sent through tunnels. */
  readonly carried: () => string
  /** Local ports from which it connected, by which a server knows who came through it. */
  readonly ports: ReadonlySet<number>
  /** Tunnels and questions open now. */
  readonly open: ReadonlySet<Duplex>
  answer: (asked: AskedTunnel) => ProxyAnswer
  close(): Promise<void>
}

/** What a test may turn. */
export interface ConnectProxyOptions {
  /** The proxy speaks TLS with it. */
  readonly certificate?: TestCertificate
  /** Loopback port to which every tunnel leads, whatever host was asked for; the port that was asked for if absent. */
  readonly leadsTo?: number
}

export async function startConnectProxy({ certificate, leadsTo }: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const asked: AskedTunnel[] = []
  const readable: string[] = []
  const carried: Buffer[] = []
  const ports = new Set<number>()
  const open = new Set<Duplex>()
  const keep = <T extends Duplex>(socket: T): T => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy())
    return socket
  }

  const server =
    certificate === undefined
      ? createServer()
      : createTlsServer({ cert: certificate.certificate, key: certificate.privateKey })
  server.on('request', (request, response) => {
    readable.push(`${request.method} ${request.url}`)
    response.writeHead(405).end()
  })
  server.on('connection', (socket: Socket) => void keep(socket))
  server.on('connect', (request, client: Duplex, head: Buffer) => {
    const each: AskedTunnel = { authority: request.url ?? '', headers: request.headers }
    asked.push(each)
    keep(client)
    const answer = proxy.answer(each)
    // Read on, or nobody would see the client go.
    if (answer === 'silence') client.on('end', () => client.destroy()).resume()
    else if (typeof answer === 'number') client.end(`HTTP/1.1 ${answer} No\r\nContent-Length: 2\r\n\r\nno`)
    else if (answer !== 'tunnel') client.end(answer.bytes)
    else tunnel(client, head, leadsTo ?? Number(each.authority.split(':').at(-1)))
  })

  function tunnel(client: Duplex, head: Buffer, port: number): void {
    const target = keep(connect({ host: '127.0.0.1', port }))
    target.on('error', () => client.end('HTTP/1.1 502 No\r\n\r\n'))
    target.on('connect', () => {
      ports.add(target.localPort ?? 0)
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      client.on('data', (chunk: Buffer) => carried.push(chunk))
      if (head.length > 0) client.unshift(head)
      client.pipe(target).pipe(client)
    })
    client.on('close', () => target.destroy())
    target.on('close', () => client.destroy())
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const proxy: ConnectProxy = {
    origin: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    asked,
    readable,
    carried: () => Buffer.concat(carried).toString('latin1'),
    ports,
    open,
    answer: () => 'tunnel',
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of open) socket.destroy()
      await closed
    },
  }
  return proxy
}
