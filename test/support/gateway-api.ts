import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

/** One request as the API behind a gateway saw it. */
export interface ApiRequest {
  readonly method: string
  readonly target: string
  /** All values of a field. */
  values(name: string): readonly string[]
  readonly names: readonly string[]
}

export interface GatewayApi {
  readonly port: number
  readonly seen: ApiRequest[]
  /** Sends an event to everybody who listens at `/api/events`. */
  publish(text: string): void
  close(): Promise<void>
}

/** An API for tests behind gateways: echo, body hash, server-sent events, WebSocket echo, and answers it should not give. */
export async function startGatewayApi(): Promise<GatewayApi> {
  const seen: ApiRequest[] = []
  const listeners = new Set<ServerResponse>()
  const note = (request: IncomingMessage) => {
    const names = request.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
    seen.push({
      method: request.method ?? '',
      target: request.url ?? '',
      names,
      values: (name) => request.headersDistinct[name] ?? [],
    })
  }
  const server = createServer((request, response) => {
    note(request)
    const path = request.url?.split('?')[0]
    if (path === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      response.write('data: first\n\n')
      listeners.add(response)
      response.once('close', () => listeners.delete(response))
      return
    }
    if (path === '/api/cached') {
      response.writeHead(200, {
        'content-type': 'text/plain',
        'cache-control': 'private, max-age=60',
        'x-content-type-options': 'of-the-api',
      })
      response.end('for a minute')
      return
    }
    if (path === '/api/teapot') {
      response.writeHead(418, {
        'content-type': 'text/plain',
        'set-cookie': 'of-the-api=1',
        'www-authenticate': 'Bearer',
      })
      response.end('short and stout')
      return
    }
    if (path === '/oauth-agent/session') {
      response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': ['one=1; Path=/', 'two=2; Path=/'] })
      response.end('{"is_logged_in":false}')
      return
    }
    if (path === '/api/broken') {
      response.writeHead(500, { 'content-type': 'text/plain' }).end('words of the API')
      return
    }
    const body = createHash('sha256')
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      body.update(chunk)
    })
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ bytes, sha256: body.digest('hex') }))
    })
  })
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false })
  server.on('upgrade', (request, socket, head) => {
    note(request)
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    publish(text) {
      for (const listener of listeners) listener.write(`data: ${text}\n\n`)
    },
    async close() {
      for (const webSocket of sockets.clients) webSocket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
