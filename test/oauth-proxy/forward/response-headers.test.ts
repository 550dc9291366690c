import { describe, expect, it } from 'vitest'
import {
  browserResponseHeaders,
  refusedPrefixes,
  type ResponsePolicy,
} from '../../../oauth-proxy/forward/response-headers.ts'

const policy: ResponsePolicy = {
  credentialValue: 'at-1-long-enough-to-be-a-token',
  allowSetCookie: [],
  requestId: 'request-1',
  cors: { vary: 'Origin' },
  location: undefined,
}

const always = {
  'cache-control': 'no-store',
  vary: 'Cookie, Origin',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'x-request-id': 'request-1',
}

it('ordinary headers travel as they came', () => {
  const fields = { 'content-type': 'application/json', 'content-encoding': 'gzip', etag: '"a"', link: ['<a>', '<b>'] }
  expect(browserResponseHeaders(fields, policy)).toEqual({ ...fields, ...always })
})

it.each([
  'set-cookie',
  'set-cookie2',
  'clear-site-data',
  'service-worker-allowed',
  'strict-transport-security',
  'server',
  'x-powered-by',
  'proxy-authenticate',
  'proxy-status',
  'alt-svc',
  'secure-session-registration',
  'secure-session-challenge',
  'dpop',
  'dpop-nonce',
  'www-authenticate',
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'trailer',
  'te',
  'age',
  'surrogate-control',
  'surrogate-key',
  'expires',
  'x-accel-redirect',
  'x-accel-expires',
  'x-sendfile',
  'refresh',
  'content-location',
  'location',
  'report-to',
  'nel',
  'token-handler-error',
  'x-lighttpd-send-file',
  'sourcemap',
  'accept-ch',
  'critical-ch',
  'observe-browsing-topics',
  'shared-storage-write',
  'use-as-dictionary',
  'accept-ch-lifetime',
  'activate-storage-access',
  'attribution-reporting-register-source',
  'authentication-info',
  'cdn-cache-control',
  'content-security-policy-report-only',
  'cross-origin-embedder-policy',
  'cross-origin-opener-policy',
  'origin-agent-cluster',
  'p3p',
  'pragma',
  'public-key-pins',
  'reporting-endpoints',
  'retry-after-ms',
  'sec-session-registration',
  'set-login',
  'speculation-rules',
  'supports-loading-mode',
  'via',
  'x-aspnet-version',
  'x-frame-options',
  'x-reproxy-url',
  'x-runtime',
  'x-sourcemap',
  'x-ua-compatible',
  ...refusedPrefixes.map((family) => `${family}x`),
])('HX-23 HX-31 H17 %s of the API does not reach the browser', (name) => {
  expect(browserResponseHeaders({ [name]: 'from-the-api' }, policy)).toEqual(always)
})

it.each(['x-content-type-options', 'content-security-policy', 'cross-origin-resource-policy', 'x-request-id', 'vary'])(
  'HX-25 %s is ours to say',
  (name) => {
    const value = browserResponseHeaders({ [name]: 'from-the-api' }, policy)[name]
    expect(value).toEqual(name === 'vary' ? 'from-the-api, Cookie, Origin' : Reflect.get(always, name))
  },
)

it.each([
  'content-type',
  'content-length',
  'content-disposition',
  'content-range',
  'etag',
  'last-modified',
  'retry-after',
])('two %s fields are no answer', (name) => {
  expect(() => browserResponseHeaders({ [name]: ['a', 'b'] }, policy)).toThrow(
    expect.objectContaining({ code: 'upstream_invalid_response' }),
  )
})

it.each(['close, X-Foo', ['close', 'X-Foo']])('H17 fields that Connection names stay behind: %j', (connection) => {
  expect(browserResponseHeaders({ connection, 'x-foo': 'a', 'x-bar': 'b' }, policy)).toEqual({
    ...always,
    'x-bar': 'b',
  })
})

describe('HX-31 CK-14 no shared cache may keep an answer', () => {
  it.each([
    [undefined, 'no-store'],
    ['public, max-age=60', 'private, max-age=60'],
    ['max-age=60, s-maxage=600, stale-while-revalidate=30', 'private, max-age=60'],
    ['Public', 'no-store'],
    ['no-cache', 'private, no-cache'],
    ['max-age=5, no-store', 'no-store'],
    ['max-age=5, No-Store', 'no-store'],
    ['private="x-y", max-age=60', 'private, max-age=60'],
    ['max-age="60"', 'no-store'],
    ['x-max-age=60', 'no-store'],
    ['max-age=60 public', 'no-store'],
    [['max-age=60', 'no-store'], 'no-store'],
  ])('%s becomes %s', (value, expected) => {
    const fields = value === undefined ? {} : { 'cache-control': value }
    expect(browserResponseHeaders(fields, policy)['cache-control']).toBe(expected)
  })
})

describe('HX-24 a token that the API echoes', () => {
  it.each([
    ['alone', policy.credentialValue ?? ''],
    ['inside', `Bearer ${policy.credentialValue}, more`],
  ])('%s', (_, value) => {
    expect(browserResponseHeaders({ 'x-echo': value, 'x-list': ['a', value] }, policy)).toEqual(always)
  })

  it('in a field of which we make one of our own', () => {
    expect(
      browserResponseHeaders({ vary: policy.credentialValue, 'cache-control': policy.credentialValue }, policy),
    ).toEqual(always)
  })

  it('in a cookie that it may set', () => {
    const lines = [`lang=${policy.credentialValue}`, 'theme=dark']
    const headers = browserResponseHeaders({ 'set-cookie': lines }, { ...policy, allowSetCookie: ['lang', 'theme'] })
    expect(headers['set-cookie']).toEqual(['theme=dark'])
  })
})

it('without a credential there is none to be looked for', () => {
  const fields = { etag: '"a"', 'x-list': ['a', 'undefined'] }
  expect(browserResponseHeaders(fields, { ...policy, credentialValue: undefined })).toEqual({ ...fields, ...always })
})

describe('HX-23 cookies of the API', () => {
  const lines = ['lang=de; Path=/', ' theme = dark', '__Host-Http-th-at=x', 'langs=1', 'noname', 'x;lang=1', 'x lang=1']

  it('none pass unless listed', () => {
    expect(browserResponseHeaders({ 'set-cookie': lines }, policy)['set-cookie']).toBeUndefined()
  })

  it('listed ones pass by exact name', () => {
    const headers = browserResponseHeaders({ 'set-cookie': lines }, { ...policy, allowSetCookie: ['lang', 'theme'] })
    expect(headers['set-cookie']).toEqual(['lang=de; Path=/', ' theme = dark'])
  })

  it('one alone passes, too', () => {
    const headers = browserResponseHeaders({ 'set-cookie': 'lang=de' }, { ...policy, allowSetCookie: ['lang'] })
    expect(headers['set-cookie']).toEqual(['lang=de'])
  })

  it.each([
    ['lang=de', 'no-store'],
    ['langs=1', 'private, max-age=60'],
  ])('M01 an answer is stored by nobody if it sets one: %s, %s', (line, expected) => {
    const fields = { 'set-cookie': line, 'cache-control': 'max-age=60' }
    expect(browserResponseHeaders(fields, { ...policy, allowSetCookie: ['lang'] })['cache-control']).toBe(expected)
  })
})

describe('K05 event streams', () => {
  it.each([
    { 'content-type': 'text/event-stream; charset=utf-8' },
    { 'content-type': 'Text/Event-Stream' },
    { 'x-accel-buffering': 'no' },
  ])('tell gateways not to collect: %j', (fields) => {
    expect(browserResponseHeaders(fields, policy)['x-accel-buffering']).toBe('no')
  })

  it.each([{ 'content-type': 'application/json; like="text/event-stream"' }, { 'x-accel-buffering': 'yes' }])(
    'are told by the type of the answer, and by nothing else: %j',
    (fields) => {
      expect(browserResponseHeaders(fields, policy)['x-accel-buffering']).toBeUndefined()
    },
  )
})

it('the permission for a listed origin replaces whatever the API permitted', () => {
  const cors = { vary: 'Origin', 'access-control-allow-origin': 'https://shop.app.test' }
  const headers = browserResponseHeaders({ 'access-control-allow-origin': '*' }, { ...policy, cors })
  expect(headers['access-control-allow-origin']).toBe('https://shop.app.test')
})
