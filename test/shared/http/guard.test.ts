import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { checkGuard, type GuardedRequest, type HeaderlessKind } from '../../../shared/http/guard.ts'

const own = 'https://app.test'
const sibling = 'https://shop.app.test'
const settings = { publicOrigin: own, cors: { origins: [sibling] } }
const everyKind: readonly HeaderlessKind[] = ['websocket', 'event_stream', 'download']

type Fields = Record<string, string>
const api: Fields = { 'token-handler-version': '1' }
const browser: Fields = { ...api, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }

function verdict(request: GuardedRequest, headerless: readonly HeaderlessKind[] = []): string {
  try {
    checkGuard(request, settings, headerless)
    return 'pass'
  } catch (error) {
    if (!(error instanceof TokenHandlerError)) throw error
    return error.code
  }
}

describe('requests of the browser client', () => {
  it.each<[string, string, Fields, string]>([
    ['GET from our own page', 'GET', browser, 'pass'],
    ['POST from our own page', 'POST', { ...browser, origin: own }, 'pass'],
    ['a listed sibling', 'POST', { ...browser, 'sec-fetch-site': 'same-site', origin: sibling }, 'pass'],
    ['BBA-13 without the header', 'GET', { 'sec-fetch-site': 'same-origin' }, 'header_missing'],
    ['another version', 'GET', { ...browser, 'token-handler-version': '2' }, 'header_missing'],
    ['a joined version', 'GET', { ...browser, 'token-handler-version': '1, 1' }, 'header_missing'],
    [
      'FM-1 same-site, not listed',
      'GET',
      { ...browser, 'sec-fetch-site': 'same-site', origin: 'https://x.app.test' },
      'origin_not_allowed',
    ],
    ['FM-1 same-site without Origin', 'GET', { ...browser, 'sec-fetch-site': 'same-site' }, 'origin_not_allowed'],
    ['FM-1 cross-site', 'GET', { ...browser, 'sec-fetch-site': 'cross-site' }, 'origin_not_allowed'],
    [
      'FM-1 cross-site with our origin',
      'POST',
      { ...browser, 'sec-fetch-site': 'cross-site', origin: own },
      'origin_not_allowed',
    ],
    ['FM-1 none', 'GET', { ...browser, 'sec-fetch-site': 'none' }, 'origin_not_allowed'],
    ['a joined site', 'GET', { ...browser, 'sec-fetch-site': 'same-origin, cross-site' }, 'origin_not_allowed'],
    ['same-origin with a foreign Origin', 'POST', { ...browser, origin: 'https://evil.test' }, 'origin_not_allowed'],
    ['same-origin with the sibling as Origin', 'POST', { ...browser, origin: sibling }, 'origin_not_allowed'],
    ['FM-2 no Fetch Metadata, unsafe, own Origin', 'POST', { ...api, origin: own }, 'pass'],
    ['FM-2 no Fetch Metadata, unsafe, the Origin of a listed sibling', 'POST', { ...api, origin: sibling }, 'pass'],
    ['FM-2 no Fetch Metadata, unsafe, no Origin', 'POST', api, 'origin_not_allowed'],
    ['FM-2 no Fetch Metadata, safe, no Origin', 'GET', api, 'pass'],
    ['FM-2 no Fetch Metadata, HEAD, no Origin', 'HEAD', api, 'pass'],
    ['FM-2 no Fetch Metadata, OPTIONS, no Origin', 'OPTIONS', api, 'pass'],
    ['fetch with the mode same-origin', 'POST', { ...browser, 'sec-fetch-mode': 'same-origin', origin: own }, 'pass'],
    ['F02 Origin null', 'POST', { ...api, origin: 'null' }, 'origin_not_allowed'],
    ['F02 Origin null with same-origin', 'POST', { ...browser, origin: 'null' }, 'origin_not_allowed'],
    ['F09 as a script', 'GET', { ...browser, 'sec-fetch-dest': 'script' }, 'origin_not_allowed'],
    ['F09 as an image', 'GET', { ...browser, 'sec-fetch-dest': 'image' }, 'origin_not_allowed'],
    [
      'F09 in a frame',
      'GET',
      { ...browser, 'sec-fetch-dest': 'iframe', 'sec-fetch-mode': 'navigate' },
      'origin_not_allowed',
    ],
    ['F09 no-cors', 'POST', { ...browser, 'sec-fetch-mode': 'no-cors', origin: own }, 'origin_not_allowed'],
  ])('%s', (_, method, fields, expected) => {
    expect(verdict({ method, fields })).toBe(expected)
  })

  it.each([
    'https://evil.test',
    'null',
    `${own}.evil`,
    'https://appXtest',
    'http://app.test',
    `${own}:444`,
    'HTTPS://APP.TEST',
    `${own}/`,
    `${own}, ${own}`,
    '',
    ` ${own}`,
  ])('F01 the origin %j is nobody', (origin) => {
    expect(verdict({ method: 'POST', fields: { ...api, origin } })).toBe('origin_not_allowed')
    expect(verdict({ method: 'GET', fields: { ...api, origin } })).toBe('origin_not_allowed')
    expect(verdict({ method: 'POST', fields: { ...browser, 'sec-fetch-site': 'same-site', origin } })).toBe(
      'origin_not_allowed',
    )
  })

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'PROPFIND', 'MKCOL', 'LINK', 'LOCK', 'MERGE', 'get'])(
    'F04 %s counts as unsafe',
    (method) => {
      expect(verdict({ method, fields: api })).toBe('origin_not_allowed')
    },
  )
})

describe('BBA-14 kinds that cannot carry the header', () => {
  const stream: Fields = { accept: 'text/event-stream' }
  const download: Fields = {
    'sec-fetch-site': 'same-origin',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
  }
  const sameOrigin = { 'sec-fetch-site': 'same-origin' }

  it.each<[string, GuardedRequest, HeaderlessKind, string]>([
    [
      'an event stream',
      { method: 'GET', fields: { ...stream, ...sameOrigin, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' } },
      'event_stream',
      'pass',
    ],
    [
      'an event stream read by fetch with the mode same-origin',
      { method: 'GET', fields: { ...stream, ...sameOrigin, 'sec-fetch-mode': 'same-origin' } },
      'event_stream',
      'pass',
    ],
    [
      'an event stream of a listed sibling',
      { method: 'GET', fields: { ...stream, 'sec-fetch-site': 'same-site', origin: sibling } },
      'event_stream',
      'pass',
    ],
    [
      'an event stream of another sibling',
      { method: 'GET', fields: { ...stream, 'sec-fetch-site': 'same-site', origin: 'https://x.app.test' } },
      'event_stream',
      'origin_not_allowed',
    ],
    [
      'an event stream of an old browser with Origin',
      { method: 'GET', fields: { ...stream, origin: own } },
      'event_stream',
      'pass',
    ],
    ['an event stream that proves nothing', { method: 'GET', fields: stream }, 'event_stream', 'origin_not_allowed'],
    [
      'an event stream by POST',
      { method: 'POST', fields: { ...stream, ...sameOrigin, origin: own } },
      'event_stream',
      'header_missing',
    ],
    [
      'an event stream as a script',
      { method: 'GET', fields: { ...stream, ...sameOrigin, 'sec-fetch-dest': 'script' } },
      'event_stream',
      'origin_not_allowed',
    ],
    ['a download', { method: 'GET', fields: download }, 'download', 'pass'],
    [
      'a download by a link with the attribute',
      { method: 'GET', fields: { ...download, 'sec-fetch-dest': 'empty' } },
      'download',
      'pass',
    ],
    [
      'a download linked from elsewhere',
      { method: 'GET', fields: { ...download, 'sec-fetch-site': 'cross-site' } },
      'download',
      'origin_not_allowed',
    ],
    [
      'a download typed into the address bar',
      { method: 'GET', fields: { ...download, 'sec-fetch-site': 'none' } },
      'download',
      'origin_not_allowed',
    ],
    [
      'a download in a frame',
      { method: 'GET', fields: { ...download, 'sec-fetch-dest': 'iframe' } },
      'download',
      'origin_not_allowed',
    ],
    ['a WebSocket', { method: 'GET', upgrade: true, fields: { origin: own } }, 'websocket', 'pass'],
    [
      'a WebSocket with metadata',
      {
        method: 'GET',
        upgrade: true,
        fields: { ...sameOrigin, origin: own, 'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'empty' },
      },
      'websocket',
      'pass',
    ],
    [
      'a WebSocket with the destination of Fetch',
      { method: 'GET', upgrade: true, fields: { ...sameOrigin, origin: own, 'sec-fetch-dest': 'websocket' } },
      'websocket',
      'pass',
    ],
    [
      'FM-6 a WebSocket of a foreign page',
      { method: 'GET', upgrade: true, fields: { origin: 'https://evil.test' } },
      'websocket',
      'origin_not_allowed',
    ],
    [
      'FM-6 a WebSocket without Origin',
      { method: 'GET', upgrade: true, fields: {} },
      'websocket',
      'origin_not_allowed',
    ],
    ['an upgrade by POST', { method: 'POST', upgrade: true, fields: { origin: own } }, 'websocket', 'header_missing'],
  ])('%s', (_, request, kind, expected) => {
    expect(verdict(request, [kind])).toBe(expected)
    expect(verdict(request, everyKind)).toBe(expected)
    expect(
      verdict(
        request,
        everyKind.filter((other) => other !== kind),
      ),
    ).not.toBe('pass')
  })
})

describe('BBA-14 what is of none of these kinds takes the header', () => {
  const ours: Fields = { 'sec-fetch-site': 'same-origin' }
  it.each<[string, GuardedRequest]>([
    ['any other GET', { method: 'GET', fields: { ...ours, accept: 'application/json' } }],
    ['a GET that takes streams among others', { method: 'GET', fields: { ...ours, accept: 'text/event-stream, */*' } }],
    [
      'an event stream with another version',
      { method: 'GET', fields: { ...ours, accept: 'text/event-stream', 'token-handler-version': '2' } },
    ],
    [
      'a download with another version',
      { method: 'GET', fields: { ...ours, 'sec-fetch-mode': 'navigate', 'token-handler-version': '2' } },
    ],
    ['F04 an upgrade with the header, which would be a safe GET', { method: 'GET', upgrade: true, fields: api }],
  ])('%s', (_, request) => {
    expect(verdict(request, everyKind)).toBe('header_missing')
  })
})

it('nothing passes that a foreign page could send', () => {
  const anyOf = (values: readonly (string | undefined)[]) => fc.constantFrom(...values)
  fc.assert(
    fc.property(
      fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'QUERY'),
      anyOf(['1', undefined, '2', '']),
      anyOf(['cross-site', 'none', 'same-site', '', 'same-origin,cross-site']),
      anyOf(['https://evil.test', 'null', undefined, `${own}.evil`]),
      anyOf(['cors', 'no-cors', 'navigate', 'websocket', 'same-origin', undefined]),
      anyOf(['empty', 'document', 'script', 'image', 'iframe', undefined]),
      fc.boolean(),
      (method, version, site, origin, mode, dest, upgrade) => {
        const all = {
          'token-handler-version': version,
          'sec-fetch-site': site,
          origin,
          'sec-fetch-mode': mode,
          'sec-fetch-dest': dest,
          accept: 'text/event-stream',
        }
        const fields = Object.fromEntries(
          Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
        )
        expect(verdict({ method, fields, upgrade }, everyKind)).not.toBe('pass')
      },
    ),
    { numRuns: 2000 },
  )
})
