import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sendRaw } from '../support/raw-http.ts'

/** Attack: have a request read in two ways, where a variable of the environment makes the parser of Node lenient (HX-3). */

const program = `
import { createServer } from 'node:http'
import { serve } from '${new URL('../../shared/http/serve.ts', import.meta.url).href}'
import { systemClock } from '${new URL('../../shared/clock.ts', import.meta.url).href}'
const listen = { host: '127.0.0.1', port: 0 }
const handle = (request, response) => void response.end('read')
const ours = await serve({ handler: { handle }, listen, clock: systemClock, observe: { emit() {} } })
const plain = createServer(handle).listen(listen, () => console.log(JSON.stringify([ours.port, plain.address().port])))
`

const folder = new URL('../support/', import.meta.url).href
const handshake = `
import { startProxy } from '${folder}proxy-world.ts'
import { openRaw, parseAnswer, rawRequest } from '${folder}raw-http.ts'
import { startUpstream } from '${folder}upstream.ts'
const api = await startUpstream()
api.behave((socket) => socket.end('HTTP/1.1 403 No\\r\\nX-A: b\\x01c\\r\\nContent-Length: 0\\r\\n\\r\\n'))
const world = await startProxy("    - { path: /ws, upstream: '" + api.origin + "', websocket: true, headerless: [websocket] }\\n")
const connection = await openRaw(world.port)
const asked = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
const from = ['Host: www.example.com', 'Origin: https://www.example.com', 'Cookie: ' + world.cookies()]
connection.write(rawRequest('GET', '/ws', [...from, ...asked]))
console.log(parseAnswer(await connection.closed()).status)
process.exit()
`

let child: ChildProcess
let ports: readonly number[]
const run = (text: string) => {
  const env = { NODE_OPTIONS: '--insecure-http-parser --max-http-header-size=100000' }
  return spawn(process.execPath, ['--input-type=module', '--eval', text], { env })
}
beforeAll(async () => {
  child = run(program)
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
  ports = JSON.parse(line.toString()) as number[]
})
afterAll(async () => {
  child.kill()
  await once(child, 'close')
})

it.each([
  ['a control character in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x01c\r\n\r\n', 400],
  [
    'length and chunked',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['a head of 50 kB', `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(50_000)}\r\n\r\n`, 431],
])('HX-3 %s is refused by us, and read by what obeys the variable', async (_, bytes, status) => {
  const [ours = 0, plain = 0] = ports
  expect((await sendRaw(ours, bytes)).status).toBe(status)
  expect((await sendRaw(plain, bytes)).status).toBe(200)
})

it('HX-3 an API that declines a WebSocket is read as strictly', async () => {
  const shaking = run(handshake)
  let text = ''
  shaking.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
  await once(shaking, 'close')
  expect(text).toBe('502\n')
})
