import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { isComplete, openRaw, parseAnswer, rawRequest } from '../support/raw-http.ts'
import { okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - { path: /**, methods: [GET, POST, DELETE, OPTIONS], upstream: '${api.origin}' }
`)
})

beforeEach(() => {
  api.seen.length = 0
})

afterAll(async () => {
  await world.close()
  await api.close()
})

const lines = () => [hostLine, ...ownPage, `Origin: ${publicOrigin}`, `Cookie: ${world.cookies()}`]
const head = (request: string, more: readonly string[]) => `${request}\r\n${[...lines(), ...more].join('\r\n')}\r\n\r\n`
/** What an attacker wants to be read as a request of somebody else. */
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: www.example.com\r\nX: '

async function answersTo(bytes: string): Promise<string> {
  const connection = await openRaw(world.port)
  connection.write(bytes)
  const text = await connection.until((all) => isComplete(all) || all.startsWith('HTTP/1.1 400'))
  connection.close()
  return text
}

describe('bytes that two readers cut differently', () => {
  it.each<[string, () => string]>([
    [
      'I01 length and chunked',
      () => `${head('POST / HTTP/1.1', ['Content-Length: 6', 'Transfer-Encoding: chunked'])}0\r\n\r\nG`,
    ],
    ['I02 two lengths', () => `${head('POST / HTTP/1.1', ['Content-Length: 0', 'Content-Length: 5'])}hello`],
    ['I02 the same length twice', () => `${head('POST / HTTP/1.1', ['Content-Length: 5', 'Content-Length: 5'])}hello`],
    ...['5, 5', '+5', '0x5', '', '5a', '-5', '5.0'].map((length): [string, () => string] => [
      `I02 length ${JSON.stringify(length)}`,
      () => `${head('POST / HTTP/1.1', [`Content-Length: ${length}`])}hello`,
    ]),
    [
      'I05 a chunk line ended by CR alone',
      () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: chunked'])}5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n${smuggled}`,
    ],
    ['I06 a space before the colon', () => head('GET / HTTP/1.1', ['X-A : b'])],
    ['I06 a folded line', () => head('GET / HTTP/1.1', ['X-A: b', ' c'])],
    ['I06 a bare line feed', () => head('GET / HTTP/1.1', ['X-A: b\nX-B: c'])],
    ['I06 a bare CR', () => head('GET / HTTP/1.1', ['X-A: b\rX-B: c'])],
    [
      'I06 a chunk size in 0x',
      () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: chunked'])}0x3\r\nabc\r\n0\r\n\r\n`,
    ],
    [
      'I06 a chunk size with a sign',
      () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: chunked'])}+3\r\nabc\r\n0\r\n\r\n`,
    ],
    [
      'I06 a chunk without its end',
      () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: chunked'])}3\r\nabcd\r\n0\r\n\r\n`,
    ],
    ['HX-2 gzip and chunked', () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: gzip, chunked'])}0\r\n\r\n`],
    ['HX-2 chunked twice', () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: chunked, chunked'])}0\r\n\r\n`],
    [
      'HX-2 chunked on two lines',
      () => `${head('POST / HTTP/1.1', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'])}0\r\n\r\n`,
    ],
    ['HX-2 chunked with a tab', () => `${head('POST / HTTP/1.1', ['Transfer-Encoding:\x0bchunked'])}0\r\n\r\n`],
    ['HX-2 chunked on HTTP/1.0', () => `${head('POST / HTTP/1.0', ['Transfer-Encoding: chunked'])}0\r\n\r\n`],
    ['HX-1 two hosts', () => head('GET / HTTP/1.1', ['Host: www.example.com'])],
    ['a request line without a version', () => head('GET /', [])],
    ['NUL in a value', () => head('GET / HTTP/1.1', ['X-A: b\0c'])],
    ['a byte above 0x7f in the target', () => head('GET /\xff HTTP/1.1', [])],
    ['an unknown version', () => head('GET / HTTP/3.7', [])],
    ['an unknown method', () => head('FOO / HTTP/1.1', [])],
    ['I09 CONNECT', () => 'CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com\r\n\r\n'],
    ['HX-14 TRACE', () => head('TRACE / HTTP/1.1', [])],
    ['QUERY', () => head('QUERY / HTTP/1.1', [])],
  ])('%s', async (_, bytes) => {
    const connection = await openRaw(world.port)
    connection.write(bytes())
    const text = await connection.until((all) => /\r\n\r\n/.test(all))
    connection.close()
    if (text !== '') expect([400, 405, 413, 421, 501, 505]).toContain(parseAnswer(text).status)
    expect(api.seen).toHaveLength(0)
  })
})

describe('what is read the same way by all keeps its place in the queue', () => {
  it.each<[string, () => string, string]>([
    [
      'I04 ChUnKeD',
      () => `${head('POST /one HTTP/1.1', ['Transfer-Encoding: ChUnKeD'])}5\r\nhello\r\n0\r\n\r\n`,
      'hello',
    ],
    ['HX-32 a GET with a body', () => `${head('GET /one HTTP/1.1', ['Content-Length: 5'])}hello`, 'hello'],
    [
      'HX-32 a DELETE with chunks',
      () => `${head('DELETE /one HTTP/1.1', ['Transfer-Encoding: chunked'])}5\r\nhello\r\n0\r\n\r\n`,
      'hello',
    ],
    [
      'HX-32 OPTIONS with a body that looks like a request',
      () => `${head('OPTIONS /one HTTP/1.1', [`Content-Length: ${smuggled.length}`])}${smuggled}`,
      smuggled,
    ],
  ])('%s', async (_, first, body) => {
    const connection = await openRaw(world.port)
    connection.write(first() + head('GET /two HTTP/1.1', []))
    await connection.until((text) => text.split('HTTP/1.1 200').length === 3 && text.includes('/two'))
    connection.close()
    expect(api.seen.map(({ target }) => target).sort()).toEqual(['/one', '/two'])
    expect(api.seen.find(({ target }) => target === '/one')?.body).toBe(body)
    expect(connection.received().indexOf('/one')).toBeLessThan(connection.received().indexOf('/two'))
  })

  it('many requests in one segment are answered in their order', async () => {
    const connection = await openRaw(world.port)
    const targets = Array.from({ length: 20 }, (_, index) => `/n${index}x`)
    connection.write(targets.map((target) => head(`GET ${target} HTTP/1.1`, [])).join(''))
    const text = await connection.until((all) => all.includes('/n19x'))
    connection.close()
    expect([...text.matchAll(/"target":"(\/n\d+x)"/g)].map(([, target]) => target)).toEqual(targets)
  })
})

describe('I17 fields past the number that the server lists are not in force either', () => {
  const counts = [100, 900, 990, 995, 1000, 1005, 1010, 2000]
  const hidden: [string, string, string][] = [
    ['chunked', 'Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n'],
    ['a length', 'Content-Length: 5', 'hello'],
  ]
  it.each(hidden.flatMap((each) => counts.map((count) => [...each, count] as const)))(
    '%s',
    async (_, line, body, count) => {
      const filler = Array.from({ length: count }, () => 'TE:')
      const text = await answersTo(`${head('POST /one HTTP/1.1', [...filler, line])}${body}`)
      if (parseAnswer(text).status === 200) expect(api.seen.map((seen) => seen.body)).toEqual(['hello'])
      else expect([parseAnswer(text).status, api.seen.length]).toEqual([431, 0])
    },
  )
})

describe('I18 an API that reads no body where it expects none', () => {
  it.each(['GET', 'DELETE', 'OPTIONS'])('takes the body of %s for no request of the next user', async (method) => {
    const heads: string[] = []
    const careless = createServer((socket) => {
      let text = ''
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
          heads.push(text.slice(0, end))
          text = text.slice(end + 4)
          socket.write(okBytes('ok'))
        }
      })
    })
    await new Promise<void>((resolve) => careless.listen(0, '127.0.0.1', resolve))
    const { port } = careless.address() as AddressInfo
    const before = await startProxy(`
    - { path: /**, methods: [GET, DELETE, OPTIONS], upstream: 'http://127.0.0.1:${port}' }
`)
    for (let round = 0; round < 5; round++) {
      const more = [`Origin: ${publicOrigin}`]
      expect((await before.call(method, '/one', { body: smuggled, more })).status).toBe(200)
      expect((await before.call('GET', '/two')).status).toBe(200)
    }
    expect(heads.filter((text) => text.startsWith('GET /smuggled'))).toEqual([])
    expect(heads.filter((text) => text.startsWith('GET /two'))).toHaveLength(5)
    await before.close()
    await new Promise((resolve) => careless.close(resolve))
  })
})

describe('I16 expectations', () => {
  it.each(['x', '100-continue, x', '200-ok'])('Expect: %s is 417', async (value) => {
    const text = await answersTo(head('POST / HTTP/1.1', [`Expect: ${value}`, 'Content-Length: 0']))
    const refused = parseAnswer(text)
    expect([refused.status, refused.header('token-handler-error')]).toEqual([417, 'expectation_failed'])
    expect(api.seen).toHaveLength(0)
  })
})

describe('K12 answers come from the API that was asked', () => {
  it('two APIs in turn, one of them restarting', async () => {
    const first = await startUpstream()
    const second = await startUpstream()
    const both = await startProxy(`
    - { path: /first, upstream: '${first.origin}' }
    - { path: /second, upstream: '${second.origin}' }
`)
    for (let turn = 0; turn < 60; turn++) {
      if (turn % 10 === 5) for (const socket of second.open) socket.destroy()
      const target = turn % 2 === 0 ? '/first' : '/second'
      const connection = await openRaw(both.port)
      connection.write(rawRequest('GET', target, [hostLine, ...ownPage, `Cookie: ${both.cookies()}`]))
      expect(await connection.until(isComplete)).toContain(`"target":"${target}"`)
      connection.close()
    }
    await both.close()
    await first.close()
    await second.close()
  })
})
