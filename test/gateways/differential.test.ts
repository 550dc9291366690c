import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type HttpReader,
  type HttpReaders,
  type Reading,
  readingsIn,
  startHttpReaders,
} from '../support/http-readers.ts'
import { ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { openRaw, parseAnswer } from '../support/raw-http.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

/**
 * The same bytes are sent to our proxy and to the servers that upstreams are made of. Where two of those would read
 * target, host or body differently, ours must have refused; where ours let the request pass, what reached the API must
 * be what all of them read.
 */

let api: Upstream
let world: ProxyWorld
let all: HttpReaders

beforeAll(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - { path: /**, methods: [GET, HEAD, POST, PUT, DELETE, OPTIONS], upstream: '${api.origin}', credential: { kind: none }, anonymous: none }
`)
  all = await startHttpReaders()
})
afterAll(async () => {
  await all?.close()
  await world.close()
  await api.close()
})

/** Longest wait for servers that hope for more bytes. */
const patienceMs = 2500

/** Everything a server sends for these bytes until it closes the connection. */
async function exchange(port: number, bytes: string): Promise<string> {
  const connection = await openRaw(port)
  const timer = setTimeout(() => connection.close(), patienceMs)
  connection.write(bytes)
  const text = await connection.closed()
  clearTimeout(timer)
  connection.close()
  return text
}

/** A last request after which every server closes; if a server does not see it, its bytes became part of something else. */
const last = 'GET /last HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n'

interface Case {
  readonly request: string
  readonly lines?: readonly string[]
  readonly host?: string
  readonly rest?: string
}

function bytesOf({ request, lines = [], host = 'Host: www.example.com', rest = '' }: Case): string {
  const head = [request, ...(host === '' ? [] : [host]), ...ownPage, 'Origin: https://www.example.com', ...lines]
  return `${head.join('\r\n')}\r\n\r\n${rest}${last}`
}

interface Outcome {
  readonly name: string
  readonly readings: readonly Reading[]
}

async function outcomeOf({ name, port }: HttpReader, bytes: string): Promise<Outcome> {
  const readings = readingsIn(await exchange(port, bytes))
  const end = readings.findIndex(({ path }) => path === '/last')
  return { name, readings: end === -1 ? readings : readings.slice(0, end) }
}

/** The readings that differ; a server that refused has none to differ with. */
function disagreement(outcomes: readonly Outcome[]): string | undefined {
  const accepted = outcomes.filter(({ readings }) => readings.length > 0)
  for (const part of ['method', 'path', 'query', 'host', 'body'] as const) {
    const seen = new Map<string, string>()
    for (const { name, readings } of accepted) {
      if (readings.some((reading) => reading[part] === undefined)) continue
      seen.set(JSON.stringify(readings.map((reading) => reading[part])), name)
    }
    if (seen.size > 1) return `${part}: ${[...seen].map(([text, name]) => `${name} ${text.slice(0, 80)}`).join(' / ')}`
  }
  return undefined
}

const found: string[] = []

async function compare(given: Case): Promise<void> {
  const bytes = bytesOf(given)
  api.seen.length = 0
  const [ours, ...outcomes] = await Promise.all([
    exchange(world.port, bytes.replace(last, last.replace('\r\n\r\n', `\r\n${ownPage.join('\r\n')}\r\n\r\n`))),
    ...all.readers.map((reader) => outcomeOf(reader, bytes)),
  ])
  const passed = api.seen.filter(({ target }) => target !== '/last')
  const differs = disagreement(outcomes)
  if (differs !== undefined) {
    found.push(differs)
    expect(
      passed.map(({ requestLine }) => requestLine),
      differs,
    ).toEqual([])
    expect(parseAnswer(ours).status, differs).toBeGreaterThanOrEqual(400)
    return
  }
  if (passed.length === 0) return
  for (const { name, readings } of outcomes) {
    if (readings.length === 0) continue
    const pathOf = (target: string) =>
      (target.split('?')[0] ?? '').replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
    expect(
      passed.map(({ method, target }) => `${method} ${pathOf(target)}`),
      name,
    ).toEqual(readings.map(({ method, path }) => `${method} ${path}`))
    for (const [at, { body }] of readings.entries()) if (body !== undefined) expect(passed[at]?.body, name).toBe(body)
  }
}

const inGroups = (cases: readonly Case[]): [string, Case][] =>
  cases.map((given) => [
    JSON.stringify([given.request, ...(given.lines ?? []), given.host ?? '', given.rest ?? '']).slice(0, 110),
    given,
  ])

const dots = [
  '.',
  '..',
  '%2e',
  '%2e%2e',
  '.%2e',
  '%2E.',
  '%252e%252e',
  '..;',
  '..;a=b',
  '...',
  '%c0%ae%c0%ae',
  '. ',
  '..%00',
  '..%20',
  '..%09',
]
const slashes = [
  '/',
  '//',
  '%2f',
  '%2F',
  '%5c',
  '\\',
  '%252f',
  '/./',
  ';/',
  '/;/',
  '%00/',
  '%0a/',
  '#/',
  '?/',
  '%23/',
  '%3f/',
  '%e2%88%95',
]
const targets = [
  ...dots.flatMap((dot) => [`/a/${dot}/b`, `/${dot}/b`, `/a/${dot}`, `/a/${dot}?q`]),
  ...slashes.flatMap((slash) => [`/a${slash}b`, `/a${slash}../b`]),
  '/',
  '/a',
  '/a/',
  '/a?x=1',
  '/a?',
  '/a?x=/../b',
  '/a?x#y',
  '/a#b',
  '/a%20b',
  '/a+b',
  '/%61',
  '/%7e',
  '/~a',
  '/a%',
  '/a%2',
  '/a%zz',
  '/a;b',
  '/a,b',
  '/a:b',
  '/a@b',
  '/@evil.example/',
  '//evil.example/a',
  '///evil.example/a',
  '/\\evil.example/a',
  '/\\/evil.example',
  'http://evil.example/a',
  'http://www.example.com/a',
  'HTTP://WWW.EXAMPLE.COM/a',
  'https://www.example.com:443/a',
  'a',
  '*',
  '?a',
  '%2fa',
  '.',
  '@evil.example',
  'www.example.com:443',
  '/\u00e9',
  '/%e9',
  '/%c3%a9',
  '/a\tb',
  '/a"b',
  '/a<b>',
  '/a|b',
  '/a{b}',
  '/a^b',
  '/a`b',
  '/%00',
  '/%0d%0aX: y',
]

describe('targets', () => {
  it.each(inGroups(targets.map((target) => ({ request: `GET ${target} HTTP/1.1` }))))('%s', (_name, given) =>
    compare(given),
  )
})

describe('request lines', () => {
  const requests = [
    'GET  /a HTTP/1.1',
    'GET /a  HTTP/1.1',
    'GET\t/a\tHTTP/1.1',
    ' GET /a HTTP/1.1',
    'GET /a HTTP/1.1 ',
    'GET /a b HTTP/1.1',
    'GET /a HTTP/1.0',
    'GET /a HTTP/1.2',
    'GET /a HTTP/2.0',
    'GET /a HTTP/01.1',
    'GET /a http/1.1',
    'GET /a',
    'get /a HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'OPTIONS /a HTTP/1.1',
  ]
  it.each(inGroups(requests.map((request) => ({ request }))))('%s', (_name, given) => compare(given))
})

describe('hosts', () => {
  const hosts = [
    '',
    'Host:',
    'Host: ',
    'Host: WWW.EXAMPLE.COM',
    'Host: www.example.com:443',
    'Host: www.example.com:',
    'Host: www.example.com.',
    'Host: www.example.com:80:80',
    'Host: www.example.com@evil.example',
    'Host: evil.example#www.example.com',
    'Host: www.example.com/evil',
    'Host: www.example.com, evil.example',
    'Host: www.example.com evil.example',
    'Host: \twww.example.com',
    'Host : www.example.com',
    ' Host: www.example.com',
    'Host: www.example.com\r\nHost: evil.example',
    'Host: evil.example\r\nHost: www.example.com',
    'Host: www.example.com\r\n evil.example',
    'Host: www.example.com\nHost: evil.example',
    'Host: www.example.com\rHost: evil.example',
    'Host: www.example.com\r\nX-Forwarded-Host: evil.example',
    'Host: [::1]',
    'Host: evil.example',
  ]
  it.each(inGroups(hosts.map((host) => ({ request: 'GET /a HTTP/1.1', host }))))('%s', (_name, given) => compare(given))
  it.each(inGroups(hosts.slice(0, 6).map((host) => ({ request: 'GET http://evil.example/a HTTP/1.1', host }))))(
    'absolute: %s',
    (_name, given) => compare(given),
  )
})

describe('bodies', () => {
  const chunked = '5\r\nhello\r\n0\r\n\r\n'
  const lengths = [
    '5',
    ' 5',
    '5 ',
    '05',
    '+5',
    '-5',
    '0x5',
    '5,5',
    '5, 5',
    '5;5',
    '',
    '5.0',
    '1e1',
    '6',
    '4',
    '0',
    '٥',
  ].map((length) => ({
    lines: [`Content-Length: ${length}`],
    rest: 'hello',
  }))
  const codings = [
    'chunked',
    'Chunked',
    ' chunked',
    'chunked ',
    '\tchunked',
    '\x0bchunked',
    '"chunked"',
    'chunked;q=1',
    'chunked, identity',
    'identity, chunked',
    'identity',
    'gzip, chunked',
    'chunked, chunked',
    'xchunked',
    'chunke',
    ', chunked',
    '',
  ].flatMap((coding) => [
    { lines: [`Transfer-Encoding: ${coding}`], rest: chunked },
    { lines: [`Transfer-Encoding: ${coding}`, 'Content-Length: 5'], rest: chunked },
    { lines: ['Content-Length: 15', `Transfer-Encoding: ${coding}`], rest: chunked },
  ])
  const names = [
    'Transfer-Encoding ',
    'Transfer_Encoding',
    'Transfer-Encoding\t',
    'X: y\r\n Transfer-Encoding',
    'X: y\nTransfer-Encoding',
    'X: y\rTransfer-Encoding',
  ].map((name) => ({ lines: [`${name}: chunked`], rest: chunked }))
  const chunks = [
    '5\nhello\n0\n\n',
    '5\r\nhello0\r\n\r\n',
    '5\r\nhello\r0\r\n\r\n',
    '05\r\nhello\r\n0\r\n\r\n',
    '0x5\r\nhello\r\n0\r\n\r\n',
    '+5\r\nhello\r\n0\r\n\r\n',
    '5 \r\nhello\r\n0\r\n\r\n',
    ' 5\r\nhello\r\n0\r\n\r\n',
    '5;a=b\r\nhello\r\n0\r\n\r\n',
    '5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    '5;\nhello\r\n0\r\n\r\n',
    '5\r\r;abcd\r\n0\r\n\r\n',
    '100000005\r\nhello\r\n0\r\n\r\n',
    '5\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n',
    '5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n',
    '5\r\nhello\r\n00\r\n\r\n',
    '5\r\nhello\r\n-0\r\n\r\n',
    '0\r\n\r\n',
  ].map((rest) => ({ lines: ['Transfer-Encoding: chunked'], rest }))
  const both = [
    { lines: ['Content-Length: 5', 'Content-Length: 5'], rest: 'hello' },
    { lines: ['Content-Length: 5', 'Content-Length: 0'], rest: 'hello' },
    { lines: ['Content-Length: 0', 'Content-Length: 5'], rest: 'hello' },
    { lines: ['Content_Length: 5', 'Content-Length: 0'], rest: '' },
    { lines: ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], rest: chunked },
    { lines: ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], rest: chunked },
    { lines: ['Connection: content-length', 'Content-Length: 5'], rest: 'hello' },
    { lines: ['Upgrade: h2c', 'Connection: upgrade', 'Content-Length: 5'], rest: 'hello' },
    { lines: ['Expect: 100-continue', 'Content-Length: 5'], rest: 'hello' },
  ]
  const all = [...lengths, ...codings, ...names, ...chunks, ...both]
  const requests = all.flatMap((given) => [{ request: 'POST /a HTTP/1.1', ...given }])
  it.each(inGroups(requests))('%s', (_name, given) => compare(given))
  it.each(
    inGroups(
      ['GET', 'DELETE', 'OPTIONS'].flatMap((method) => [
        { request: `${method} /a HTTP/1.1`, lines: ['Content-Length: 5'], rest: 'hello' },
        { request: `${method} /a HTTP/1.1`, lines: ['Transfer-Encoding: chunked'], rest: chunked },
      ]),
    ),
  )('%s', (_name, given) => compare(given))
  it.each(
    inGroups([
      { request: 'POST /a HTTP/1.0', lines: ['Transfer-Encoding: chunked'], rest: chunked },
      { request: 'POST /a HTTP/1.0', lines: ['Content-Length: 5'], rest: 'hello' },
    ]),
  )('%s', (_name, given) => compare(given))
})

it('the servers did disagree, so that agreement means something', () => {
  expect(found.length).toBeGreaterThan(15)
})
