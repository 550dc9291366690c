import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { createMetrics } from '../../shared/observe/metrics.ts'
import { createObserve } from '../../shared/observe/observe.ts'
import { gatewayDialects } from '../../oauth-proxy/edges/gateway-dialects.ts'
import {
  ask,
  forwardAuthSettings,
  type Gateway,
  gateways,
  questionBytes,
  verifyPath,
} from '../support/gateway-question.ts'
import {
  browserAfter,
  cookieHeader,
  createInstallation,
  noCookies,
  sessionCookies,
  testKeys,
} from '../support/installation.ts'
import { ownPage, type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { openRaw, type RawAnswer, rawRequest, sendRaw } from '../support/raw-http.ts'

/** Attack: get a yes out of the place where gateways ask. Every test here expects a no, and the yes is tested first. */

const routes = `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: https://api.example.com
    - path: /open
      upstream: https://api.example.com
      credential: { kind: none }
      anonymous: none
`
const page = (cookies: string) => [...ownPage, `Cookie: ${cookies}`]

/** No bytes at all are a refusal too: Node cuts the connection of what it takes for no request. */
function expectRefusal(answer: RawAnswer): void {
  expect(answer.status === 0 || answer.status >= 400).toBe(true)
  expect(answer.header('authorization')).toBeUndefined()
  expect(answer.header('x-auth-subject')).toBeUndefined()
  expect(answer.header('set-cookie')).toBeUndefined()
  expect(Buffer.byteLength(answer.body)).toBeLessThan(1024)
}

describe.each(gateways)('asked by %s', (gateway: Gateway) => {
  const dialect = gatewayDialects[gateway]
  let world: ProxyWorld
  beforeAll(async () => {
    world = await startProxy(`${routes}${forwardAuthSettings(gateway)}`)
  })
  afterAll(() => world.close())
  const orders = (lines: readonly string[]) => ask(world, gateway, { target: '/api/orders', lines })

  it('says yes to the real thing', async () => {
    expect((await orders(page(world.cookies()))).status).toBe(200)
  })

  describe('J01 with a cookie that is not the one we made', () => {
    const access = (cookies: string) => /__Host-Http-th-at=([^;]+)/.exec(cookies)?.[1] ?? ''
    const withAccess = (value: string) => orders(page(`__Host-Http-th-at=${value}`))

    it('changed anywhere', async () => {
      const value = access(world.cookies())
      for (let at = 0; at < value.length; at += 37) {
        expectRefusal(await withAccess(`${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`))
      }
    })
    it('cut anywhere', async () => {
      const value = access(world.cookies())
      for (let at = 0; at < value.length; at += 53) expectRefusal(await withAccess(value.slice(0, at)))
    })
    it.each(['', '.', '2.', '9.AAAA', 'null', 'undefined', '""', '%00', '=', '{}', 'A'.repeat(8000)])(
      '%s',
      async (value) => {
        expectRefusal(await withAccess(value))
      },
    )
    it('a cookie of ours for another purpose', async () => {
      const cookies = world.cookies()
      for (const [, value = ''] of cookies.matchAll(/__Host-Http-th-(?:rt|id)=([^;]+)/g)) {
        expectRefusal(await withAccess(value))
      }
    })
    it('a cookie sealed with another key, for another client, another issuer or another origin', async () => {
      const strangers = [
        createInstallation({ keys: fixedKeys(createKeyRing(testKeys('another ring'))) }),
        createInstallation({ binding: { clientId: 'another-app' } }),
        createInstallation({ binding: { issuer: 'https://another.example.com' } }),
        createInstallation({ binding: { publicOrigin: 'https://another.example.com' } }),
      ]
      for (const { writer } of strangers) {
        const cookies = cookieHeader(browserAfter(writer.setSession(sessionCookies(), noCookies)))
        expectRefusal(await orders(page(cookies)))
      }
    })
    it('the same cookie twice, in one line or in two', async () => {
      const cookies = world.cookies()
      expectRefusal(await orders(page(`${cookies}; ${cookies}`)))
      expectRefusal(await orders([...page(cookies), `Cookie: ${cookies}`]))
    })
    it('a session that was ended elsewhere', async () => {
      const cookies = world.cookies({ sessionId: 'EndedElsewhere0000000A' })
      await world.store.end({ kind: 'session', sessionId: 'EndedElsewhere0000000A', ttlSeconds: 60 })
      expectRefusal(await orders(page(cookies)))
    })
  })

  describe('J17 as a health check', () => {
    const agents = ['GoogleHC/1.0', 'ELB-HealthChecker/2.0', 'kube-probe/1.34', 'HealthChecker', 'curl/8']
    const targets = [
      '/api/orders',
      '/ping',
      '/ready',
      '/health',
      '/healthz',
      '/livez',
      '/readyz',
      '/metrics',
      '/oauth2/auth',
    ]
    it.each(targets)('%s', async (target) => {
      for (const agent of agents) {
        const lines = [`User-Agent: ${agent}`, 'X-Health-Check: 1', 'Health-Check: 1']
        expectRefusal(await ask(world, gateway, { target, lines }))
        expectRefusal(await ask(world, gateway, { method: 'HEAD', target, lines: [...ownPage, ...lines] }))
      }
    })
  })

  it('L13 with methods that a client makes up: all of them are one time series', async () => {
    const metrics = createMetrics({ processMetrics: false })
    const observe = createObserve({ clock: world.clock, sinks: [metrics.sink] })
    const seriesAfter = async (methods: readonly string[]) => {
      world.events.length = 0
      for (const method of methods) expectRefusal(await ask(world, gateway, { method, target: '/api/orders' }))
      for (const { name, fields } of world.events) observe.emit(name, fields)
      return (await metrics.render()).text.split('\n').length
    }
    const made = Array.from({ length: 20 }, (_, at) => `GET${String.fromCharCode(65 + at)}`)
    const ofOne = await seriesAfter(made.slice(0, 1))
    expect(await seriesAfter(made)).toBe(ofOne)
  })

  describe('H09 with a token of its own', () => {
    it.each(['Authorization: Bearer junk', 'Authorization: Basic YTpi', 'X-Auth-Subject: admin'])(
      '%s',
      async (line) => {
        expectRefusal(await orders([...ownPage, line]))
      },
    )
    it('in the query', async () => {
      expectRefusal(await ask(world, gateway, { target: '/api/orders?access_token=junk', lines: ownPage }))
    })
  })

  describe('J02 J12 with a question that has no single meaning', () => {
    const targets = [
      '',
      'api/orders',
      '://',
      'https://www.example.com/api/orders',
      '//www.example.com/api/orders',
      '/%zz',
      '/api/%2e%2e/open',
      '/api/../open',
      '/api/..;/open',
      '/api/%252e%252e/open',
      '/api\\..\\open',
      '/open#/api',
      '/open/../api/orders',
      '/op\ten',
      '/open x',
      '/open%00',
      '/\u00e9',
      `/api/${'a'.repeat(20_000)}`,
    ]
    it.each(targets.map((target) => [target.slice(0, 40), target]))('the target %s', async (_shown, target) => {
      expectRefusal(await ask(world, gateway, { target, lines: page(world.cookies()) }))
    })
    it.each(['', 'get', 'FOO', 'GET, POST', 'CONNECT', 'TRACE', 'TRACK', 'DELETE', 'G\tET'])(
      'the method "%s"',
      async (method) => {
        expectRefusal(await ask(world, gateway, { method, target: '/api/orders', lines: page(world.cookies()) }))
      },
    )
    it.each([
      '',
      'evil.example',
      'www.example.com.evil.example',
      'www.example.com:8443',
      'www.example.com@evil.example',
      'www.example.com, evil.example',
      '*',
    ])('the host "%s"', async (host) => {
      expectRefusal(await ask(world, gateway, { host, target: '/api/orders', lines: page(world.cookies()) }))
    })

    const fields = [dialect.method, dialect.host, dialect.target].filter((field) => field.startsWith('x-'))
    const bytes = () => questionBytes(gateway, { target: '/open', lines: page(world.cookies()) })
    it('every header of the dialect left out, emptied or said twice', async () => {
      for (const field of fields) {
        const line = new RegExp(`${field}: ([^\\r]*)\\r\\n`)
        expectRefusal(await sendRaw(world.port, bytes().replace(line, '')))
        expectRefusal(await sendRaw(world.port, bytes().replace(line, `${field}:\r\n`)))
        expectRefusal(await sendRaw(world.port, bytes().replace(line, '$&$&')))
        expectRefusal(await sendRaw(world.port, bytes().replace(line, `$&${field.toUpperCase()}: /api/orders\r\n`)))
        expectRefusal(
          await sendRaw(
            world.port,
            bytes().replace(line, (whole) => whole.replaceAll('-', '_')),
          ),
        )
      }
    })
    it('the question of every other kind of gateway', async () => {
      for (const other of gateways) {
        const theirs = gatewayDialects[other]
        if (theirs.method === dialect.method && theirs.target === dialect.target) continue
        expectRefusal(await sendRaw(world.port, questionBytes(other, { target: '/open', lines: ownPage })))
      }
    })
    it('asked with another method, at a path below, or with a query', async () => {
      if (dialect.target === 'behind_the_path') return
      const question = bytes()
      for (const method of ['POST', 'HEAD', 'PUT', 'OPTIONS']) {
        const answer = await sendRaw(world.port, question.replace(/^GET/, method))
        expect(answer.status).toBeGreaterThanOrEqual(400)
      }
      for (const path of [
        `${verifyPath}/`,
        `${verifyPath}/open`,
        `${verifyPath}?uri=/open`,
        `${verifyPath}/../verify`,
      ]) {
        expectRefusal(await sendRaw(world.port, question.replace(verifyPath, path)))
      }
    })
    it('J13 with a body, of whatever framing', async () => {
      const question = bytes()
      const framings = [
        ['Content-Length: 5', 'hello'],
        ['Transfer-Encoding: chunked', '0\r\n\r\n'],
      ] as const
      for (const [line, body] of framings) {
        const plain = question.replace('Content-Length: 0\r\n', '')
        expectRefusal(await sendRaw(world.port, `${plain.slice(0, -2)}${line}\r\n\r\n${body}`))
      }
    })
  })

  it('J06 is told 401 or 403 alone, never a redirect, whatever the browser accepts', async () => {
    for (const accept of ['text/html', '*/*', 'application/json']) {
      const answer = await orders([...ownPage, `Accept: ${accept}`])
      expect(answer.status).toBe(401)
      expect(answer.header('location')).toBeUndefined()
    }
  })

  it('J14 survives gateways that hang up in the middle, and answers the next one', async () => {
    const question = questionBytes(gateway, { target: '/api/orders', lines: page(world.cookies()) })
    for (let cut = 1; cut < question.length; cut += 97) {
      const connection = await openRaw(world.port)
      connection.write(question.slice(0, cut))
      connection.close()
    }
    expectRefusal(await sendRaw(world.port, rawRequest('CONNECT', 'www.example.com:443', ['Host: www.example.com'])))
    expect((await orders(page(world.cookies()))).status).toBe(200)
  })

  it('J01 only one kind of question in a thousand is answered with yes', async () => {
    const value = fc.constantFrom(
      '',
      '/open',
      '/api/orders',
      'GET',
      'POST',
      'www.example.com',
      'evil.example',
      '/',
      '*',
      '//',
    )
    const name = fc.constantFrom(
      ...['method', 'host', 'uri', 'url', 'proto', 'for'].flatMap((part) => [
        `x-original-${part}`,
        `x-forwarded-${part}`,
      ]),
    )
    const question = fc.record({
      method: fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS'),
      path: fc.constantFrom(verifyPath, `${verifyPath}/open`, `${verifyPath}/api/orders`, `${verifyPath}//open`),
      host: value,
      lines: fc.array(fc.tuple(name, value), { maxLength: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(question, async ({ method, path, host, lines }) => {
        const answer = await sendRaw(
          world.port,
          rawRequest(method, path, [`Host: ${host}`, ...ownPage, ...lines.map(([field, text]) => `${field}: ${text}`)]),
        )
        if (answer.status !== 200) {
          expect(answer.status).toBeGreaterThanOrEqual(400)
          return
        }
        // The one open page, asked for in the words of this gateway and no other.
        const said = (field: string) => lines.filter(([other]) => other === field).map(([, text]) => text)
        if (dialect.target === 'behind_the_path') {
          expect(['GET', 'HEAD']).toContain(method)
          expect([path, host]).toEqual([`${verifyPath}/open`, 'www.example.com'])
        } else {
          expect(said(dialect.target)).toEqual(['/open'])
          expect(said(dialect.host)).toEqual(['www.example.com'])
          expect(said(dialect.method)).toEqual(['GET'])
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('J09 whatever a policy names', () => {
  async function refusalFor(acr: readonly string[]): Promise<RawAnswer> {
    const world = await startProxy(`
    - path: /api/**
      upstream: https://api.example.com
      require: { acr: ${JSON.stringify(acr)} }
${forwardAuthSettings('nginx')}`)
    const answer = await ask(world, 'nginx', { target: '/api/orders', lines: page(world.cookies()) })
    await world.close()
    expectRefusal(answer)
    expect(JSON.parse(answer.body)).toMatchObject({ error_code: 'insufficient_user_authentication' })
    return answer
  }
  it('the answer stays below a kilobyte', async () => {
    await refusalFor(Array.from({ length: 60 }, (_, at) => `urn:example:level-${at}`))
  })
  it('the JSON in a header is ASCII, and the same JSON', async () => {
    const answer = await refusalFor(['urn:example:\u00e9', 'urn:example:\u2603'])
    expect(answer.lines.every((line) => /^[\x20-\x7e]*$/.test(line))).toBe(true)
    expect(JSON.parse(answer.header('token-handler-body') ?? '')).toMatchObject({
      acr_values: 'urn:example:\u00e9 urn:example:\u2603',
    })
  })
})

describe('H12 facts that no header can hold', () => {
  it.each(['al\u00efce', 'a\r\nX-Auth-Acr: high', 'a\0b', ' alice', '\u2603'])(
    'the subject %j is no identity',
    async (subject) => {
      const world = await startProxy(`${routes}${forwardAuthSettings('caddy')}`)
      const answer = await ask(world, 'caddy', { target: '/api/orders', lines: page(world.cookies({ subject })) })
      expect((await ask(world, 'caddy', { target: '/open', lines: ownPage })).status).toBe(200)
      await world.close()
      expectRefusal(answer)
      expect(answer.status).toBe(502)
    },
  )
})

describe('H06 J10 who is trusted', () => {
  it('nobody by default: the settings are refused without peers', async () => {
    await expect(
      startProxy(`${routes}
  forward_auth: { gateway: traefik }
`),
    ).rejects.toThrow()
  })
  it.each(['0.0.0.0/0', '::/0'])('%s is refused', async (range) => {
    await expect(
      startProxy(`${routes}
  forward_auth: { gateway: traefik, peers: ['${range}'], secret: only-the-gateway-knows }
`),
    ).rejects.toThrow()
  })
})
