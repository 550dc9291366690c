import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { parseTarget } from '../../../oauth-proxy/gate/path.ts'
import { pathReaders } from '../../support/path-readers.ts'

function check(target: string): string | undefined {
  try {
    parseTarget(target)
    return undefined
  } catch (error) {
    if (!(error instanceof TokenHandlerError) || error.code !== 'ambiguous_request') throw error
    return String(error.detail.check)
  }
}

describe('what passes', () => {
  it.each([
    '/',
    '/api',
    '/api/',
    '/api/orders/4711',
    "/api/a-b_c.d~e!$&'()*+,=:@f",
    '/api/%C3%BCbung',
    '/api/%E2%82%AC',
    '/api/a%20b',
    '/api/100%25',
    '/api/a%23b%3Fc',
    '/api/.well-known',
    '/api/..a',
    '/api/a..b',
    '/api?x=1',
    '/api?',
    '/api?next=//evil/%2e%2e/;x',
    '/api?q="<>\\^`{|}',
    '/api?q=%zz',
    '/api/%E2%80%A6more',
    '/api?my_access_token=1',
    '/api?access_tokens=1',
  ])('%s', (target) => {
    expect(check(target)).toBeUndefined()
    const { path, query } = parseTarget(target)
    expect(path + query).toBe(target)
  })
})

describe('what is refused', () => {
  it.each<[string, string]>([
    ['G01 /public/../admin', '/public/../admin/x'],
    ['G01 a single dot', '/public/./admin'],
    ['G01 dots at the end', '/public/..'],
    ['G02 %2e%2e', '/public/%2e%2e/admin'],
    ['G02 .%2e', '/public/.%2e/admin'],
    ['G02 %2E%2E%2F', '/public/%2E%2E%2Fadmin'],
    ['G04 ..;', '/public/..;/admin'],
    ['G04 .;', '/public/.;/admin'],
    ['G04 a parameter', '/admin;x=1'],
    ['G04 an escaped semicolon', '/public/..%3bx/admin'],
    ['G05 an escaped letter', '/%61dmin'],
    ['G05 an escaped digit', '/v%31/x'],
    ['G05 two slashes', '//admin'],
    ['G06 %2F', '/admin%2fsecret'],
    ['G06 two slashes inside', '/admin//secret'],
    ['G09 a fragment', '/foo/secret#/bar'],
    ['G10 %zz', '/admin/%zz'],
    ['G10 a lone percent', '/%'],
    ['G10 a percent at the end', '/a%2'],
    ['G10 %u', '/%u002e'],
    ['G10 overlong UTF-8', '/%c0%ae%c0%ae/admin'],
    ['G10 bytes that are no UTF-8', '/%ff'],
    ['G10 a surrogate', '/%ed%a0%80'],
    ['G10 NUL', '/%00'],
    ['G10 CR LF', '/a%0d%0ab'],
    ['G10 DEL', '/a%7f'],
    ['G12 another host', '//127.0.0.1:4711/x'],
    ['G12 a backslash for a slash', '/\\127.0.0.1:4711/x'],
    ['G12 escaped backslashes', '/%5c%5c127.0.0.1'],
    ['G13 %5C', '/admin%5Cx'],
    ['G13 a backslash', '/public\\..\\admin'],
    ['G16 a trailing dot', '/api.'],
    ['G16 a trailing space', '/api%20'],
    ['G16 a trailing space inside', '/api%20/x'],
    ['G04 twice encoded', '/public/%252e%252e/admin'],
    ['twice encoded slash', '/public%252fadmin'],
    ['a full-width slash', '/public%EF%BC%8Fadmin'],
    ['full-width dots', '/public/%EF%BC%8E%EF%BC%8E/admin'],
    ['G16 a trailing full-width dot', '/admin%EF%BC%8E'],
    ['G16 a trailing full-width dot inside', '/admin%EF%BC%8E/x'],
    ['G16 a trailing ellipsis', '/admin%E2%80%A6'],
    ['G16 a trailing space without break', '/admin%C2%A0'],
    ['a two-dot leader', '/public/%E2%80%A5/admin'],
    ['a space', '/a b'],
    ['a tab', '/a\tb'],
    ['a non-ASCII byte', '/\u00fcber'],
    ['a quotation mark', '/a"b'],
    ['braces', '/{a}'],
    ['a fragment behind the query', '/a?b#c'],
    ['a space in the query', '/a?b c'],
    ['a byte in the query', '/a?\u00ff'],
    ['no slash', 'a'],
    ['nothing', ''],
    ['H09 a token in the query', '/a?access_token=junk'],
    ['H09 a token among others', '/a?b=1&access_token=junk'],
    ['H09 an escaped name', '/a?%61ccess_token=junk'],
    ['H09 an escaped name behind a broken escape', '/a?x=%zz&%61ccess_token=junk'],
    ['H09 a token in upper case', '/a?Access_Token=junk'],
    ['H09 a token behind a semicolon', '/a?b=1;access_token=junk'],
    ['H09 a name without a token', '/a?access_token'],
    ['H09 a name without a token before others', '/a?access_token&b=1'],
    ['H09 a name without a token before a semicolon', '/a?access_token;b=1'],
  ])('%s', (_, target) => {
    expect(check(target)).toBeDefined()
  })

  it.each([...'\u2044\u2215\u2216\u29f5\u29f8\u29f9'])('G22 %s, which looks like a slash', (slash) => {
    expect(check(`/public${encodeURIComponent(slash)}admin`)).toBe('path_fold')
  })

  it('G20 a long path of dots costs nothing much', () => {
    expect(check('/..'.repeat(5000))).toBe('path_segment')
  })
})

/** Pieces that readers disagree on, put together freely (G22). */
const piece = fc.constantFrom(
  'admin',
  'public',
  'a',
  '.',
  '..',
  '...',
  '%2e',
  '%2E',
  '%252e',
  '%',
  '%25',
  '%2',
  '%zz',
  ';',
  '%3b',
  ';x=1',
  '\\',
  '%5c',
  '%255c',
  '/',
  '//',
  '%2f',
  '%252f',
  '#',
  '%23',
  '?',
  '%3f',
  '@',
  ':',
  '%00',
  '\0',
  '%0a',
  ' ',
  '%20',
  '+',
  'A',
  'ADMIN',
  '%61dmin',
  '\u00fc',
  '%c3%bc',
  '%c0%af',
  '%c0%ae',
  '%ef%bc%8f',
  '%ef%bc%8e',
  '\u2215',
  '%e2%88%95',
  '%u002f',
  '\u0001',
  '%7f',
  '~',
  '*',
  '&',
  '=',
  '|',
  '%7c',
  '%e2%80%a5',
  '%ef%bc%9b',
  '%c2%a0',
)
const target = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`)

describe('G22 no reader finds another resource in what passes', () => {
  it.each(Object.keys(pathReaders))('reader %s', (name) => {
    const reader = pathReaders[name]
    if (reader === undefined) throw new Error('no such reader')
    fc.assert(
      fc.property(target, (text) => {
        if (check(text) !== undefined) return
        const { path } = parseTarget(text)
        const ours = path.split('/').filter((segment) => segment !== '')
        const theirs = reader(text)
        // The same depth, and every segment that a route can name read the same, but for case.
        expect(theirs).toHaveLength(ours.length)
        for (const [index, segment] of ours.entries()) {
          if (/^[A-Za-z0-9._~-]+$/.test(segment)) expect(theirs[index]?.toLowerCase()).toBe(segment.toLowerCase())
          else expect(theirs[index]).not.toMatch(/^(?:admin|public|a)$/i)
        }
      }),
      { numRuns: 6000 },
    )
  })
})

it('what passes is passed on byte for byte', () => {
  fc.assert(
    fc.property(target, (text) => {
      if (check(text) !== undefined) return
      const { path, query } = parseTarget(text)
      expect(path + query).toBe(text)
      expect(path).toMatch(/^\/(?!\/)/)
    }),
  )
})
