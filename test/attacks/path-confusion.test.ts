import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hostLine, ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { pathReaders } from '../support/path-readers.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

let api: Upstream
let elsewhere: Upstream
let world: ProxyWorld

beforeAll(async () => {
  api = await startUpstream()
  elsewhere = await startUpstream()
  world = await startProxy(`
    - { path: /public/**, upstream: '${api.origin}', credential: { kind: none }, anonymous: none }
    - { path: /admin/**, upstream: '${api.origin}' }
    - { path: /users/*, upstream: '${api.origin}', credential: { kind: none }, anonymous: none, strip_prefix: /users, add_prefix: /people }
`)
})

beforeEach(() => {
  api.seen.length = 0
})

afterAll(async () => {
  await world.close()
  await api.close()
  await elsewhere.close()
})

/** Asks as a visitor without a session, who may see /public and nothing else. */
const visit = (target: string) => sendRaw(world.port, rawRequest('GET', target, [hostLine, ...ownPage]))

describe('a visitor asks for what is not public', () => {
  /** Ways from an open place to a closed one, for any two names (G01 to G13). */
  const detours = (open: string, closed: string): [string, string][] => [
    ['G01 dot segments', `/${open}/../${closed}`],
    ['G01 dots behind a slash', `/${open}/x/../../${closed}`],
    ...[
      '%2e%2e',
      '.%2e',
      '%2E.',
      '%2E%2E',
      '%252e%252e',
      '..%00',
      '%c0%ae%c0%ae',
      '%ef%bc%8e%ef%bc%8e',
      '%u002e%u002e',
    ].map((dots): [string, string] => [`G02 ${dots}`, `/${open}/${dots}/${closed}`]),
    ...['..;', '.;', '..;x=1', '..%3b', '..%3Bx'].map((dots): [string, string] => [
      `G04 ${dots}`,
      `/${open}/${dots}/${closed}`,
    ]),
    ...['%2f', '%2F', '%5c', '\\', '%252f', '%ef%bc%8f', '%e2%81%84'].map((slash): [string, string] => [
      `G13 ${slash}`,
      `/${open}/..${slash}${closed}`,
    ]),
    ['G05 two slashes', `//${closed}`],
    ['G05 an escaped letter', `/%${closed.charCodeAt(0).toString(16)}${closed.slice(1)}`],
    ['G05 upper case', `/${closed.toUpperCase()}`],
    ['G05 a parameter', `/${closed};x`],
    ['G05 a trailing slash', `/${closed}/`],
    ['G08 the open path in the query', `/${closed}?x=/${open}/`],
    ['G09 a fragment', `/${closed}#/${open}`],
    ['G09 a fragment in the open path', `/${open}#/../${closed}`],
    ['G10 a broken escape', `/${closed}/%zz`],
    ['G12 absolute form', `http://www.example.com/${closed}`],
    ['G16 a longer name', `/${open}${closed}`],
    ['G16 a dot behind', `/${open}./../${closed}`],
    ['G16 a space behind', `/${closed}%20`],
  ]

  it.each(detours('public', 'admin'))('%s: %s', async (_, target) => {
    const { status } = await visit(target)
    expect([400, 401, 404, 421]).toContain(status)
    expect(api.seen).toHaveLength(0)
  })
})

describe('G12 another host in the target', () => {
  it.each([
    (port: number) => `//127.0.0.1:${port}/x`,
    (port: number) => `/\\127.0.0.1:${port}/x`,
    (port: number) => `\\\\127.0.0.1:${port}/x`,
    (port: number) => `/%5c%5c127.0.0.1:${port}`,
    (port: number) => `http://127.0.0.1:${port}/public/x`,
    (port: number) => `/public/@127.0.0.1:${port}/`,
    (port: number) => `@127.0.0.1:${port}/public`,
    (port: number) => `/public//127.0.0.1:${port}/`,
    (port: number) => `/users/..%2f..%2f127.0.0.1:${port}`,
  ])('%s', async (target) => {
    await visit(target(elsewhere.port))
    expect(elsewhere.accepted).toBe(0)
    for (const { values } of api.seen) expect(values('host')).toEqual([`127.0.0.1:${api.port}`])
  })
})

describe('G14 a name in the middle of the API’s path', () => {
  it('is forwarded as it came', async () => {
    await visit('/users/a%40b?x=1')
    expect(api.seen[0]?.target).toBe('/people/a%40b?x=1')
  })

  it.each(['..', '%2e%2e', '..%2f..%2finternal', '../../internal', 'a/b', '.', 'a%2fb'])(
    '%s leads nowhere',
    async (id) => {
      await visit(`/users/${id}`)
      expect(api.seen).toHaveLength(0)
    },
  )
})

describe('G22 whatever a visitor asks for', () => {
  const piece = fc.constantFrom(
    ...'public admin users . .. %2e %252e % %zz ; %3b \\ %5c / // %2f %252f # ? %23'.split(' '),
    ...'%3f @ : %00 %0d%0a %20 %ef%bc%8f %c0%af x X ~ *'.split(' '),
  )
  const target = fc.array(piece, { minLength: 1, maxLength: 7 }).map((pieces) => `/${pieces.join('')}`)

  it('the API is asked for open paths only, byte for byte, and by every reading of them', async () => {
    await fc.assert(
      fc.asyncProperty(target, async (text) => {
        api.seen.length = 0
        const { status } = await visit(text)
        if (status >= 400) {
          expect(api.seen).toHaveLength(0)
          return
        }
        const seen = api.seen[0]?.target ?? ''
        expect(seen).toBe(text.replace(/^\/users/, '/people'))
        for (const read of Object.values(pathReaders)) expect(['public', 'people']).toContain(read(seen)[0])
      }),
      { numRuns: 300 },
    )
    expect(elsewhere.accepted).toBe(0)
  })
})
