import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allowedHosts, parseRequestHead } from '../../../shared/http/request-gate.ts'
import {
  managedPrefixes,
  type OwnRequestFields,
  upstreamRequestHeaders,
} from '../../../oauth-proxy/forward/request-headers.ts'

const own: OwnRequestFields = {
  credential: { header: 'authorization', value: 'Bearer at-1' },
  credentialHeader: undefined,
  clientAddress: '198.51.100.1',
  publicHost: 'www.example.com',
  publicProtocol: 'https',
  requestId: 'request-1',
  cookies: '',
  traceparent: undefined,
  tracestate: undefined,
}

const ours = {
  'x-forwarded-for': '198.51.100.1',
  'x-forwarded-host': 'www.example.com',
  'x-forwarded-proto': 'https',
  'x-request-id': 'request-1',
  via: '1.1 token-handler',
  authorization: 'Bearer at-1',
}

const head = (headers: readonly string[]) =>
  parseRequestHead(
    { method: 'POST', target: '/', httpVersion: '1.1', rawHeaders: ['Host', 'www.example.com', ...headers] },
    allowedHosts('https://www.example.com'),
  )

const sent = (headers: readonly string[], change: Partial<OwnRequestFields> = {}) =>
  upstreamRequestHeaders(head(headers), { ...own, ...change })

it('ordinary headers travel as they came', () => {
  const headers = [
    'Accept',
    'text/html',
    'Content-Type',
    'application/json',
    'If-None-Match',
    '"a"',
    'Range',
    'bytes=0-1',
  ]
  expect(sent(headers)).toEqual({
    ...ours,
    accept: 'text/html',
    'content-type': 'application/json',
    'if-none-match': '"a"',
    range: 'bytes=0-1',
  })
})

it('cookies and a trace travel as they were decided on', () => {
  const decided = { cookie: 'theme=dark', traceparent: '00-1', tracestate: 'a=1' }
  const { cookie: cookies, ...trace } = decided
  const headers = ['Cookie', 'of=the-browser', 'Traceparent', '00-2', 'Tracestate', 'b=2']
  expect(sent(headers, { cookies, ...trace })).toEqual({ ...ours, ...decided })
  expect(sent(headers)).toEqual(ours)
})

describe('what never travels', () => {
  it.each([
    'Authorization',
    'Cookie',
    'DPoP',
    'Origin',
    'Referer',
    'Forwarded',
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Port',
    'X-Forwarded-Prefix',
    'X-Forwarded-User',
    'X-Forwarded-Uri',
    'X-Forwarded',
    'X-Real-IP',
    'X-Client-IP',
    'True-Client-IP',
    'Client-IP',
    'CF-Connecting-IP',
    'X-Original-URL',
    'X-Original-URI',
    'X-Original-Method',
    'X-Rewrite-URL',
    'X-HTTP-Method-Override',
    'X-HTTP-Method',
    'X-Method-Override',
    'X-User',
    'X-User-Id',
    'X-Auth-Request-User',
    'X-Auth-Request-Groups',
    'Remote-User',
    'Remote-Groups',
    'X-Th-Sub',
    'X-Request-Id',
    'X-CSRF-Token',
    'Token-Handler-Version',
    'Sec-Fetch-Site',
    'Sec-WebSocket-Key',
    'Proxy-Authorization',
    'Proxy-Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'HTTP2-Settings',
    'X-Middleware-Subrequest',
    'X-Envoy-Original-Path',
    'X-SSL-Client-Cert',
    'X-Accel-Redirect',
    'Access-Control-Request-Headers',
    'Access-Control-Request-Method',
    'Max-Forwards',
    'Via',
    'Traceparent',
    'Tracestate',
    'Client-Cert-Chain',
    'Fastly-Client-IP',
    'Front-End-HTTPS',
    'L5d-Client-Id',
    'OIDC-Claim-Sub',
    'Proxy-User',
    'Remote-Addr',
    'Shib-Identity-Provider',
    'SSL-Client-Cert',
    'Tailscale-User-Login',
    'X-Amzn-Mtls-Clientcert',
    'X-Amzn-Oidc-Identity',
    'X-Apigateway-Api-Userinfo',
    'X-ARR-ClientCert',
    'X-Auth-Subject',
    'X-Auth-Scope',
    'X-Auth-ACR',
    'X-Auth-Time',
    'X-Auth-Email',
    'X-Auth-Groups',
    'X-Auth-Name',
    'X-Auth-Roles',
    'X-Auth-Username',
    'X-Authenticated-Userid',
    'X-Authentik-Username',
    'X-Client-Cert',
    'X-Client-DN',
    'X-Client-Verify',
    'X-Cluster-Client-IP',
    'X-Consumer-Username',
    'X-Credential-Identifier',
    'X-Endpoint-Api-Userinfo',
    'X-Goog-Authenticated-User-Email',
    'X-Goog-IAP-JWT-Assertion',
    'X-Host',
    'X-Id-Token',
    'X-JWT-Assertion',
    'X-MS-Client-Principal-Name',
    'X-MS-Token-AAD-Access-Token',
    'X-Pomerium-JWT-Assertion',
    'X-Remote-User',
    'X-Sendfile-Type',
    'X-TLS-Client-Cert',
    'X-Vouch-User',
    'X-WebAuth-User',
    ...managedPrefixes.flatMap((family) => [
      family.replace(/-$/, '-x'),
      `${family}${family.endsWith('-') ? 'y' : '-y'}`,
    ]),
  ])('H02 H05 H13 H20 G17 F05 HX-4 HX-6 %s', (name) => {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      const headers = sent([spelling, 'forged'], { credential: undefined })
      expect(headers[name.toLowerCase()] ?? '').not.toMatch(/^forged$/)
    }
  })

  it('H01 a Connection option takes away what the client sent, never what we set', () => {
    const headers = sent(['Connection', 'close, x-own, via, x-request-id', 'X-Own', 'a', 'X-Other', 'b'])
    expect(headers).toEqual({ ...ours, 'x-other': 'b' })
  })

  it('the header of a fixed key, whoever calls', () => {
    const change = { credential: undefined, credentialHeader: 'x-partner-key' }
    expect(sent(['X-Partner-Key', 'stolen'], change)['x-partner-key']).toBeUndefined()
    const credential = { header: 'x-partner-key', value: 'ours' }
    expect(sent(['X-Partner-Key', 'stolen'], { ...change, credential })['x-partner-key']).toBe('ours')
  })
})

describe('K19 what a gateway took as TLS early data may be a repetition (RFC 8470 §5.1)', () => {
  it('the API hears of it', () => {
    expect(sent(['Early-Data', '1'])['early-data']).toBe('1')
  })
  it('no Connection option takes that away', () => {
    expect(() => sent(['Early-Data', '1', 'Connection', 'early-data'])).toThrow('ambiguous_request')
  })
})

describe('framing', () => {
  it('a length goes on, chunked does not', () => {
    expect(sent(['Content-Length', '5'])['content-length']).toBe('5')
    expect(sent(['Content-Length', '0'])).toEqual(ours)
    expect(sent(['Transfer-Encoding', 'chunked'])).toEqual(ours)
  })

  it('I16 that the client waits for 100 (Continue) is between it and us', () => {
    expect(sent(['Expect', '100-continue'])).toEqual(ours)
  })
})

it('HX-21 Via is added to what proxies before us said', () => {
  expect(sent(['Via', '1.0 edge'])['via']).toBe('1.0 edge, 1.1 token-handler')
})

it('whatever names arrive, ours are exactly ours', () => {
  const name = fc.string({
    unit: fc.constantFrom(...'abcdefgorstuvwxAUTHORIZN-0'.split('')),
    minLength: 1,
    maxLength: 16,
  })
  const managed = fc.constantFrom(...Object.keys(ours), 'cookie', 'x-forwarded-user', 'connection')
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.oneof(name, managed), { maxLength: 8, selector: (text) => text.toLowerCase() }),
      (names) => {
        const headers = sent(
          names
            .filter((each) => !/^(?:host|content-length|transfer-encoding|expect|connection)$/i.test(each))
            .flatMap((each) => [each, 'forged']),
        )
        expect(headers).toMatchObject({ ...ours, via: headers.via })
        expect(headers.via).toMatch(/1\.1 token-handler$/)
        expect(headers.cookie).toBeUndefined()
      },
    ),
  )
})
