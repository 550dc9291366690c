import { describe, expect, it } from 'vitest'
import { corsHeaders, isPreflight, mergeVary, preflightHeaders } from '../../../shared/http/cors.ts'

const sibling = 'https://shop.app.test'
const settings = {
  cors: { origins: [sibling], requestHeaders: ['X-Tenant'], responseHeaders: ['Link', 'X-Total'], maxAgeSeconds: 600 },
}

const ask = (change: Record<string, string> = {}) => ({
  origin: sibling,
  'access-control-request-method': 'POST',
  ...change,
})

describe('answers', () => {
  it('allow credentials to exactly the listed origin', () => {
    expect(corsHeaders(sibling, settings)).toMatchObject({
      vary: 'Origin',
      'access-control-allow-origin': sibling,
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': [
        'token-handler-error, x-request-id, retry-after, etag, location, content-disposition, content-range',
        'Link, X-Total',
      ].join(', '),
    })
  })

  it.each([undefined, 'null', 'https://evil.test', `${sibling}.evil`, `${sibling}/`, 'HTTPS://SHOP.APP.TEST', '*'])(
    'F01 say nothing but Vary to %j',
    (origin) => {
      expect(corsHeaders(origin, settings)).toEqual({ vary: 'Origin' })
    },
  )
})

describe('preflight', () => {
  it('is what a browser sends, not any OPTIONS', () => {
    expect(isPreflight('OPTIONS', ask())).toBe(true)
    expect(isPreflight('OPTIONS', { origin: sibling })).toBe(false)
    expect(isPreflight('OPTIONS', { 'access-control-request-method': 'POST' })).toBe(false)
    expect(isPreflight('POST', ask())).toBe(false)
  })

  it('names the methods of the path and our headers', () => {
    expect(preflightHeaders(ask(), settings, ['GET', 'POST'])).toMatchObject({
      'access-control-allow-origin': sibling,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': [
        'token-handler-version, x-csrf-token, content-type',
        'if-match, if-none-match, if-modified-since, if-unmodified-since',
        'idempotency-key, range, traceparent, tracestate, X-Tenant',
      ].join(', '),
      'access-control-max-age': '600',
      vary: 'Origin',
    })
  })

  it('F13 never echoes the headers that were asked for', () => {
    const headers = preflightHeaders(ask({ 'access-control-request-headers': 'x-evil' }), settings, ['POST'])
    expect(headers['access-control-allow-headers']).not.toContain('x-evil')
    expect(headers['access-control-allow-headers']).toContain('token-handler-version')
  })

  it.each([
    ['a foreign origin', ask({ origin: 'https://evil.test' }), 'origin_not_allowed'],
    ['origin null', ask({ origin: 'null' }), 'origin_not_allowed'],
    ['another method', ask({ 'access-control-request-method': 'DELETE' }), 'method_not_allowed'],
    ['a method in another case', ask({ 'access-control-request-method': 'post' }), 'method_not_allowed'],
  ])('refuses %s', (_, fields, code) => {
    expect(() => preflightHeaders(fields, settings, ['GET', 'POST'])).toThrow(expect.objectContaining({ code }))
  })
})

it.each([
  [undefined, 'Origin', 'Origin'],
  ['', 'Origin', 'Origin'],
  [' \t', 'Origin', 'Origin'],
  ['Accept', 'Origin', 'Accept, Origin'],
  ['accept, ORIGIN', 'Origin', 'accept, ORIGIN'],
  ['*', 'Origin', '*'],
  ['Accept-Origin', 'Origin', 'Accept-Origin, Origin'],
])('F13 Vary %j with %s is %j', (present, name, expected) => {
  expect(mergeVary(present, name)).toBe(expected)
})
