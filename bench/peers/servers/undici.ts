/** Node's HTTP server and undici with nothing between them, the parts that our proxy is made of: `undici.ts <settings> <port>`. */
import { createServer } from 'node:http'
import { Pool } from 'undici'
import { ports } from '../../world.ts'

const pool = new Pool(`http://127.0.0.1:${ports.upstream}`, { pipelining: 1, connections: null })

createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const { method = '', url: path = '', headers } = request
  const { connection: _, ...forwarded } = headers
  const hasBody = headers['content-length'] !== undefined
  pool.dispatch(
    { method, path, headers: forwarded, body: hasBody ? request : null },
    {
      onRequestStart() {},
      onResponseStart(_controller, status, fields) {
        const { connection: _, ...answered } = fields
        response.writeHead(status, answered)
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return
        controller.pause()
        response.once('drain', () => controller.resume())
      },
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  )
}).listen(Number(process.argv[3]), '127.0.0.1')
