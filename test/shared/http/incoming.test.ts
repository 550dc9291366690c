import { createServer, type ServerOptions } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Incoming } from '../../../shared/http/incoming.ts'
import { openRaw } from '../../support/raw-http.ts'

/** A server that answers with the fields as a handler finds them, one request after the other. */
interface Reader {
  fieldsOf(lines: readonly string[]): Promise<unknown>
  close(): void
}

async function readerWith(options: ServerOptions<typeof Incoming>): Promise<Reader> {
  const server = createServer({ ...options, requireHostHeader: false }, ({ headers }, response) => {
    response.end(`${JSON.stringify(Object.entries(headers))}\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const connection = await openRaw((server.address() as AddressInfo).port)
  let answers = 0
  return {
    async fieldsOf(lines) {
      answers++
      connection.write(`GET / HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
      const received = await connection.until((text) => text.split(']\n').length > answers)
      return JSON.parse(received.split('\r\n\r\n')[answers]?.split('\n')[0] ?? '')
    },
    close() {
      connection.close()
      server.close()
    },
  }
}

let ours: Reader
let ofNode: Reader
beforeAll(async () => {
  ours = await readerWith({ IncomingMessage: Incoming })
  ofNode = await readerWith({})
})
afterAll(() => {
  ours.close()
  ofNode.close()
})

const names = ['Accept', 'accept', 'Cookie', 'COOKIE', 'Set-Cookie', 'Age', 'age', 'Host', 'X-One', 'x-one', 'Etag']
const odd = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'x_one']

describe('the headers of a request', () => {
  it.each([
    ['none', []],
    ['each once', ['Host: localhost', 'Accept: */*', 'Cookie: a=b; c=d', 'X-One: 1']],
    ['an empty value', ['Host: localhost', 'X-One:', 'Accept: */*']],
    ['an empty value first, then another', ['X-One:', 'x-one: 2']],
    ['a list in two lines', ['Accept: a', 'accept: b']],
    ['two that must not be joined', ['Age: 1', 'Age: 2']],
    ['two Cookie lines', ['Cookie: a=b', 'cookie: c=d']],
    ['Set-Cookie, which is an array', ['Set-Cookie: a=b']],
    ['names that every object has', ['__proto__: a', 'constructor: b', 'toString: c']],
    ['as many as Node takes', Array.from({ length: 1000 }, (_, index) => `a${index}:`)],
  ])('are those of Node: %s', async (_, lines) => {
    expect(await ours.fieldsOf(lines)).toEqual(await ofNode.fieldsOf(lines))
  })

  it('are those of Node whatever the fields', async () => {
    const line = fc
      .tuple(fc.constantFrom(...names, ...odd), fc.constantFrom('', '1', 'a=b', 'x, y'))
      .map(([name, value]) => `${name}: ${value}`)
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
        expect(await ours.fieldsOf(lines)).toEqual(await ofNode.fieldsOf(lines))
      }),
      { numRuns: 300 },
    )
  })

  it('can be replaced', () => {
    const request = new Incoming(new Socket())
    request.rawHeaders = ['X-One', '1']
    expect(request.headers).toEqual({ 'x-one': '1' })
    request.headers = { 'x-two': '2' }
    expect(request.headers).toEqual({ 'x-two': '2' })
  })
})
