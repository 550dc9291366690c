import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NginxWorld, startNginxWorld } from '../support/nginx-world.ts'
import { hostLine, ownPage, type ProxyWorld, siblingOrigin, startProxy } from '../support/proxy-world.ts'
import { openRaw, type RawAnswer, rawRequest } from '../support/raw-http.ts'
import { type Upstream, answer, okBytes, startUpstream } from '../support/upstream.ts'

let upstream: Upstream
let proxy: ProxyWorld
let nginx: NginxWorld

const routes = (origin: string) => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${origin}
      redirect_origins: [https://pay.example.com]
    - path: /inner/**
      upstream: ${origin}
      strip_prefix: /inner
      add_prefix: /v1
    - path: /**
      upstream: ${origin}
      add_prefix: /v1
`

beforeAll(async () => {
  upstream = await startUpstream()
  proxy = await startProxy(routes(upstream.origin))
  nginx = await startNginxWorld(routes(upstream.origin))
})

afterAll(async () => {
  await proxy.close()
  await nginx.close()
  await upstream.close()
})

/** Fields in which the two may differ: who they are, and how the connection goes on. */
const ownToEach = new Set(['server', 'date', 'connection', 'keep-alive', 'x-request-id', 'transfer-encoding'])

function visible({ status, lines, body }: RawAnswer) {
  const fields: Record<string, string> = {}
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    if (!ownToEach.has(name))
      fields[name] = [fields[name], line.slice(name.length + 1).trim()].filter(Boolean).join(', ')
  }
  // An error of ours varies on nothing that matters, and has nothing to sandbox.
  if ('token-handler-error' in fields) {
    delete fields['vary']
    delete fields['content-security-policy']
  }
  // The order of what an answer varies on says nothing.
  const vary = [...new Set((fields['vary'] ?? '').toLowerCase().split(/, */))].sort().join(', ')
  return { status, fields: { ...fields, vary }, body }
}

/** What a browser gets from each side for these bytes of the API. */
async function both(bytes: string, path = '/api/a', more: readonly string[] = []) {
  upstream.behave(answer(bytes))
  return {
    proxy: visible(await proxy.call('GET', path, { more })),
    nginx: visible(await nginx.call('GET', path, { more })),
  }
}

const headers: Readonly<Record<string, readonly string[]>> = {
  plain: ['Content-Type: application/json', 'ETag: "a"', 'X-Total: 7'],
  'H17 our cookie': ['Set-Cookie: __Host-Http-th-at=x', 'Set-Cookie: lang=de'],
  'H17 control fields': ['X-Accel-Redirect: /etc', 'X-Sendfile: /etc/passwd', 'X-Accel-Expires: 9', 'X-Accel-Foo: a'],
  'H17 hop by hop': ['Connection: X-Foo', 'X-Foo: 1', 'X-Bar: 2'],
  'H17 hop by hop whatever Connection says': ['Upgrade: h2c', 'Trailer: X-Foo', 'TE: trailers', 'HTTP2-Settings: a'],
  'HX-23 speaking for the origin': [
    'Clear-Site-Data: "*"',
    'Service-Worker-Allowed: /',
    'Strict-Transport-Security: max-age=0',
    'Alt-Svc: clear',
    'Access-Control-Allow-Origin: *',
    'Access-Control-Allow-Credentials: true',
    'Access-Control-Weird: *',
    'Public-Key-Pins: x',
    'Report-To: {}',
    'NEL: {}',
    'Refresh: 0;url=https://evil.test',
    'SourceMap: /x',
    'Content-Security-Policy: default-src *',
    'Cross-Origin-Opener-Policy: unsafe-none',
    'Cross-Origin-Resource-Policy: cross-origin',
    'X-Frame-Options: ALLOWALL',
    'Speculation-Rules: "/x"',
    'Secure-Session-Registration: x',
    'Use-As-Dictionary: match="/*"',
    'Attribution-Reporting-Register-Source: {}',
    'Accept-CH: Device-Memory',
    'Token-Handler-Error: session_expired',
    'X-Request-Id: forged',
  ],
  'HX-23 telling what it runs on': [
    'Server: api',
    'X-Powered-By: x',
    'X-AspNet-Version: 1',
    'X-Runtime: 1',
    'Via: 1.1 api',
  ],
  'HX-31 public caching': [
    'Cache-Control: public, max-age=60, s-maxage=99',
    'Age: 7',
    'Surrogate-Control: x',
    'Expires: 0',
  ],
  'HX-31 private caching': ['Cache-Control: private, max-age=60, must-revalidate'],
  'HX-31 no caching': ['Cache-Control: max-age=60, no-store', 'Pragma: no-cache'],
  'HX-31 white space in and around directives': [
    `Cache-Control: max-age=60 \t, no${' '.repeat(8000)}store, , immutable`,
  ],
  'HX-31 no caching, before another line': ['Cache-Control: no-store', 'cache-control: max-age=600'],
  'HX-31 no caching, after another line': ['Cache-Control: max-age=600', 'CACHE-CONTROL: no-store'],
  'HX-31 no caching, among three lines': [
    'Cache-control: no-store',
    'CACHE-Control: max-age=600',
    'cache-control: immutable',
  ],
  'HX-31 no caching, on two lines of one spelling': ['Cache-Control: no-store', 'Cache-Control: max-age=600'],
  'H17 hop by hop, with an underscore': ['Connection: x_foo', 'X_Foo: 1', 'X_Bar: 2'],
  'HX-31 unknown directives': ['Cache-Control: only-if-cached, stale-while-revalidate=9'],
  'F13 vary': ['Vary: Accept'],
  'F13 vary twice': ['Vary: Accept, Origin'],
  'K10 coding': ['Content-Encoding: br', 'Content-Language: de'],
  'HX-25 page': ['Content-Type: text/html'],
  'HX-33 challenge on success': ['WWW-Authenticate: Bearer realm="inner"'],
  'Content-Location and Link': ['Content-Location: /inner', 'Link: </x>; rel=next'],
}

const locations = [
  '/v1/a',
  '/a',
  '/api/b?c=d#e',
  'https://pay.example.com/x?y',
  'https://pay.example.com',
  'https://pay.example.com?x=y#z',
  'https://pay.example.com#z',
  'https://pay.example.com:444/',
  'https://evil.test/',
  '//evil.test/x',
  'https://pay.example.com.evil.test/',
  'https://user@pay.example.com/',
  'http://internal:9/x',
  'javascript:alert(1)',

  '\\\\evil.test',
  '/v1',
  '/v1?x=1',
  '/v1#top',
  '/v1x',
  `/v1/${'a.b'.repeat(1300)}`,
  ...[4096, 4097].map((length) => `/v1/${'a'.repeat(length - 4)}`),
  '',
]

const challenges = [
  '',
  'Bearer',
  'Bearer error="invalid_token"',
  'Bearer realm="x", error="insufficient_user_authentication", acr_values="gold silver", max_age="60"',
  ...[128, 129].map((size) => `Bearer error="insufficient_scope", scope="${'a'.repeat(size)}"`),
  ...['999999999', '1000000000'].map((age) => `Bearer error="insufficient_user_authentication", max_age="${age}"`),
  'Bearer error="insufficient_user_authentication", acr_values="a\\"b", max_age=6x, scope="a b"',
  'Bearer error="insufficient_scope", scope="orders:write profile"',
  'Basic realm="x", Bearer error="insufficient_scope", scope="a"',
  'DPoP algs="ES256", error="insufficient_scope", scope="a", Basic realm="b"',
  'Negotiate abc==, Bearer error=insufficient_scope',
  'Bearer error="insufficient_scope", scope="<script>"',
  `Bearer error="insufficient_scope", scope="${'a '.repeat(17)}"`,
  `Bearer error="insufficient_scope", scope="${'a'.repeat(5000)}"`,
  `Bearer error_description="${'a b.'.repeat(800)}", error="insufficient_scope", scope="a"`,
]

describe('nginx answers as the proxy does', () => {
  it.each([
    ['a header line', '/api/a', [`X-Filler: ${'x'.repeat(20_000)}`]],
    ['a target', `/api/${'a'.repeat(20_000)}`, []],
  ])('%s of 20 kB: 431', async (_name, path, more) => {
    for (const world of [proxy, nginx]) {
      const answered = await world.call('GET', path, { more })
      expect(answered.status).toBe(431)
      expect(answered.json()).toMatchObject({ error_code: 'request_header_too_large' })
      expect(answered.header('token-handler-error')).toBe('request_header_too_large')
    }
  })

  it.each(Object.entries(headers))('%s', async (_, lines) => {
    const { proxy: expected, nginx: got } = await both(okBytes('{"a":1}', lines))
    expect(got).toEqual(expected)
  })

  it('F01 lets listed origins read', async () => {
    for (const origin of [siblingOrigin, 'https://www.example.com']) {
      const site = origin === siblingOrigin ? 'same-site' : 'same-origin'
      const readableFields: (string | undefined)[] = []
      for (const world of [proxy, nginx]) {
        upstream.behave(answer(okBytes('{}')))
        const cookie = `Cookie: ${world.cookies()}`
        const lines = ['token-handler-version: 1', `Sec-Fetch-Site: ${site}`, `Origin: ${origin}`, cookie]
        const answered = await world.call('GET', '/api/a', { lines })
        const [readable, headers] = ['allow-origin', 'expose-headers'].map((name) =>
          answered.header(`access-control-${name}`),
        )
        expect(readable).toBe(origin === siblingOrigin ? origin : undefined)
        expect(headers?.endsWith(', content-range, Link')).toBe(origin === siblingOrigin ? true : undefined)
        readableFields.push(headers)
      }
      expect(readableFields[1]).toBe(readableFields[0])
    }
  })

  it.each(locations)('HX-12, K14 location %s', async (location) => {
    for (const [status, path] of [
      ['302 Found', '/inner/a'],
      ['201 Created', '/inner/a'],
      ['307 Temporary Redirect', '/api/a'],
      ['302 Found', '/a'],
      ['404 Not Found', '/inner/a'],
      ['503 Busy', '/inner/a'],
    ] as const) {
      const { proxy: expected, nginx: got } = await both(okBytes('{}', [`Location: ${location}`], status), path)
      expect({ sent: status, path, ...got }).toEqual({ sent: status, path, ...expected })
    }
  })

  it.each(['/inner/a', '/api/a'])('HX-12 location on the API itself: %s', async (path) => {
    const encrypted = upstream.origin.replace('http:', 'https:')
    const names = [upstream.origin, encrypted, 'https://www.example.com', 'http://www.example.com']
    const places = names.flatMap((name) => [`${name}/v1/b`, `${name}/other`, name, `${name}?a=b#c`, `${name}#c`])
    for (const location of [...places, `${encrypted}0/v1/b`, 'https://www.example.com:444/v1/b']) {
      const { proxy: expected, nginx: got } = await both(okBytes('', [`Location: ${location}`], '303 See Other'), path)
      expect({ location, ...got }).toEqual({ location, ...expected })
    }
  })

  it.each(challenges)('HX-33 challenge %s', async (challenge) => {
    const lines = challenge === '' ? [] : [`WWW-Authenticate: ${challenge}`]
    for (const status of ['401 Unauthorized', '403 Forbidden', '404 Not Found']) {
      const { proxy: expected, nginx: got } = await both(okBytes('{"inner":true}', lines, status))
      expect({ sent: status, ...got }).toEqual({ sent: status, ...expected })
    }
  })

  it.each([
    '204 No Content',
    '304 Not Modified',
    '400 Bad Request',
    '418 Teapot',
    '500 Oops',
    '502 Bad Gateway',
    '503 Busy',
  ])('passes on status %s', async (status) => {
    const bytes = /^(?:204|304)/.test(status) ? `HTTP/1.1 ${status}\r\n\r\n` : okBytes('{"inner":true}', [], status)
    const { proxy: expected, nginx: got } = await both(bytes)
    expect(got).toEqual(expected)
  })

  it.each(['204 No Content', '304 Not Modified'])(
    'says of %s what the proxy says, its length included',
    async (status) => {
      const lines = ['ETag: "a"', 'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT', 'Content-Length: 5']
      const { proxy: expected, nginx: got } = await both(`HTTP/1.1 ${status}\r\n${lines.join('\r\n')}\r\n\r\n`)
      expect(got).toEqual(expected)
    },
  )

  it('H17 reads the first Connection line, as its page says', async () => {
    const { proxy: expected, nginx: got } = await both(
      okBytes('{}', ['Connection: X-Foo', 'Connection: X-Bar', 'X-Foo: 1', 'X-Bar: 2']),
    )
    for (const { fields } of [expected, got]) expect(fields).not.toHaveProperty('x-foo')
    expect(expected.fields).not.toHaveProperty('x-bar')
  })

  it('HX-24 keeps the token of an API that echoes it', async () => {
    for (const world of [proxy, nginx]) {
      upstream.behave((socket, seen) => {
        const [authorization = ''] = seen.values('authorization')
        socket.write(okBytes('{}', [`X-Echo: ${authorization}`, `X-Token: a${authorization.slice(7)}b`, 'X-Kept: 1']))
      })
      const answered = await world.call('GET', '/api/a')
      expect(answered.lines.filter((line) => /^x-(?:echo|token)/i.test(line))).toEqual([])
      expect(answered.header('x-kept')).toBe('1')
    }
  })

  it.each([
    [['X_Token', 'X_Echo', 'x_Any_Other'], 200],
    [['X-Token', 'X-Token', 'x-token'], 200],
    [['Link', 'Link', 'Allow', 'Allow', 'Content-Language', 'Content-Language'], 200],
    // Of these nginx can take out the last line only.
    [['Accept-Ranges', 'Accept-Ranges'], 502],
    [['Accept-Ranges', 'accept-ranges'], 502],
    [['Content-Encoding', 'Content-Encoding'], 502],
    [['Content-Encoding', 'content-encoding'], 502],
    [['Content-Type'], 200],
  ])('HX-24 keeps the token of an API that repeats it in %j', async (names, nginxStatus) => {
    for (const world of [proxy, nginx]) {
      upstream.behave((socket, seen) => {
        const token = seen.values('authorization').join().slice(7)
        const echoes = names.map((name) => `${name}: a${token}`)
        socket.write(okBytes('{}', [...echoes, 'X-Kept: 1'], `200 ${token}`))
      })
      const connection = await openRaw(world.port)
      const cookies = `Cookie: ${world.cookies({ accessToken: 'a-token-of-the-user' })}`
      connection.write(rawRequest('GET', '/api/a', [hostLine, ...ownPage, cookies]))
      const text = await connection.until((all) => all.includes('}'))
      connection.close()
      expect(text).not.toContain('a-token-of-the-user')
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${world === proxy ? 200 : nginxStatus} `))
    }
  })

  it.each([
    ['302 Found', 'Location: {own}/a', 'Location: {own}/b', 502],
    ['302 Found', 'Location: {own}/a', 'LOCATION: https://pay.example.com/b', 502],
    ['302 Found', 'Location: {own}/a', 'location: /api/b', 502],
    ['302 Found', 'Location: /api/b', 'location: /api/b', 502],
    // There the proxy leaves both out; nginx can take out the last one only.
    ['201 Created', 'Location: {own}/a', 'Location: {own}/b', 201],
    ['201 Created', 'Location: {own}/a', 'location: {own}/b', 201],
  ])('HX-12 %s with %s and %s shows neither', async (status, first, second, proxyStatus) => {
    const lines = [first, second].map((line) => line.replace('{own}', upstream.origin))
    const { proxy: expected, nginx: got } = await both(okBytes('', lines, status))
    expect([expected.status, got.status]).toEqual([proxyStatus, 502])
    for (const { fields } of [expected, got]) expect(fields).not.toHaveProperty('location')
  })

  it('HX-24 keeps a short token out of what a refusal says', async () => {
    for (const world of [proxy, nginx]) {
      upstream.behave((socket, seen) => {
        const token = seen.values('authorization').join().slice(7)
        const echoed = `acr_values="${token}", max_age=60, scope="a ${token}"`
        const challenge = `Bearer error="insufficient_user_authentication", ${echoed}`
        socket.write(okBytes('{}', [`WWW-Authenticate: ${challenge}`], '401 Unauthorized'))
      })
      const answered = await world.call('GET', '/api/a', { cookies: world.cookies({ accessToken: 'opaque-1' }) })
      expect(answered.json()).toEqual({
        error_code: 'insufficient_user_authentication',
        detailed_error: expect.any(String) as string,
        max_age: 60,
      })
    }
  })

  it.each([
    ['302 Found', 502],
    ['201 Created', 201],
  ])('HX-24 %s with the token in its Location leads nowhere', async (given, status) => {
    for (const world of [proxy, nginx]) {
      upstream.behave((socket, seen) => {
        const token = seen.values('authorization').join().slice(7)
        socket.write(okBytes('{}', [`Location: /api/next?token=${token}`, `Vary: ${token}`], given))
      })
      const answered = await world.call('GET', '/api/a')
      expect([answered.status, answered.header('location')]).toEqual([status, undefined])
      expect(answered.lines.filter((line) => /^vary:.{30}/i.test(line))).toEqual([])
    }
  })

  it('I13 cuts an answer that the API cut', async () => {
    for (const world of [proxy, nginx]) {
      upstream.behave((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12')
        socket.end()
      })
      const answered = await world.call('GET', '/api/a')
      expect(answered.body.length).toBeLessThan(10)
    }
  })

  it.each([
    'HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 1\r\n\r\na',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\na',
  ])('I12 lets nothing through of %j', async (bytes) => {
    upstream.behave(answer(bytes))
    expect((await proxy.call('GET', '/api/a')).status).toBe(502)
    upstream.behave(answer(bytes))
    expect(await nginx.call('GET', '/api/a')).not.toMatchObject({ status: 200 })
  })

  it.each(['000 Nothing', '099 Before', '101 Switching Protocols', '600 Beyond', '999 Beyond'])(
    'I12 lets no status %s through',
    async (status) => {
      for (const world of [proxy, nginx]) {
        upstream.behave(answer(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`))
        expect((await world.call('GET', '/api/a')).status).toBe(502)
      }
    },
  )

  it.each([
    'Content-Disposition: attachment',
    'Content-Range: bytes 0-0/1',
    'Retry-After: 1',
    'ETag: "a"',
    'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT',
  ])('I12 lets no answer through that says %s twice', async (line) => {
    for (const again of [`${line}1`, `${line.toLowerCase()}1`]) {
      const { proxy: expected, nginx: got } = await both(okBytes('{}', [line, again]))
      expect([expected.status, got]).toEqual([502, expected])
    }
    const { proxy: expected, nginx: got } = await both(okBytes('{}', [line]))
    expect([expected.status, got]).toEqual([200, expected])
  })

  it('K17 takes no interim answer for the final one', async () => {
    upstream.behave(answer(`HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${okBytes('final')}`))
    const { status, body } = await nginx.call('GET', '/api/a')
    // From 1.29 on nginx reads past it.
    expect([status, body]).toEqual(status === 200 ? [200, 'final'] : [502, expect.stringContaining('upstream_invalid')])
  })

  it('HX-18 opens no way past the decision for an API that switches protocols unasked', async () => {
    let heard = ''
    upstream.behave((socket) => {
      socket.on('data', (chunk: Buffer) => {
        heard += chunk.toString('latin1')
      })
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    })
    const connection = await openRaw(nginx.port)
    const asked = ['Connection: Upgrade', 'Upgrade: websocket']
    connection.write(rawRequest('GET', '/api/a', [hostLine, ...ownPage, `Cookie: ${nginx.cookies()}`, ...asked]))
    await connection.until((text) => text.includes('\r\n\r\n'))
    connection.write(rawRequest('GET', '/api/b', [hostLine, 'Connection: close']))
    expect(await connection.closed()).toMatch(/^HTTP\/1\.1 502 /)
    expect(heard).toBe('')
  })

  it('HX-3 passes nothing on that has no status line', async () => {
    upstream.behave((socket) => {
      socket.write('HTTP/1.1 200 OK'.slice(4) + '\r\nX: y\r\n\r\n')
      socket.end()
    })
    const answered = await nginx.call('GET', '/api/a')
    expect(answered).toMatchObject({ lines: [], body: '' })
  })

  it('HX-12 is stricter about paths that have two readings', async () => {
    for (const location of ['/v1//evil', '/v1/../admin']) {
      upstream.behave(answer(okBytes('', [`Location: ${location}`], '302 Found')))
      expect((await nginx.call('GET', '/inner/a')).status).toBe(502)
    }
  })
})
