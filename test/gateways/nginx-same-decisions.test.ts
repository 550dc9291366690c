import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseTarget } from '../../oauth-proxy/gate/path.ts'
import { type NginxWorld, startNginxWorld } from '../support/nginx-world.ts'
import { type ProxyWorld, hostLine, ownPage, publicOrigin, siblingOrigin, startProxy } from '../support/proxy-world.ts'
import { type RawAnswer, rawRequest, sendRaw } from '../support/raw-http.ts'
import { type SeenRequest, type Upstream, startUpstream } from '../support/upstream.ts'

let upstream: Upstream
let proxy: ProxyWorld
let nginx: NginxWorld

const routes = (origin: string) => `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: ${origin}
    - path: /api/admin
      methods: [POST]
      upstream: ${origin}
    - path: /api/users/*/orders
      upstream: ${origin}
      forward_cookies: [theme]
    - path: /exact
      upstream: ${origin}
      strip_prefix: /exact
      add_prefix: /inner
    - path: /open/**
      upstream: ${origin}
      credential: { kind: none }
      anonymous: none
    - path: /files/**
      upstream: ${origin}
      headerless: [download]
`

/** Sends paths of no route through the module as well; it refuses them, since no route has the number 0. */
const everythingElse =
  'location / { set_by_lua_block $th_decision { return token_handler.decide(0) } return 592; error_page 592 /token-handler-failed/592; }'

beforeAll(async () => {
  upstream = await startUpstream()
  proxy = await startProxy(routes(upstream.origin))
  nginx = await startNginxWorld(routes(upstream.origin), '', async () => ({ directives: everythingElse }))
})

afterAll(async () => {
  await proxy.close()
  await nginx.close()
  await upstream.close()
})

/** What one side made of a request: the answer, and the request as the API saw it. */
interface Outcome {
  readonly status: number
  readonly errorCode: unknown
  readonly seen: ReturnType<typeof visible> | undefined
}

/** Fields in which both sides may differ: ids are random, and framing belongs to the connection. */
const ownToEach = new Set(['x-request-id', 'connection', 'host', 'traceparent', 'tracestate', 'content-length'])

async function outcome(send: () => Promise<RawAnswer>): Promise<Outcome> {
  const before = upstream.seen.length
  const answered = await send()
  const seen = upstream.seen.slice(before)
  expect(seen.length).toBeLessThanOrEqual(1)
  return { status: answered.status, errorCode: errorCode(answered), seen: seen[0] && visible(seen[0]) }
}

function errorCode({ body }: RawAnswer): unknown {
  return /"error_code":"([a-z_]+)"/.exec(body)?.[1]
}

/** Lines of one field are joined, which is the same to a reader (RFC 9110 §5.3). */
function visible({ target, lines }: SeenRequest) {
  const fields = new Map<string, string>()
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(name.length + 1).trim()
    if (!ownToEach.has(name)) fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value)
  }
  return { target, fields: Object.fromEntries(fields) }
}

/** A request as bytes, with `{cookies}` standing for the cookies of a signed-in browser. */
async function both(bytes: string): Promise<{ proxy: Outcome; nginx: Outcome }> {
  return {
    proxy: await outcome(() => sendRaw(proxy.port, bytes.replace('{cookies}', proxy.cookies()))),
    nginx: await outcome(() => sendRaw(nginx.port, bytes.replace('{cookies}', nginx.cookies()))),
  }
}

const signedIn = [...ownPage, 'Cookie: {cookies}']

function request(method: string, target: string, more: readonly string[] = [], lines: readonly string[] = signedIn) {
  return rawRequest(method, target, [hostLine, ...lines, ...more])
}

const targets = [
  '/api',
  '/api/',
  '/api/a',
  '/api/a?b=c',
  '/api/a/',
  '/apix',
  '/API/a',
  '/api/ADMIN',
  '/api.',
  '/api%20',
  '/',
  '/api/../api/a',
  '/api/./a',
  '/api/%2e%2e/a',
  '/api/.%2e/a',
  '/api/..;/a',
  '/api/a;x=1',
  '/api/..%2fa',
  '/api/a%2fb',
  '/api/a%5cb',
  '/api/a\\b',
  '//api/a',
  '/api//a',
  '/%61pi/a',
  '/api/%zz',
  '/api/%',
  '/api/%00',
  '/api/%c0%ae',
  '/api/%ff',
  '/api/%ed%a0%80',
  '/api/%c3%a9',
  '/api/a%0d%0ab',
  '/api/%252e',
  '/api/%u002e',
  '/api/a#b',
  '/api/a?b#c',
  '/api/a?access_token=x',
  '/api/a?b=1&ACCESS%5fTOKEN=x',
  '/api/a?c=access_token',
  '/api/a?%61ccess_token=x',
  '/api/%ef%bc%8f',
  '/api/%ef%bc%8e%ef%bc%8e/a',
  '/api/%e2%80%a4',
  '/api/a:b@c',
  "/api/a!$&'()*+,=",
  '/api/a|b',
  '/api/a"b',
  '/api/a<b',
  '/api/a^b',
  '/api/a`b',
  '/api/a{b}',
  '/api/a[b]',
  '/api/a?b=[c]{d}|"e"\\f^g`',
  '/api/admin',
  '/api/admin/',
  '/api/admin/x',
  '/api/users/7/orders',
  '/api/users/7/orders/',
  '/api/users//orders',
  '/exact',
  '/exact/',
  '/exact?q=1',
  '/exact/more',
  '/open',
  '/open/a',
  'http://www.example.com/api/a',
  'http://evil.test/api/a',
  'api/a',
  '*',
  '/oauth-agent-x',
  `/api/${'/..'.repeat(50)}`,
]

const headerCases: Readonly<Record<string, readonly string[]>> = {
  'H01 Connection names the credential': [...signedIn, 'Connection: close, authorization'],
  'H01 Connection in capitals': [...signedIn, 'Connection: AUTHORIZATION'],
  'H01 Connection names forwarded fields': [...signedIn, 'Connection: x-forwarded-for'],
  'H01 Connection names the cookie': [...signedIn, 'Connection: cookie'],
  'H01 Connection names something': [...signedIn, 'Connection: x-foo', 'X-Foo: 1', 'X-Bar: 2'],
  'H01 Connection names framing': [...signedIn, 'Connection: content-length'],
  'H02 underscore': [...signedIn, 'X_Forwarded_User: admin'],
  'H02 dot': [...signedIn, 'X.Forwarded.User: admin'],
  'H05 X-Forwarded-Prefix': [...signedIn, 'X-Forwarded-Prefix: /public', 'X-Forwarded-Port: 443'],
  'H06 forwarded set': [...signedIn, 'X-Forwarded-Uri: /public', 'X-Forwarded-For: 9.9.9.9', 'Forwarded: for=9.9.9.9'],
  'H08 own Authorization': [...signedIn, 'Authorization: Bearer mine'],
  'H09 Authorization without a session': [...ownPage, 'Authorization: Bearer mine'],
  'H12 byte above ASCII': [...signedIn, 'X-Name: caf\xe9'],
  'H12 control character': [...signedIn, 'X-Name: a\x01b'],
  'H13 TE': [...signedIn, 'TE: trailers'],
  'H13 Upgrade': [...signedIn, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'],
  'H14 prototype names': [...signedIn, '__proto__: 1'],
  'H14 constructor': [...signedIn, 'constructor: 1', 'toString: 2'],
  'H16 upstream chosen by a field': [...signedIn, 'X-Skipper-Proxy: http://evil.test'],
  'F05 method override': [...signedIn, 'X-HTTP-Method-Override: DELETE', 'X-Method-Override: DELETE'],
  'G17 X-Original-URL': [...signedIn, 'X-Original-URL: /admin', 'X-Rewrite-URL: /admin'],
  'identity fields': [
    ...signedIn,
    'X-User: a',
    'X-User-Id: 1',
    'X-Auth-Request-User: a',
    'Remote-User: a',
    'X-Th-Sub: a',
  ],
  'fields that pass': [
    ...signedIn,
    'Accept: application/json',
    'Accept-Language: de',
    'If-None-Match: "a"',
    'Range: bytes=0-1',
  ],
  'two list fields': [...signedIn, 'Accept: a/b', 'Accept: c/d'],
  'two singletons': [...signedIn, 'Content-Type: a/b', 'Content-Type: c/d'],
  'two unknown fields': [...signedIn, 'X-One: a', 'X-One: b'],
  'two origins': [...signedIn, `Origin: ${publicOrigin}`, `Origin: ${publicOrigin}`],
  'two versions': [...signedIn, 'token-handler-version: 1'],
  'two Cookie lines': [...signedIn, 'Cookie: a=b'],
  'two Authorization lines': [...signedIn, 'Authorization: a', 'Authorization: b'],
  'second Host': [...signedIn, 'Host: evil.test'],
  'Expect of something': [...signedIn, 'Expect: x'],
  'empty value': [...signedIn, 'X-Empty:'],
  'DPoP of a client': [...signedIn, 'DPoP: abc'],
  'HX-21 Via of others': [...signedIn, 'Via: 1.0 a, 1.1 b (token-handler)'],
  'HX-21 a circle': [...signedIn, 'Via: 1.0 a', 'Via: 1.1 token-handler'],
  'many fields': [...signedIn, ...Array.from({ length: 60 }, (_, index) => `X-F${index}: 1`)],
}

const page = (change: Readonly<Record<string, string | undefined>>): string[] => {
  const fields: Record<string, string | undefined> = {
    'token-handler-version': '1',
    'Sec-Fetch-Site': 'same-origin',
    'Sec-Fetch-Mode': 'cors',
    'Sec-Fetch-Dest': 'empty',
    ...change,
  }
  const lines = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return [...lines, 'Cookie: {cookies}']
}

const origins = [
  undefined,
  publicOrigin,
  siblingOrigin,
  'https://evil.test',
  'null',
  'https://www.example.com.evil.test',
  'https://www.example.com/',
  'https://WWW.example.com',
  'http://www.example.com',
  'https://www.example.com:443',
  '',
]
const sites = [undefined, 'same-origin', 'same-site', 'cross-site', 'none', 'SAME-ORIGIN', '']
const versions = [undefined, '1', '2', '', '1, 1']

const cookieHeaders: Readonly<Record<string, string>> = {
  'B10 the name twice': '{cookies}; __Host-Http-th-at=BAD',
  'B10 the name twice, reversed': '__Host-Http-th-at=BAD; {cookies}',
  'B06 Unicode space before the name': 'x=1; \xe2\x80\x80__Host-Http-th-at=evil',
  'B06 no-break space': 'x=1; \xa0__Host-Http-th-at=evil',
  'B08 escaped name': '__%48ost-Http-th-at=evil',
  'B09 sandwich': '$Version=1; p="x; {cookies}; q=end"',
  'B16 separators only': ';;;;=;',
  'B16 lone equals': '=',
  'B16 empty': '',
  'B16 name only': '__Host-Http-th-at',
  'B16 empty value': '__Host-Http-th-at=;',
  'B05 absurd count': '__Host-Http-th-at=9.x',
  'B05 count of nines': '__Host-Http-th-at=__chunked__999999',
  'A08 padding': '{cookies}=',
  'A08 quotes': '__Host-Http-th-at="abc"',
  'unknown prefix': '__Host-Http-th2-at=evil; {cookies}',
  'a lower-case name': '__host-http-th-at=evil',
  'others in their order': 'theme=dark; a=b; {cookies}; c=d',
  'others without a session': 'theme=dark; a=b',
  'control characters': 'a=\x01; {cookies}',
}

/** Characters beyond ASCII that the proxy refuses in a path, in whatever company. */
function structuralCharacters(): readonly string[] {
  const characters: string[] = []
  for (let code = 0x80; code < 0x110000; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const character = String.fromCodePoint(code)
    const escaped = encodeURIComponent(character)
    if ([`/${escaped}`, `/a${escaped}b`, `/.${escaped}`].some(isRefused)) characters.push(character)
  }
  return characters
}

function isRefused(path: string): boolean {
  try {
    parseTarget(path)
    return false
  } catch {
    return true
  }
}

describe('nginx decides as the proxy does', () => {
  it.each(targets)('G target %s', async (target) => {
    const { proxy: expected, nginx: got } = await both(request('GET', target))
    expect(got).toEqual(expected)
  })

  it.each(Object.entries(headerCases))('%s', async (_, lines) => {
    const { proxy: expected, nginx: got } = await both(request('GET', '/api/a', [], lines))
    expect(got).toEqual(expected)
  })

  it.each(Object.entries(cookieHeaders))('%s', async (_, header) => {
    for (const path of ['/api/a', '/api/users/7/orders', '/open/a']) {
      const { proxy: expected, nginx: got } = await both(request('GET', path, [], [...ownPage, `Cookie: ${header}`]))
      expect(got).toEqual(expected)
    }
  })

  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'])(
    'F04 method %s',
    async (method) => {
      for (const path of ['/api/a', '/api/admin', '/exact', '/nowhere']) {
        const { proxy: expected, nginx: got } = await both(request(method, path))
        expect({ path, ...got, errorCode: method === 'HEAD' ? undefined : got.errorCode }).toEqual({
          path,
          ...expected,
        })
      }
    },
  )

  it.each(origins.map((origin) => [origin]))('F01 to F10 origin %s', async (origin) => {
    for (const site of sites) {
      for (const version of versions) {
        for (const method of ['GET', 'POST']) {
          const lines = page({ Origin: origin, 'Sec-Fetch-Site': site, 'token-handler-version': version })
          const { proxy: expected, nginx: got } = await both(request(method, '/api/a', [], lines))
          expect({ site, version, method, ...got }).toEqual({ site, version, method, ...expected })
        }
      }
    }
  })

  it('F09 destinations and modes, and requests that cannot carry the header', async () => {
    for (const mode of [undefined, 'cors', 'same-origin', 'navigate', 'no-cors', 'websocket', 'nested-navigate']) {
      for (const destination of [undefined, 'empty', 'document', 'iframe', 'script', 'image']) {
        for (const version of ['1', undefined]) {
          for (const accept of [undefined, 'text/event-stream']) {
            for (const path of ['/api/a', '/files/a']) {
              const change = { 'Sec-Fetch-Mode': mode, 'Sec-Fetch-Dest': destination, 'token-handler-version': version }
              const lines = page({ ...change, Accept: accept })
              const { proxy: expected, nginx: got } = await both(request('GET', path, [], lines))
              expect({ path, accept, ...change, ...got }).toEqual({ path, accept, ...change, ...expected })
            }
          }
        }
      }
    }
  })

  it('F01 preflights', async () => {
    for (const origin of origins) {
      for (const method of ['GET', 'POST', 'DELETE', '']) {
        const lines = [`Origin: ${origin ?? ''}`, `Access-Control-Request-Method: ${method}`]
        const bytes = rawRequest('OPTIONS', '/api/a', [hostLine, ...lines])
        const expected = await sendRaw(proxy.port, bytes)
        const got = await sendRaw(nginx.port, bytes)
        const cors = (answered: RawAnswer) =>
          ['origin', 'methods', 'headers', 'credentials'].map((name) => answered.header(`access-control-allow-${name}`))
        expect({ origin, method, status: got.status, cors: cors(got) }).toEqual({
          origin,
          method,
          status: expected.status,
          cors: cors(expected),
        })
      }
    }
  })

  it('G06 every character that some reader takes for structure', async () => {
    for (const character of structuralCharacters()) {
      const target = `/api/a${encodeURIComponent(character)}b`
      const { nginx: got } = await both(request('GET', target))
      expect({ target, ...got }).toEqual({ target, status: 400, errorCode: 'ambiguous_request', seen: undefined })
    }
  })

  it('G22 any target at all', { timeout: 60_000 }, async () => {
    const piece = fc.constantFrom(
      '/',
      '/',
      '/',
      'api',
      'admin',
      'users',
      'orders',
      'a',
      '.',
      '..',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      '%25',
      '%',
      ';',
      '\\',
      '?',
      '#',
      '=',
      '&',
      '@',
      ':',
      '%00',
      '%c3%a9',
      '%c3',
      '%ef%bc%8f',
      '~',
      '+',
      '\x80',
      'access_token',
    )
    const target = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => `/api/${pieces.join('')}`)
    await fc.assert(
      fc.asyncProperty(target, async (text) => {
        const { proxy: expected, nginx: got } = await both(request('GET', text))
        expect(got.status).toBe(expected.status)
        expect(got.seen).toEqual(expected.seen)
      }),
      { numRuns: 400 },
    )
  })
})

describe('where nginx differs, as its page says', () => {
  it('it refuses more than 100 header lines, where the proxy counts bytes', async () => {
    const lines = (count: number) => Array.from({ length: count }, (_, index) => `X-Line-${index}: 1`)
    const used = signedIn.length + 1
    const full = await both(request('GET', '/api/a', lines(100 - used)))
    expect(full.nginx).toEqual(full.proxy)
    const more = await both(request('GET', '/api/a', lines(101 - used)))
    expect(more.proxy.status).toBe(200)
    expect(more.nginx).toEqual({ status: 400, errorCode: 'ambiguous_request', seen: undefined })
  })

  it.each(['websocket', 'h2c'])(
    'it answers as if %s had not been asked for, which the proxy refuses',
    async (protocol) => {
      const asking = [`Upgrade: ${protocol}`, 'Connection: Upgrade']
      const { proxy: refused, nginx: got } = await both(request('GET', '/api/a', asking))
      expect([refused.status, refused.errorCode, refused.seen]).toEqual([400, 'upgrade_not_allowed', undefined])
      expect(got).toEqual((await both(request('GET', '/api/a'))).nginx)
    },
  )
})
