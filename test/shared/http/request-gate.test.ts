import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenHandlerError } from '../../../shared/errors.ts'
import {
  allowedHosts,
  isTargetBelow,
  listFields,
  parseRequestHead,
  type RawRequest,
} from '../../../shared/http/request-gate.ts'

const hosts = allowedHosts('https://www.example.com')

const read = (change: Partial<RawRequest> = {}, headers: readonly [string, string][] = []) =>
  parseRequestHead(
    {
      method: 'GET',
      target: '/api',
      httpVersion: '1.1',
      rawHeaders: ['Host', 'www.example.com', ...headers.flat()],
      ...change,
    },
    hosts,
  )

/** `code` or `code check` of the refusal; `undefined` when the request was read. */
function refusal(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (!(error instanceof TokenHandlerError)) throw error
    return [error.code, error.detail.check].filter((part) => part !== undefined).join(' ')
  }
}

describe('one reading', () => {
  const lists = [
    'accept',
    'accept-charset',
    'accept-encoding',
    'accept-language',
    'access-control-request-headers',
    'baggage',
    'cache-control',
    'connection',
    'forwarded',
    'if-match',
    'if-none-match',
    'link',
    'pragma',
    'prefer',
    'sec-websocket-extensions',
    'sec-websocket-protocol',
    'te',
    'trailer',
    'tracestate',
    'upgrade',
    'via',
    'warning',
    'x-forwarded-for',
  ]
  it('gives names in lower case, values as they came, lists joined', () => {
    const { fields } = read({}, [
      ['ACCEPT', 'text/html'],
      ['Accept', 'application/json'],
      ['X-Thing', 'a, b'],
    ])
    expect({ ...fields }).toEqual({
      host: 'www.example.com',
      accept: 'text/html, application/json',
      'x-thing': 'a, b',
    })
  })

  it('H14 names of Object.prototype are names like any other', () => {
    const { fields } = read({}, [
      ['constructor', 'x'],
      ['toString', 'y'],
    ])
    expect(fields['constructor']).toBe('x')
    expect(fields['hasownproperty']).toBeUndefined()
    expect(fields['valueof']).toBeUndefined()
  })

  it.each([
    'Host',
    'Authorization',
    'Content-Type',
    'Content-Length',
    'Origin',
    'Cookie',
    'Sec-Fetch-Site',
    'token-handler-version',
    'X-CSRF-Token',
    'Transfer-Encoding',
    'Expect',
    'Range',
    'X-Anything',
  ])('HX-8 %s on two lines is refused', (name) => {
    const value = name === 'Host' ? 'www.example.com' : name === 'Content-Length' ? '5' : 'a'
    expect(
      refusal(() =>
        read({}, [
          [name, value],
          [name.toUpperCase(), value],
        ]),
      ),
    ).toBe('ambiguous_request repeated_header')
  })

  it.each(lists)('%s on two lines is one list (RFC 9110 §5.3)', (name) => {
    const { fields } = read({}, [
      [name, 'a'],
      [name, 'b'],
    ])
    expect(fields[name]).toBe('a, b')
  })

  it('HX-8 no further field may be repeated without being named here', () => {
    expect([...listFields]).toEqual(lists)
  })

  it.each(['X_User', 'X.Forwarded.User', '__proto__', "x'y", 'x|y', 'x~y', ''])(
    'H02 the name %j is refused',
    (name) => {
      expect(refusal(() => read({}, [[name, 'a']]))).toBe('ambiguous_request header_name')
    },
  )

  it.each(['\u0000', '\r', '\n', '\u007f', '\u0080', 'ÿ', '\u001b[31m'])('H12 the value %j is refused', (value) => {
    expect(refusal(() => read({}, [['X-Thing', `a${value}b`]]))).toBe('ambiguous_request header_value')
  })

  it('a Cookie line is left to its own reader: a sibling host that writes odd cookies locks nobody out', () => {
    expect(read({}, [['Cookie', 'theme=\u00fcber\u0001']]).fields['cookie']).toBe('theme=\u00fcber\u0001')
  })
})

describe('host', () => {
  it.each(['www.example.com', 'WWW.Example.COM', 'www.example.com:443'])('%s is ours', (host) => {
    expect(refusal(() => read({ rawHeaders: ['Host', host] }))).toBeUndefined()
  })

  it.each([
    '',
    'www.example.com.',
    'www.example.com:444',
    'www.example.com:80',
    'www.example.com, evil',
    'evil.example',
    'evil-www.example.com',
    'www.example.com@evil',
    'www.example.com/abchehe?',
    '127.0.0.1',
  ])('HX-1 F14 G21 %j is not', (host) => {
    expect(refusal(() => read({ rawHeaders: ['Host', host] }))).toBe('host_not_allowed')
  })

  it('HTTP/1.0 without Host is not', () => {
    expect(refusal(() => read({ rawHeaders: [], httpVersion: '1.0' }))).toBe('host_not_allowed')
  })

  it('an origin with a port is asked for with that port only', () => {
    expect([...allowedHosts('http://localhost:8080')]).toEqual(['localhost:8080'])
  })

  it.each([
    ['https://www.example.com', 'www.example.com:443'],
    ['http://localhost', 'localhost:80'],
  ])('%s is asked for without a port, or as %s', (origin, withPort) => {
    expect([...allowedHosts(origin)]).toEqual([new URL(origin).host, withPort])
  })
})

describe('target', () => {
  it.each(['http://www.example.com/api', '*', 'www.example.com:443', '', 'api', '\\api'])(
    'HX-9 %j is refused',
    (target) => {
      expect(refusal(() => read({ target }))).toBe('ambiguous_request target_form')
    },
  )

  it.each<[string, boolean]>([
    ['/agent', true],
    ['/agent/', true],
    ['/agent/session', true],
    ['/agent?x=/agent', true],
    ['/agents', false],
    ['/AGENT/session', false],
    ['/%61gent/session', false],
    ['//agent/session', false],
    ['/api/agent/', false],
    ['/api/agent?x', false],
    ['/api?to=/agent?x', false],
    ['/', false],
  ])('%s is below /agent: %s', (target, expected) => {
    expect(isTargetBelow(target, '/agent')).toBe(expected)
  })
})

it.each(['', '0.9', '1.2', '2.0', '11'])('HTTP version %j is refused', (httpVersion) => {
  expect(refusal(() => read({ httpVersion }))).toBe('ambiguous_request version')
})

describe('framing', () => {
  it.each<[string, readonly [string, string][], string]>([
    ['HX-2 gzip, chunked', [['Transfer-Encoding', 'gzip, chunked']], 'framing_not_supported'],
    ['HX-2 identity', [['Transfer-Encoding', 'identity']], 'framing_not_supported'],
    ['HX-2 an empty coding', [['Transfer-Encoding', '']], 'framing_not_supported'],
    ['HX-2 a quoted coding', [['Transfer-Encoding', '"chunked"']], 'framing_not_supported'],
    [
      'I01 both kinds',
      [
        ['Transfer-Encoding', 'chunked'],
        ['Content-Length', '6'],
      ],
      'ambiguous_request framing',
    ],
    ...['+5', '0x5', '5, 5', '', '-1', '5.0', '9'.repeat(16), ' 5'].map(
      (value): [string, [string, string][], string] => [
        `I02 length ${JSON.stringify(value)}`,
        [['Content-Length', value]],
        'ambiguous_request content_length',
      ],
    ),
  ])('%s is refused', (_, headers, expected) => {
    expect(refusal(() => read({ method: 'POST' }, headers))).toBe(expected)
  })

  it('HX-2 chunked on HTTP/1.0 is refused', () => {
    expect(refusal(() => read({ httpVersion: '1.0' }, [['Transfer-Encoding', 'chunked']]))).toBe(
      'ambiguous_request framing',
    )
  })

  it.each<[readonly [string, string][], boolean, number | undefined]>([
    [[], false, undefined],
    [[['Content-Length', '0']], false, 0],
    [[['Content-Length', '7']], true, 7],
    [[['Transfer-Encoding', 'ChUnKeD']], true, undefined],
  ])('%j is a body: %s', (headers, hasBody, contentLength) => {
    expect(read({}, headers)).toMatchObject({ hasBody, contentLength })
  })

  it.each([
    ['100-continue', undefined],
    ['100-Continue', undefined],
    ['x', 'expectation_failed'],
    ['', 'expectation_failed'],
  ])('I16 Expect: %s', (value, expected) => {
    expect(refusal(() => read({}, [['Expect', value]]))).toBe(expected)
  })

  it('I16 it is known whether the client waits before it sends the body', () => {
    expect(read().expectsContinue).toBe(false)
    expect(read({}, [['Expect', '100-Continue']]).expectsContinue).toBe(true)
    // RFC 9110 §10.1.1: one of HTTP/1.0 must not be answered.
    expect(read({ httpVersion: '1.0' }, [['Expect', '100-continue']]).expectsContinue).toBe(false)
  })
})

describe('Connection', () => {
  it.each(['authorization', 'close, Authorization', 'COOKIE', 'keep-alive,host', 'x-forwarded-for', 'X-CSRF-Token'])(
    'H01 HX-5 %j is refused',
    (value) => {
      expect(refusal(() => read({}, [['Connection', value]]))).toBe('ambiguous_request connection_option')
    },
  )

  it.each(['close', 'keep-alive', 'Upgrade', 'keep-alive, x-own', 'x-origin', 'origin-trial'])(
    '%j is allowed',
    (value) => {
      expect(refusal(() => read({}, [['Connection', value]]))).toBeUndefined()
    },
  )
})

/** Any character; the unit `binary` of fast-check is the same, but takes a second to be made. */
const character = fc.nat(0x10_ffff - 0x800).map(
  (at) => String.fromCodePoint(at < 0xd800 ? at : at + 0x800),
  (value) => {
    if (typeof value !== 'string' || [...value].length !== 1) throw new Error('not one character')
    const point = value.codePointAt(0) ?? 0
    return point < 0xd800 ? point : point - 0x800
  },
)

it('whatever arrives is read or refused with a code, never anything else', () => {
  const text = fc.string({ unit: character, maxLength: 20 })
  fc.assert(
    fc.property(fc.array(text, { maxLength: 12 }), text, text, (rawHeaders, method, target) => {
      refusal(() => read({ rawHeaders, method, target }))
    }),
    { numRuns: 500 },
  )
})
