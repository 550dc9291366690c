import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listFields } from '../../shared/http/request-gate.ts'
import { type BothSides, request, signedIn, startBothSides } from '../support/both-sides.ts'
import { ownPage, publicOrigin } from '../support/proxy-world.ts'

let sides: BothSides
beforeAll(async () => {
  sides = await startBothSides()
})
afterAll(() => sides.close())

const headerCases: Readonly<Record<string, readonly string[]>> = {
  'H01 Connection names the credential': [...signedIn, 'Connection: close, authorization'],
  'H01 Connection in capitals': [...signedIn, 'Connection: AUTHORIZATION'],
  'H01 Connection names forwarded fields': [...signedIn, 'Connection: x-forwarded-for'],
  'H01 Connection names the cookie': [...signedIn, 'Connection: cookie'],
  'H01 Connection names the CSRF token': [...signedIn, 'Connection: x-csrf-token'],
  'H01 Connection names the guard': [...signedIn, 'Connection: token-handler-version'],
  'H01 Connection names the host': [...signedIn, 'Connection: host'],
  'H01 Connection names the origin': [...signedIn, 'Connection: origin'],
  'H01 Connection names early data (RFC 8470 §5.1)': [...signedIn, 'Early-Data: 1', 'Connection: early-data'],
  'H01 Connection names a field of the body': [...signedIn, 'Connection: content-type'],
  'H01 Connection names something': [...signedIn, 'Connection: x-foo', 'X-Foo: 1', 'X-Bar: 2'],
  'H01 Connection with white space around the name': [...signedIn, 'Connection: x-foo ,\t cookie\t '],
  'H01 Connection with white space around nothing': [...signedIn, 'Connection: x-foo, \t ,,', 'X-Foo: 1'],
  'H01 Connection with a credential as half of an option': [...signedIn, 'Connection: x cookie, authorization x'],
  'H01 Connection with 8,000 spaces inside': [...signedIn, `Connection: x-foo${' '.repeat(8000)}b, x-bar`, 'X-Bar: 2'],
  'H01 Connection with 8,000 spaces before the credential': [...signedIn, `Connection: x,${' '.repeat(8000)}cookie`],
  'H01 Connection names framing': [...signedIn, 'Connection: content-length'],
  'H02 underscore': [...signedIn, 'X_Forwarded_User: admin'],
  'H02 dot': [...signedIn, 'X.Forwarded.User: admin'],
  'H05 X-Forwarded-Prefix': [...signedIn, 'X-Forwarded-Prefix: /public', 'X-Forwarded-Port: 443'],
  'H06 forwarded set': [...signedIn, 'X-Forwarded-Uri: /public', 'X-Forwarded-For: 9.9.9.9', 'Forwarded: for=9.9.9.9'],
  'H08 own Authorization': [...signedIn, 'Authorization: Bearer mine'],
  'H09 Authorization without a session': [...ownPage, 'Authorization: Bearer mine'],
  'H12 byte above ASCII': [...signedIn, 'X-Name: caf\xe9'],
  'H12 control character': [...signedIn, 'X-Name: a\x01b'],
  'H12 delete': [...signedIn, 'X-Name: a\x7fb'],
  'H13 TE': [...signedIn, 'TE: trailers'],
  'H13 Upgrade': [...signedIn, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'],
  'H14 prototype names': [...signedIn, '__proto__: 1'],
  'H14 constructor': [...signedIn, 'constructor: 1', 'toString: 2'],
  'H16 upstream chosen by a field': [...signedIn, 'X-Skipper-Proxy: http://evil.test'],
  'F05 method override': [...signedIn, 'X-HTTP-Method-Override: DELETE', 'X-Method-Override: DELETE'],
  'G17 X-Original-URL': [...signedIn, 'X-Original-URL: /admin', 'X-Rewrite-URL: /admin'],
  'fields that steer gateways': [...signedIn, 'X-Accel-Anything: /a', 'X-Envoy-Anything: 1', 'Proxy-Anything: 1'],
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

/** A second line of these nginx refuses before the module sees it. */
const onceInNginx: ReadonlySet<string> = new Set(['if-match', 'if-none-match'])

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

describe('nginx reads header fields and cookies as the proxy does', () => {
  it.each(Object.entries(headerCases))('%s', async (_, lines) => {
    const { proxy: expected, nginx: got } = await sides.send(request('GET', '/api/a', [], lines))
    expect(got).toEqual(expected)
  })

  it.each([...listFields])('two lines of %s are one list', async (name) => {
    const { proxy: expected, nginx: got } = await sides.send(request('GET', '/api/a', [`${name}: a`, `${name}: b`]))
    expect(expected.status).toBe(200)
    expect(got).toEqual(
      onceInNginx.has(name) ? { status: 400, errorCode: 'ambiguous_request', seen: undefined } : expected,
    )
  })

  it.each(Object.entries(cookieHeaders))('%s', async (_, header) => {
    for (const path of ['/api/a', '/api/users/7/orders', '/open/a']) {
      const { proxy: expected, nginx: got } = await sides.send(
        request('GET', path, [], [...ownPage, `Cookie: ${header}`]),
      )
      expect(got).toEqual(expected)
    }
  })
})

describe('nginx judges a token that is bound to a key, where none is to be, as the proxy does', () => {
  it.each([
    ['/api/a', 'access_token_expired'],
    ['/open/a', undefined],
  ])('%s', async (target, errorCode) => {
    const { proxy: expected, nginx: got } = await sides.send(request('GET', target), { dpopKeyId: '01234567' })
    expect(expected.errorCode).toBe(errorCode)
    expect(got).toEqual(expected)
  })
})

describe('nginx judges a token that is no token of HTTP, where none is to be, as the proxy does', () => {
  it.each([
    ['/api/a', '1|opaque:token', 'authorization_server_error'],
    ['/api/a', 'a\r\nX-Admin: 1', 'authorization_server_error'],
    ['/open/a', '1|opaque:token', undefined],
  ])('%s with %j', async (target, accessToken, errorCode) => {
    const { proxy: expected, nginx: got } = await sides.send(request('GET', target), { accessToken })
    expect(expected.errorCode).toBe(errorCode)
    expect(got).toEqual(expected)
  })
})

describe('nginx passes the trace of a caller on as the proxy does (W3C Trace Context)', () => {
  const id = '0af7651916cd43dd8448eb211c80319c'
  const good = `traceparent: 00-${id}-b7ad6b7169203331-01`

  it.each<[string, readonly string[], readonly string[], string]>([
    ['a trace', [good, 'tracestate: a=b'], [good.slice(13)], 'a=b'],
    ['a trace with two lines of state', [good, 'tracestate: a=b', 'tracestate: c=d'], [good.slice(13)], 'a=b, c=d'],
    ['a trace without state', [good], [good.slice(13)], ''],
    ['state without a trace', ['tracestate: a=b'], [], ''],
    ['another version', [good.replace('00-', '01-'), 'tracestate: a=b'], [], ''],
    ['a trace of noughts', [good.replace(id, '0'.repeat(32)), 'tracestate: a=b'], [], ''],
    ['a span of noughts', [good.replace('b7ad6b7169203331', '0'.repeat(16)), 'tracestate: a=b'], [], ''],
    ['capitals', [good.replace('af', 'AF'), 'tracestate: a=b'], [], ''],
    ['more after it', [`${good}-x`, 'tracestate: a=b'], [], ''],
    ['an empty one', ['traceparent:', 'tracestate: a=b'], [], ''],
    ['a trace of one hop only', [good, 'Connection: traceparent', 'tracestate: a=b'], [good.slice(13)], 'a=b'],
  ])('%s', async (_, lines, traceparent, tracestate) => {
    for (const world of [sides.proxy, sides.nginx]) {
      const answered = await world.call('GET', '/api/a', { more: lines })
      const seen = (answered.json()['lines'] as string[]).map((line) => line.toLowerCase())
      const values = (name: string) =>
        seen.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim())
      expect([values('traceparent'), values('tracestate').join(', ')]).toEqual([traceparent, tracestate])
    }
  })
})

describe('where nginx differs, as its page says', () => {
  it('it refuses more than 100 header lines, where the proxy counts bytes', async () => {
    const lines = (count: number) => Array.from({ length: count }, (_, index) => `X-Line-${index}: 1`)
    const used = signedIn.length + 1
    const full = await sides.send(request('GET', '/api/a', lines(100 - used)))
    expect(full.nginx).toEqual(full.proxy)
    const more = await sides.send(request('GET', '/api/a', lines(101 - used)))
    expect(more.proxy.status).toBe(200)
    expect(more.nginx).toEqual({ status: 400, errorCode: 'ambiguous_request', seen: undefined })
  })

  it.each(['if-match', 'if-none-match'])(
    'it refuses a second line of %s, where the proxy joins the lists',
    async (name) => {
      const { proxy, nginx } = await sides.send(request('GET', '/api/a', [`${name}: "a"`, `${name}: "b"`]))
      expect([proxy.status, proxy.seen?.fields[name]]).toEqual([200, '"a", "b"'])
      expect(nginx).toEqual({ status: 400, errorCode: 'ambiguous_request', seen: undefined })
    },
  )

  it.each(['websocket', 'h2c'])(
    'it answers as if %s had not been asked for, which the proxy refuses',
    async (protocol) => {
      const asking = [`Upgrade: ${protocol}`, 'Connection: Upgrade']
      const { proxy: refused, nginx: got } = await sides.send(request('GET', '/api/a', asking))
      expect([refused.status, refused.errorCode, refused.seen]).toEqual([400, 'upgrade_not_allowed', undefined])
      expect(got).toEqual((await sides.send(request('GET', '/api/a'))).nginx)
    },
  )
})
