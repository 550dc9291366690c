/** The least that a Node server can do: `hello.ts <settings> <port>`. */
import { createServer } from 'node:http'

const body = Buffer.alloc(1024, 'a')
const headers = { 'content-type': 'application/json', 'content-length': body.length }

createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
  response.writeHead(200, headers)
  response.end(body)
}).listen(Number(process.argv[3]), '127.0.0.1')
