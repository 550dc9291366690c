import { describe, expect, it } from 'vitest'
import {
  createQuestionReader,
  type GatewayQuestion,
  gatewayDialects,
  type OriginalRequest,
} from '../../../oauth-proxy/edges/gateway-dialects.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'

const path = '/oauth-proxy/verify'

/** What is read of a question of nginx or Envoy, or the code and check of the refusal. */
function read(gateway: 'nginx' | 'envoy', question: Partial<GatewayQuestion> = {}): OriginalRequest | string {
  const usual =
    gateway === 'nginx'
      ? { target: path, rawHeaders: ['Host', 'internal', ...original] }
      : { target: `${path}/api/a?b`, rawHeaders: ['Host', 'www.example.com'] }
  try {
    return createQuestionReader(path, gatewayDialects[gateway])({ method: 'GET', ...usual, ...question })
  } catch (error) {
    if (error instanceof TokenHandlerError) return `${error.code} ${error.detail.check}`
    throw error
  }
}

const original = ['X-Original-Method', 'POST', 'X-Original-Host', 'www.example.com', 'X-Original-URI', '/api/a?b']
const usualLines = ['Host', 'internal', ...original]

describe('a question becomes the request that the gateway holds', () => {
  it.each([
    ['nginx', 'POST'],
    ['envoy', 'GET'],
  ] as const)('of %s', (gateway, method) => {
    expect(read(gateway)).toEqual({
      method,
      target: '/api/a?b',
      rawHeaders: ['host', 'www.example.com'],
      upgrade: false,
      secret: undefined,
    })
  })

  it('with the fields of the browser, without those of the connection to us', () => {
    const rawHeaders = [
      'cookie',
      'a=b',
      'accept',
      'x',
      'accept',
      'y',
      'x-forwarded-for',
      '192.0.2.1',
      'Connection',
      'close',
      'X-Forwarded-Proto',
      'https',
      'token-handler-gateway',
      'secret',
    ]
    expect(read('nginx', { rawHeaders: [...usualLines, ...rawHeaders] })).toMatchObject({
      rawHeaders: ['host', 'www.example.com', ...rawHeaders.slice(0, 8)],
      secret: 'secret',
    })
  })

  it('with fields of the browser whose names only hold those of the gateway, or of an override', () => {
    const names = ['x-host', 'x-te', 'hosts', 'my-x-original-uri', 'my-x-http-method', 'x-http-methods']
    const lines = names.flatMap((name) => [name, 'a'])
    expect(read('nginx', { rawHeaders: [...usualLines, ...lines] })).toMatchObject({
      rawHeaders: ['host', 'www.example.com', ...lines],
    })
  })

  it.each([
    ['a key', ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==']],
    ['an upgrade, of which gateways drop the rest', ['Upgrade', 'websocket']],
    ['an upgrade to nothing in particular', ['Upgrade', '']],
  ])('that asks for a WebSocket by %s', (_what, lines) => {
    expect(read('nginx', { rawHeaders: [...usualLines, ...lines] })).toMatchObject({ upgrade: true })
    expect(read('envoy', { rawHeaders: ['Host', 'www.example.com', ...lines] })).toMatchObject({ upgrade: true })
  })

  it("with the browser's empty query that Caddy leaves behind the place where it asks", () => {
    expect(read('nginx', { target: `${path}?` })).toMatchObject({ target: '/api/a?b' })
  })
})

describe('a question that is none', () => {
  it.each([`${path}?a`, `${path}/`, '/other'])('where nginx asks at %s', (target) => {
    expect(read('nginx', { target })).toBe('invalid_request target')
  })
  it.each([path, `${path}?a`, '/other/api'])('where Envoy asks at %s', (target) => {
    expect(read('envoy', { target })).toBe('invalid_request target')
  })
  it.each([0, 2, 4])('where %i of the names of the dialect is missing, empty or said twice', (at) => {
    const [name = '', value = ''] = original.slice(at, at + 2)
    const refusal = `invalid_request ${name.toLowerCase()}`
    const rest = usualLines.toSpliced(usualLines.indexOf(name), 2)
    for (const lines of [[], [name, ''], [name, value, name.toUpperCase(), value]]) {
      expect(read('nginx', { rawHeaders: [...rest, ...lines] })).toBe(refusal)
    }
  })
  it.each([
    ['a length', ['Content-Length', '1'], 'body'],
    ['chunks', ['Transfer-Encoding', 'chunked'], 'body'],
    ['two secrets', ['token-handler-gateway', 'a', 'token-handler-gateway', 'b'], 'token-handler-gateway'],
  ])('where it comes with %s', (_what, lines, check) => {
    expect(read('nginx', { rawHeaders: [...usualLines, ...lines] })).toBe(`invalid_request ${check}`)
  })
  it.each(['X-Http-Method', 'X-HTTP-Method-Override', 'x_method_override', 'X-Middleware-Subrequest'])(
    'F05 where the browser sends %s',
    (name) => {
      expect(read('nginx', { rawHeaders: [...usualLines, name, 'DELETE'] })).toBe('ambiguous_request override')
    },
  )
  it('where nginx asks by another method than GET, which is not that of the browser', () => {
    expect(read('nginx', { method: 'HEAD' })).toBe('invalid_request method')
    expect(read('envoy', { method: 'HEAD' })).toMatchObject({ method: 'HEAD' })
  })
})
