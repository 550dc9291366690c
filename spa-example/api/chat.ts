import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Received } from './received.ts'

const maxMessageBytes = 2000
const named: Readonly<Record<string, string>> = { 'u-1001': 'Alice', 'u-1002': 'Bob' }

/** A chat over WebSocket in which everybody hears everybody. */
export function createChat() {
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes })
  const say = (message: object) => {
    for (const client of server.clients) if (client.readyState === client.OPEN) client.send(JSON.stringify(message))
  }
  const join = (socket: WebSocket, received: Received) => {
    const from = named[received.subject ?? ''] ?? 'Somebody'
    socket.send(JSON.stringify({ joined: from, received }))
    socket.on('message', (data: Buffer) => say({ from, text: data.toString('utf8').slice(0, 500) }))
    socket.on('error', () => socket.terminate())
  }
  return {
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, received: Received) =>
      server.handleUpgrade(request, socket, head, (client) => join(client, received)),
    close() {
      for (const client of server.clients) client.terminate()
      server.close()
    },
  }
}
