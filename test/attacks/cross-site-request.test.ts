import { METHODS } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hostLine, type ProxyWorld, publicOrigin, siblingOrigin, startProxy } from '../support/proxy-world.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let world: ProxyWorld
let tokens: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  const routes = `
    - { path: /api/**, methods: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS], upstream: '${api.origin}' }
    - { path: /files/**, upstream: '${api.origin}', headerless: [download, event_stream] }
`
  world = await startProxy(routes)
  tokens = await startProxy(routes, 'csrf: { token: required }')
})

beforeEach(() => api.reset())

afterAll(async () => {
  await world.close()
  await tokens.close()
  await api.close()
})

/** A request with the user's cookies that some page made the browser send. */
const made = (method: string, target: string, lines: readonly string[], body?: string) =>
  sendRaw(world.port, rawRequest(method, target, [hostLine, `Cookie: ${world.cookies()}`, ...lines], body))

const foreignOrigins = [
  'https://evil.example',
  'null',
  `${publicOrigin}.evil.example`,
  'https://wwwXexample.com',
  'http://www.example.com',
  `${publicOrigin}:444`,
  publicOrigin.toUpperCase(),
  `${publicOrigin}/`,
]

describe('what a foreign page can make a browser send', () => {
  it.each<[string, string, readonly string[]]>([
    [
      'a form',
      'POST',
      [
        'Sec-Fetch-Site: cross-site',
        'Sec-Fetch-Mode: navigate',
        'Sec-Fetch-Dest: document',
        'Content-Type: text/plain',
        'Origin: https://evil.example',
      ],
    ],
    [
      'BBA-12 a form of a sibling host',
      'POST',
      [
        'Sec-Fetch-Site: same-site',
        'Sec-Fetch-Mode: navigate',
        'Sec-Fetch-Dest: document',
        'Origin: https://blog.example.com',
      ],
    ],
    [
      'fetch no-cors',
      'POST',
      [
        'Sec-Fetch-Site: cross-site',
        'Sec-Fetch-Mode: no-cors',
        'Sec-Fetch-Dest: empty',
        'Origin: https://evil.example',
      ],
    ],
    ['F09 an image', 'GET', ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image']],
    ['F09 a script', 'GET', ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: script']],
    [
      'F09 a script of a sibling host',
      'GET',
      ['Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: script'],
    ],
    ['F09 a frame', 'GET', ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe']],
    ['a link', 'GET', ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document']],
    ['the address bar', 'GET', ['Sec-Fetch-Site: none', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document']],
    ['F02 nothing at all, by POST', 'POST', []],
    ['F10 nothing at all, by GET', 'GET', []],
    ['F02 a sandboxed frame', 'POST', ['Origin: null']],
  ])('%s: nothing happens', async (_, method, lines) => {
    for (const target of ['/api/x', '/files/x']) {
      const { status } = await made(method, target, lines)
      expect([403, 405]).toContain(status)
    }
    expect(api.seen).toHaveLength(0)
  })

  it.each(foreignOrigins)('F01 with the header and the origin %s', async (origin) => {
    for (const site of [[], ['Sec-Fetch-Site: same-site'], ['Sec-Fetch-Site: cross-site']]) {
      const answered = await made('POST', '/api/x', ['token-handler-version: 1', `Origin: ${origin}`, ...site])
      expect(answered.status).toBe(403)
      expect(answered.header('access-control-allow-origin')).toBeUndefined()
      expect(answered.header('vary')).toBe('Origin')
    }
    expect(api.seen).toHaveLength(0)
  })
})

describe('F04 no method is safe but the three that are', () => {
  it.each(METHODS.filter((method) => !['GET', 'HEAD', 'OPTIONS', 'CONNECT'].includes(method)))('%s', async (method) => {
    const { status } = await made(method, '/api/x', ['token-handler-version: 1'])
    expect([403, 405]).toContain(status)
    expect(api.seen).toHaveLength(0)
  })
})

it('F05 a method in a header is no method', async () => {
  await made('GET', '/api/x', [
    'token-handler-version: 1',
    'X-HTTP-Method-Override: DELETE',
    'X-Method-Override: DELETE',
    'X-HTTP-Method: DELETE',
  ])
  expect(api.seen[0]?.method).toBe('GET')
  expect(api.seen[0]?.lines.join()).not.toContain('DELETE')
})

describe('FM-5 F12 F13 a SPA on a listed sibling host', () => {
  const preflight = (origin: string, method: string) =>
    made('OPTIONS', '/api/x', [
      `Origin: ${origin}`,
      `Access-Control-Request-Method: ${method}`,
      'Access-Control-Request-Headers: x-evil, token-handler-version',
    ])

  it('its preflight is answered by us, with our headers only', async () => {
    const answered = await preflight(siblingOrigin, 'DELETE')
    expect(answered.status).toBe(204)
    expect(answered.header('access-control-allow-origin')).toBe(siblingOrigin)
    expect(answered.header('access-control-allow-headers')).not.toContain('x-evil')
    expect(api.seen).toHaveLength(0)
  })

  it.each(foreignOrigins)('the preflight of %s is not', async (origin) => {
    const answered = await preflight(origin, 'DELETE')
    expect([answered.status, answered.header('access-control-allow-origin')]).toEqual([403, undefined])
    expect(api.seen).toHaveLength(0)
  })

  it('F13 its answer names it whatever the API says, and errors do too', async () => {
    api.behave(answer(okBytes('ok', ['Access-Control-Allow-Origin: *', 'Vary: Accept'])))
    const lines = ['token-handler-version: 1', `Origin: ${siblingOrigin}`, 'Sec-Fetch-Site: same-site']
    const allowed = await made('GET', '/api/x', lines)
    expect(allowed.header('access-control-allow-origin')).toBe(siblingOrigin)
    expect(allowed.header('vary')).toBe('Accept, Cookie, Origin')
    const refused = await made('GET', '/nowhere', lines)
    expect([refused.status, refused.header('access-control-allow-origin')]).toEqual([404, siblingOrigin])
  })

  it('F12 an OPTIONS that is no preflight reaches the API like any other call', async () => {
    await made('OPTIONS', '/api/x', ['token-handler-version: 1', 'X-User: admin'])
    expect(api.seen[0]?.values('x-user')).toEqual([])
    expect(api.seen[0]?.values('cookie')).toEqual([])
  })
})

describe('F08 csrf.token: required', () => {
  const call = (token: string | undefined) =>
    tokens.call('POST', '/api/x', {
      body: 'a',
      more: [`Origin: ${publicOrigin}`, ...(token === undefined ? [] : [`X-CSRF-Token: ${token}`])],
    })

  it('the token of this session passes', async () => {
    expect((await call(tokens.csrfToken())).status).toBe(200)
    expect(api.seen[0]?.values('x-csrf-token')).toEqual([])
  })

  it.each<[string, () => string | undefined]>([
    ['none', () => undefined],
    ['an empty one', () => ''],
    ['that of another session', () => tokens.csrfToken('EEECAwQFBgcICQoLDA0ODw')],
    ['one character less', () => tokens.csrfToken().slice(1)],
    ['one character more', () => `${tokens.csrfToken()}A`],
    ['a cookie value', () => tokens.cookies().slice(20, 63)],
  ])('%s does not', async (_, token) => {
    const answered = await call(token())
    expect([answered.status, answered.json().error_code]).toEqual([403, 'csrf_token_invalid'])
    expect(api.seen).toHaveLength(0)
  })

  it('is not asked of a visitor, who has none', async () => {
    const answered = await tokens.call('POST', '/api/x', { cookies: undefined, more: [`Origin: ${publicOrigin}`] })
    expect([answered.status, answered.json().error_code]).toEqual([401, 'session_missing'])
  })

  it('is not asked of a download, which could not carry it and has a stricter guard', async () => {
    const cookie = `Cookie: ${tokens.cookies()}`
    const download = (site: string) => {
      const lines = [
        hostLine,
        cookie,
        `Sec-Fetch-Site: ${site}`,
        'Sec-Fetch-Mode: navigate',
        'Sec-Fetch-Dest: document',
      ]
      return sendRaw(tokens.port, rawRequest('GET', '/files/x', lines))
    }
    expect((await download('same-origin')).status).toBe(200)
    expect((await download('same-site')).status).toBe(403)
  })
})

it.each(['attacker.example', 'www.example.com.attacker.example', '127.0.0.1', 'localhost'])(
  'F14 Host: %s',
  async (host) => {
    const answered = await sendRaw(
      world.port,
      rawRequest('GET', '/api/x', [`Host: ${host}`, `Cookie: ${world.cookies()}`, 'token-handler-version: 1']),
    )
    expect(answered.status).toBe(421)
    expect(api.seen).toHaveLength(0)
  },
)
