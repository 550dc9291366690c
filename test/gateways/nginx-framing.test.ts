import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type NginxWorld, startNginxWorld } from '../support/nginx-world.ts'
import { hostLine, ownPage, publicOrigin } from '../support/proxy-world.ts'
import { openRaw, parseAnswer, rawRequest } from '../support/raw-http.ts'
import { answersTwice, echo, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

/** Attack: bytes that two readers cut differently, where nginx with the Lua module stands in the place of the proxy. */

let api: Upstream
let nginx: NginxWorld

beforeAll(async () => {
  api = await startUpstream()
  nginx = await startNginxWorld(`
    - { path: /api/**, methods: [GET, POST, DELETE, OPTIONS], upstream: '${api.origin}' }
`)
})
beforeEach(() => api.reset())
afterAll(async () => {
  await nginx.close()
  await api.close()
})

const head = (request: string, more: readonly string[]) => {
  const lines = [hostLine, ...ownPage, `Origin: ${publicOrigin}`, `Cookie: ${nginx.cookies()}`, ...more]
  return `${request}\r\n${lines.join('\r\n')}\r\n\r\n`
}
const chunked = 'Transfer-Encoding: chunked'
const post = (...more: readonly string[]) => head('POST /api/one HTTP/1.1', more)
/** What an attacker wants to be read as a request of somebody else. */
const smuggled = 'GET /api/smuggled HTTP/1.1\r\nHost: www.example.com\r\nX: '

describe('what is refused', () => {
  it.each<[string, () => string]>([
    ['I01 length and chunked', () => `${post('Content-Length: 6', chunked)}0\r\n\r\nG`],
    ['I02 two lengths', () => `${post('Content-Length: 0', 'Content-Length: 5')}hello`],
    ['I02 the same length twice', () => `${post('Content-Length: 5', 'Content-Length: 5')}hello`],
    ...['5, 5', '+5', '0x5', '5a', '-5', '5.0', ''].map((length): [string, () => string] => [
      `I02 length ${JSON.stringify(length)}`,
      () => `${post(`Content-Length: ${length}`)}hello`,
    ]),
    ['I05 a chunk line ended by CR alone', () => `${post(chunked)}5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n${smuggled}`],
    ['I06 a space before the colon', () => head('GET /api/one HTTP/1.1', ['X-A : b'])],
    ['I06 a folded line', () => head('GET /api/one HTTP/1.1', ['X-A: b', ' c'])],
    ['I06 a bare CR', () => head('GET /api/one HTTP/1.1', ['X-A: b\rX-B: c'])],
    ['I06 a chunk size in 0x', () => `${post(chunked)}0x3\r\nabc\r\n0\r\n\r\n`],
    ['I06 a chunk size with a sign', () => `${post(chunked)}+3\r\nabc\r\n0\r\n\r\n`],
    ['I06 a chunk without its end', () => `${post(chunked)}3\r\nabcd\r\n0\r\n\r\n`],
    ['HX-2 gzip and chunked', () => `${post('Transfer-Encoding: gzip, chunked')}0\r\n\r\n`],
    ['HX-2 chunked twice', () => `${post('Transfer-Encoding: chunked, chunked')}0\r\n\r\n`],
    ['HX-2 chunked on two lines', () => `${post(chunked, 'Transfer-Encoding: identity')}0\r\n\r\n`],
    ['HX-2 identity', () => `${post('Transfer-Encoding: identity', 'Content-Length: 5')}hello`],
    ['HX-2 chunked with a tab', () => `${post('Transfer-Encoding:\x0bchunked')}0\r\n\r\n`],
    ['HX-2 chunked on HTTP/1.0', () => `${head('POST /api/one HTTP/1.0', [chunked])}0\r\n\r\n`],
    ['HX-1 two hosts', () => head('GET /api/one HTTP/1.1', ['Host: www.example.com'])],
    ['a request line without a version', () => head('GET /api/one', [])],
    ['an unknown version', () => head('GET /api/one HTTP/3.7', [])],
    ['I09 CONNECT', () => 'CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    const connection = await openRaw(nginx.port)
    connection.write(bytes())
    const text = await connection.until((all) => all.includes('\r\n\r\n'))
    connection.close()
    if (text.startsWith('HTTP/')) expect([400, 405, 413, 421, 501, 505]).toContain(parseAnswer(text).status)
    expect(api.seen.map(({ target }) => target)).toEqual([])
  })
})

describe('what is read the same way by all keeps its place in the queue', () => {
  it.each<[string, () => string, string]>([
    ['I04 ChUnKeD', () => `${post('Transfer-Encoding: ChUnKeD')}5\r\nhello\r\n0\r\n\r\n`, 'hello'],
    ['HX-32 a GET with a body', () => `${head('GET /api/one HTTP/1.1', ['Content-Length: 5'])}hello`, 'hello'],
    [
      'HX-32 a DELETE with chunks',
      () => `${head('DELETE /api/one HTTP/1.1', [chunked])}5\r\nhello\r\n0\r\n\r\n`,
      'hello',
    ],
    [
      'HX-32 OPTIONS with a body that looks like a request',
      () => `${head('OPTIONS /api/one HTTP/1.1', [`Content-Length: ${smuggled.length}`])}${smuggled}`,
      smuggled,
    ],
  ])('%s', async (_, first, body) => {
    const connection = await openRaw(nginx.port)
    connection.write(first() + head('GET /api/two HTTP/1.1', []))
    await connection.until((text) => text.split('HTTP/1.1 200').length === 3 && text.includes('/two'))
    connection.close()
    expect(api.seen.map(({ target }) => target)).toEqual(['/api/one', '/api/two'])
    expect(api.seen[0]?.body).toBe(body)
  })

  it('HX-2 HX-16 chunks are framed anew, with neither their extensions nor their trailers', async () => {
    const connection = await openRaw(nginx.port)
    const trailer = '0\r\nX-Forwarded-User: admin\r\n\r\n'
    connection.write(`${post(chunked, 'Trailer: X-Forwarded-User')}3;ext=1\r\nabc\r\n2\r\nde\r\n${trailer}`)
    await connection.until((text) => text.includes('/api/one'))
    connection.close()
    const [seen] = api.seen
    expect([seen?.body, seen?.values('x-forwarded-user'), seen?.values('trailer')]).toEqual(['abcde', [], []])
  })
})

describe('I10 HX-30 a second answer that nobody asked for', () => {
  it.each(answersTwice)('%s reaches nobody', async (_, behaviour) => {
    for (let round = 0; round < 5; round++) {
      api.behave(behaviour)
      expect((await nginx.call('GET', '/api/x')).body).toBe('{"first":true}')
      api.behave(echo)
      const next = await nginx.call('GET', '/api/next')
      expect([next.status, next.json()['target']]).toEqual([200, '/api/next'])
    }
  })
})

describe('I14 answers without a body keep the connection usable', () => {
  it.each<[string, string, string, number]>([
    ['304 with a length', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1000\r\n\r\n', 304],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
    ['205', 'GET', 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n', 205],
  ])('%s', async (_, method, bytes, status) => {
    api.behave((socket) => void socket.write(bytes))
    const connection = await openRaw(nginx.port)
    connection.write(rawRequest(method, '/api/x', [hostLine, ...ownPage, `Cookie: ${nginx.cookies()}`]))
    expect(parseAnswer(await connection.until((text) => text.includes('\r\n\r\n'))).status).toBe(status)
    api.behave((socket) => void socket.write(okBytes('second')))
    connection.write(rawRequest('GET', '/api/y', [hostLine, ...ownPage, `Cookie: ${nginx.cookies()}`]))
    expect(await connection.until((text) => text.includes('second'))).toContain('HTTP/1.1 200')
    connection.close()
  })
})
