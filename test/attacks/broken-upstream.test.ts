import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hostLine, ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { openRaw, parseAnswer, rawRequest } from '../support/raw-http.ts'
import { answer, answersTwice, echo, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - { path: /api/**, methods: [GET, HEAD, POST], upstream: '${api.origin}' }
`)
})

beforeEach(() => api.behave(echo))

afterAll(async () => {
  await world.close()
  await api.close()
})

/** Whatever the API did before, the next caller gets an answer of its own. */
async function nextCallerIsServed() {
  api.behave(echo)
  const next = await world.call('GET', '/api/next')
  expect([next.status, next.json().target]).toEqual([200, '/api/next'])
}

describe('I12 an answer that is none', () => {
  it.each<[string, string]>([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nokayx'],
    [
      'length and chunked',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['a field without colon', 'HTTP/1.1 200 OK\r\nbroken\r\n\r\n'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n'],
    ['HX-3 a bare CR in a value', 'HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n'],
    ['NUL in a value', 'HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n'],
    ['garbage', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
    ['HTTP/0.9', '<html>hello</html>\r\n\r\n'],
    ['status 000', 'HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n'],
    ['status 600', 'HTTP/1.1 600 Beyond\r\nContent-Length: 0\r\n\r\n'],
    ['status 999', 'HTTP/1.1 999 Beyond\r\nContent-Length: 0\r\n\r\n'],
    ['101 unasked', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n'],
    ['100 unasked', 'HTTP/1.1 100 Continue\r\n\r\n'],
    [
      'a control character in a value',
      'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-A: b\x01c\r\nContent-Length: 0\r\n\r\n',
    ],
    ['two types', 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: image/png\r\nContent-Length: 0\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`],
  ])('%s is answered for by us', async (_, bytes) => {
    api.behave(answer(bytes))
    const answered = await world.call('POST', '/api/x', { body: 'a', more: ['Origin: https://www.example.com'] })
    expect(answered.status).toBe(502)
    expect(answered.header('content-type')).toBe('application/json')
    expect(answered.header('content-encoding')).toBeUndefined()
    expect(answered.json().error_code).toMatch(/^upstream_(?:invalid_response|reset)$/)
    await nextCallerIsServed()
  })

  it('204 with bytes behind it', async () => {
    api.behave(answer('HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello'))
    const answered = await world.call('GET', '/api/x')
    expect([answered.status, answered.header('content-length'), answered.body]).toEqual([204, undefined, ''])
    await nextCallerIsServed()
  })
})

describe('I10 HX-30 a second answer that nobody asked for', () => {
  it.each(answersTwice)('%s reaches nobody', async (_, behaviour) => {
    for (let round = 0; round < 5; round++) {
      api.behave(behaviour)
      expect((await world.call('GET', '/api/x')).body).toBe('{"first":true}')
      await nextCallerIsServed()
    }
  })
})

describe('I13 HX-27 half an answer', () => {
  it.each([
    ['a head alone', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'],
    ['a length that is not reached', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab'],
    ['chunks without a last one', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n'],
    ['a chunk that breaks off', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab'],
  ])('%s is never a whole one', async (_, bytes) => {
    api.behave((socket) => socket.end(bytes))
    const connection = await openRaw(world.port)
    connection.write(rawRequest('GET', '/api/x', [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]))
    const text = await connection.closed()
    expect(text).not.toContain('\r\n0\r\n\r\n')
    const { status, header, body } = parseAnswer(text)
    if (status === 200)
      expect(Number(header('content-length') ?? Number.POSITIVE_INFINITY)).toBeGreaterThan(body.length)
    else expect(status).toBe(502)
    await nextCallerIsServed()
  })

  it.each([
    ['a length that is not reached', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab'],
    ['chunks without a last one', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n'],
  ])('%s is a broken connection to an HTTP/1.0 client, which knows no other sign', async (_, bytes) => {
    let finish = () => {}
    api.behave((socket) => {
      socket.write(bytes)
      finish = () => socket.end()
    })
    const connection = await openRaw(world.port)
    const broken = new Promise((resolve) => {
      for (const event of ['error', 'end']) connection.socket.once(event, resolve)
    })
    const request = rawRequest('GET', '/api/x', [hostLine, ...ownPage, `Cookie: ${world.cookies()}`])
    connection.write(request.replace('HTTP/1.1', 'HTTP/1.0'))
    await connection.until((text) => text.endsWith('\r\n\r\nab'))
    finish()
    expect(await broken).toMatchObject({ code: 'ECONNRESET' })
    await nextCallerIsServed()
  })

  it('a body that ends with its connection is whole', async () => {
    api.behave((socket) => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it'))
    const answered = await world.call('GET', '/api/x')
    expect(answered.body).toContain('all of it')
    expect(answered.body).toMatch(/0\r\n\r\n$/)
  })
})

describe('I14 answers without a body keep the connection usable', () => {
  it.each<[string, string, string, number, string | undefined]>([
    ['HEAD with a length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n', 200, '1000'],
    ['HEAD without', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', 200, undefined],
    ['304 with a length', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1000\r\n\r\n', 304, '1000'],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204, undefined],
    ['204 with a length', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', 204, undefined],
    ['205', 'GET', 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n', 205, '0'],
  ])('%s', async (_, method, bytes, status, length) => {
    api.behave(answer(bytes))
    const connection = await openRaw(world.port)
    const lines = [hostLine, ...ownPage, `Cookie: ${world.cookies()}`]
    connection.write(rawRequest(method, '/api/x', lines))
    const first = parseAnswer(await connection.until((text) => text.includes('\r\n\r\n')))
    expect([first.status, first.header('content-length'), first.body]).toEqual([status, length, ''])
    api.behave(answer(okBytes('second')))
    connection.write(rawRequest('GET', '/api/y', lines))
    expect(await connection.until((text) => text.endsWith('second'))).toMatch(/HTTP\/1\.1 200 OK/)
    connection.close()
  })
})

it('K17 interim answers end here', async () => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
  api.behave(answer(hint.repeat(50) + okBytes('final')))
  const answered = await world.call('GET', '/api/x')
  expect([answered.status, answered.body, answered.header('link')]).toEqual([200, 'final', undefined])
})

it('HX-16 trailers stay behind', async () => {
  api.behave(
    answer('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n2\r\nok\r\n0\r\nX-Late: a\r\n\r\n'),
  )
  const answered = await world.call('GET', '/api/x')
  expect(answered.header('trailer')).toBeUndefined()
  expect(answered.body).toBe('2\r\nok\r\n0\r\n\r\n')
})

it('a part of a resource passes as a part', async () => {
  api.behave(answer(okBytes('cd', ['Content-Range: bytes 2-3/10', 'Accept-Ranges: bytes'], '206 Partial Content')))
  const answered = await world.call('GET', '/api/x', { more: ['Range: bytes=2-3'] })
  expect(api.seen.at(-1)?.values('range')).toEqual(['bytes=2-3'])
  expect([answered.status, answered.header('content-range'), answered.body]).toEqual([206, 'bytes 2-3/10', 'cd'])
})

it('K10 compressed bytes pass as they are', async () => {
  const bytes = Buffer.from([0x1f, 0x8b, 0, 255, 254, 10, 13, 0]).toString('latin1')
  api.behave(answer(okBytes(bytes, ['Content-Encoding: gzip, br, x-unknown'])))
  const answered = await world.call('GET', '/api/x', { more: ['Accept-Encoding: gzip'] })
  expect([answered.body, answered.header('content-encoding')]).toEqual([bytes, 'gzip, br, x-unknown'])
  expect(api.seen.at(-1)?.values('accept-encoding')).toEqual(['gzip'])
})
