/** An API of event streams that knows how many are open: `event-upstream.ts <port>`; `GET /open` tells. */
import { createServer } from 'node:http'
import type { Socket } from 'node:net'

const open = new Set<Socket>()

const server = createServer((request, response) => {
  if (request.url === '/open') {
    // The connection that asks is not one of those asked about.
    response.setHeader('connection', 'close').end(String(open.size - 1))
    return
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('data: hello\n\n')
})
server.on('connection', (socket) => {
  open.add(socket)
  socket.on('close', () => open.delete(socket))
})
server.keepAliveTimeout = 1
server.listen(Number(process.argv[2]), '127.0.0.1', 4096)
