import { connect } from 'node:net'
import { systemClock } from '../../shared/clock.ts'
import { allowedHosts, parseRequestHead } from '../../shared/http/request-gate.ts'
import { type RunningServer, serve } from '../../shared/http/serve.ts'
import { type FuzzTarget, promise } from './target.ts'
import { type Framed, readStrictly } from './strict-reader.ts'

const hosts = allowedHosts('https://www.example.com')

/** The server of agent and proxy with their gate, and what it let through on the last connection, in order. */
async function startGate() {
  let requests: (Framed | undefined)[] = []
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    observe: { emit: () => {} },
    handler: {
      handle(request, response) {
        const at = requests.push(undefined) - 1
        const on = requests
        const { method = '', url: target = '', httpVersion, rawHeaders } = request
        const { hasBody } = parseRequestHead({ method, target, httpVersion, rawHeaders }, hosts)
        if (!hasBody) {
          on[at] = { method, target, body: '' }
          response.end()
          return
        }
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('error', () => {})
        request.on('end', () => {
          on[at] = { method, target, body: Buffer.concat(chunks).toString('latin1') }
          response.end()
        })
      },
    },
  })
  return {
    server,
    async send(bytes: string): Promise<readonly (Framed | undefined)[]> {
      requests = []
      await new Promise<void>((resolve) => {
        const socket = connect(server.port, '127.0.0.1', () => socket.end(bytes, 'latin1'))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
      })
      return requests
    },
  }
}

let gate: Promise<{ server: RunningServer; send(bytes: string): Promise<readonly (Framed | undefined)[]> }> | undefined

const head = 'Host: www.example.com\r\n'

export const framing: FuzzTarget = {
  name: 'framing',
  seeds: [
    `GET /a HTTP/1.1\r\n${head}\r\nGET /b HTTP/1.1\r\n${head}\r\n`,
    `POST /a HTTP/1.1\r\n${head}Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n${head}\r\n`,
    `POST /a HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n${head}\r\n`,
    `POST /a HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nT: v\r\n\r\n`,
    `PUT /a HTTP/1.0\r\n${head}Content-Length: 0\r\n\r\n`,
  ],
  dictionary: [
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '0\r\n\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: +3\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: xchunked\r\n',
    'Transfer-Encoding: identity\r\n',
    'Transfer-Encoding:\x0bchunked\r\n',
    'Connection: close\r\n',
    'Connection: upgrade\r\nUpgrade: websocket\r\n',
    'Expect: 100-continue\r\n',
    ' folded\r\n',
    'ffffffffffffffff\r\n',
    '0x3\r\n',
    ';',
    '\0',
    '\x80',
    ' ',
    '\t',
    'GET /smuggled HTTP/1.1\r\n',
    head,
  ],
  guides: [
    'shared/http/request-gate.ts',
    'shared/http/answer-requests.ts',
    'shared/http/pipelining.ts',
    'shared/http/parser-refusal.ts',
  ],
  async run(input) {
    gate ??= startGate()
    const passed = await (await gate).send(input)
    const strict = readStrictly(input)
    for (const [at, request] of passed.entries()) {
      if (request === undefined) continue
      const read = strict[at]
      promise(read !== undefined, 'nothing passes that the grammar does not know')
      promise(read?.method === request.method && read.target === request.target, 'the same request line is read')
      promise(read?.body === request.body, 'the body ends where the grammar ends it')
    }
  },
  async close() {
    await (await gate)?.server.stop(0)
    gate = undefined
  },
}
