import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseTarget } from '../../oauth-proxy/gate/path.ts'
import { hostLine } from '../support/proxy-world.ts'
import { sendRaw } from '../support/raw-http.ts'
import { type BothSides, request, startBothSides } from '../support/both-sides.ts'

let sides: BothSides
beforeAll(async () => {
  sides = await startBothSides()
})
afterAll(() => sides.close())

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
  '/api/a?c=d;access_token=x',
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
  `/api${'/segment'.repeat(800)}`,
  `/api/${'a.b'.repeat(2000)}`,
  `/api/${'%C3%A4'.repeat(1000)}`,
  `/api/a?${'b=%C3%A4&'.repeat(600)}`,
]

/** Segments for which the proxy refuses a path because of one character beyond ASCII, in whatever company. */
function structuralSegments(): readonly string[] {
  const segments: string[] = []
  for (let code = 0x80; code < 0x110000; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const character = String.fromCodePoint(code)
    const escaped = encodeURIComponent(character)
    const inside = isRefused(`/a${escaped}b`) || isRefused(`/.${escaped}b`)
    if (inside || isRefused(`/a${escaped}`)) segments.push(`a${character}${inside ? 'b' : ''}`)
  }
  return segments
}

/** Characters that compatibility normalisation (NFKC) turns into a dot or a space, alone or among others. */
function dotsAndSpaces(): readonly string[] {
  return Array.from({ length: 0x110000 - 0x80 }, (_, index) => index + 0x80)
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code))
    .filter((character) => /[. ]/.test(character.normalize('NFKC')))
}

function isRefused(path: string): boolean {
  try {
    parseTarget(path)
    return false
  } catch {
    return true
  }
}

describe('nginx reads targets and methods as the proxy does', () => {
  it.each(targets)('G target %s', async (target) => {
    const { proxy: expected, nginx: got } = await sides.send(request('GET', target))
    expect(got).toEqual(expected)
  })

  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'])(
    'F04 method %s',
    async (method) => {
      for (const path of ['/api/a', '/api/admin', '/exact', '/nowhere']) {
        const { proxy: expected, nginx: got } = await sides.send(request(method, path))
        expect({ path, ...got, errorCode: method === 'HEAD' ? undefined : got.errorCode }).toEqual({
          path,
          ...expected,
        })
      }
    },
  )

  it.each(['/api/a', '/api/admin', '/exact', '/nowhere'])(
    'HX-14 TRACE %s is told the methods that are allowed',
    async (target) => {
      const bytes = `TRACE ${target} HTTP/1.1\r\n${hostLine}\r\n\r\n`
      const expected = await sendRaw(sides.proxy.port, bytes)
      const got = await sendRaw(sides.nginx.port, bytes)
      expect([expected.status, expected.header('allow')]).toEqual([405, expect.any(String)])
      expect([got.status, got.header('allow'), got.body]).toEqual([405, expected.header('allow'), expected.body])
    },
  )

  it.each(['1.2', '1.9', '1.10', '1.01', '1.00'])('HX-2 HTTP/%s is refused', async (version) => {
    const { proxy: expected, nginx: got } = await sides.send(
      request('GET', '/api/a').replace('HTTP/1.1', `HTTP/${version}`),
    )
    expect(expected).toEqual({ status: 400, errorCode: 'ambiguous_request', seen: undefined })
    expect(got).toEqual(expected)
  })

  it('HTTP/1.0 is served', async () => {
    const { proxy: expected, nginx: got } = await sides.send(request('GET', '/api/a').replace('HTTP/1.1', 'HTTP/1.0'))
    expect(expected.status).toBe(200)
    expect(got).toEqual(expected)
  })

  it('G06 every character that some reader takes for structure', async () => {
    for (const segment of structuralSegments()) {
      const target = `/api/${encodeURIComponent(segment)}`
      const { nginx: got } = await sides.send(request('GET', target))
      expect({ target, ...got }).toEqual({ target, status: 400, errorCode: 'ambiguous_request', seen: undefined })
    }
  })

  it('G06 a file name with … in it, and every character that is a dot or a space to some reader', async () => {
    const characters = dotsAndSpaces()
    expect(characters).toContain('…')
    const names = characters.flatMap((each) => [`a${each}b`, `a${each}`, `a${each}/b`, each, `${each}b`])
    for (const name of ['Wait… what.pdf', 'Wait….pdf', 'Wait…', ...names]) {
      const target = `/api/${name.split('/').map(encodeURIComponent).join('/')}`
      const { proxy: expected, nginx: got } = await sides.send(request('GET', target))
      expect({ target, ...got }).toEqual({ target, ...expected })
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
        const { proxy: expected, nginx: got } = await sides.send(request('GET', text))
        expect(got.status).toBe(expected.status)
        expect(got.seen).toEqual(expected.seen)
      }),
      { numRuns: 400 },
    )
  })
})
