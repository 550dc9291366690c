/** The least that a decision service on Node can do, which is to say yes: `always-yes.ts <settings> <port>`. */
import { createServer } from 'node:http'
import { newAccessToken } from '../../world.ts'

const headers = { authorization: `Bearer ${newAccessToken()}`, 'content-length': 0 }

createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
  response.writeHead(200, headers)
  response.end()
}).listen(Number(process.argv[3]), '127.0.0.1')
