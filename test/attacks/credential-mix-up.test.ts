import type { Socket } from 'node:net'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import type { Page } from '../support/page.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'
import { demoUsers, tokenExchangeGrant } from '../../spa-example/openid-provider.ts'

/** Attack: reach an API with the token of another user, or with a token meant for another API. */

const audiences = {
  base: 'https://api.example.com',
  orders: 'https://orders.example.com',
  payments: 'https://payments.example.com',
}
const subjects = Object.fromEntries(demoUsers.map(({ username, claims }) => [username, claims.sub]))

const empty = (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
const refuse = (socket: Socket) =>
  void socket.write('HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer error="invalid_token"\r\nContent-Length: 0\r\n\r\n')
/** TOKEN_HANDLER_LONG=1 goes on for about a minute. */
const rounds = process.env['TOKEN_HANDLER_LONG'] === '1' ? 2000 : 40

let api: Upstream
let world: ProviderWorld
const pages: Record<string, Page> = {}

beforeAll(async () => {
  api = await startUpstream()
  world = await startProviderWorld({
    metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials', tokenExchangeGrant] },
    provider: {
      resources: [
        { identifier: audiences.base, scope: 'base' },
        { identifier: audiences.orders, scope: 'orders' },
        { identifier: audiences.payments, scope: 'payments' },
      ],
    },
    settings: `
agent: { rate_limits: { refresh: { requests: 100000 } } }
proxy:
  routes:
    - { path: /api/orders/**, upstream: '${api.origin}', credential: { kind: exchange, resource: '${audiences.orders}' } }
    - { path: /api/payments/**, upstream: '${api.origin}', credential: { kind: exchange, audience: '${audiences.payments}', scope: payments } }
    - { path: /api/plain/**, upstream: '${api.origin}' }
    - { path: /api/wrong/**, upstream: '${api.origin}', credential: { kind: exchange, audience: nobody-knows-it } }
    - { path: /api/key, upstream: '${api.origin}', credential: { kind: api_key, value: key-of-the-application } }
    - { path: /api/own, upstream: '${api.origin}', credential: { kind: client_credentials, resource: '${audiences.orders}' } }
    - { path: /api/none, upstream: '${api.origin}', credential: { kind: none } }
    - path: /api/chat
      upstream: ${api.origin}
      credential: { kind: exchange, resource: '${audiences.orders}' }
      websocket: true
      headerless: [websocket]
    - path: /api/catalogue
      upstream: ${api.origin}
      credential: { kind: none }
      anonymous: client_credentials
      anonymous_token: { resource: '${audiences.orders}', scope: orders }
`,
  })
  for (const name of ['alice', 'bob']) {
    const page = world.browser()
    await page.signIn(name)
    pages[name] = page
  }
})
// An API that echoed what it got would hand the token to the page.
beforeEach(() => api.behave(empty))
afterAll(async () => {
  await world?.close()
  await api?.close()
})

/** Whom the API took the call for, and for whom the token was meant. */
function bearerOf(target: string) {
  const seen = api.seen.filter((request) => request.target === target)
  expect(seen).toHaveLength(1)
  const [value, ...more] = seen[0]?.values('authorization') ?? []
  expect(more).toEqual([])
  const { sub, aud, client_id } = decodeJwt((value ?? '').replace('Bearer ', ''))
  return { sub, aud, client: client_id }
}

describe('each API sees its own token', () => {
  it.each([
    ['orders', audiences.orders],
    ['payments', audiences.payments],
    ['plain', audiences.base],
  ])('%s', async (name, audience) => {
    const target = `/api/${name}/first`
    expect((await pages['alice']?.call('GET', target))?.status).toBe(200)
    expect(bearerOf(target)).toMatchObject({ sub: subjects['alice'], aud: audience })
  })

  it('a visitor brings the token of the application, a user of the same route none', async () => {
    expect((await world.browser().call('GET', '/api/catalogue')).status).toBe(200)
    expect(bearerOf('/api/catalogue')).toMatchObject({ aud: audiences.orders, client: 'spa' })
    expect((await pages['alice']?.call('GET', '/api/catalogue?as=alice'))?.status).toBe(200)
    expect(api.seen.at(-1)?.values('authorization')).toEqual([])
  })

  it.each(['/api/key', '/api/own', '/api/none'])(
    'what %s gives to every user alike it gives to no visitor, since nobody said so',
    async (target) => {
      const answer = await world.browser().call('GET', target)
      expect([answer.status, answer.json()['error_code']]).toEqual([401, 'session_missing'])
      expect((await pages['alice']?.call('GET', target))?.status).toBe(200)
      expect(api.seen.filter((request) => request.target === target)).toHaveLength(1)
    },
  )

  it('an API that the authorization server does not know gets nothing, and nobody is signed out', async () => {
    const before = api.seen.length
    const answer = await pages['alice']?.call('GET', '/api/wrong/x')
    expect(answer?.status).toBe(502)
    expect(answer?.json()['error_code']).toBe('token_exchange_failed')
    expect(answer?.setCookies).toEqual([])
    expect(world.told('request.refused').at(-1)?.fields).toMatchObject({
      error_code: 'token_exchange_failed',
      provider_error: 'invalid_target',
    })
    expect(api.seen.length).toBe(before)
    expect((await pages['alice']?.call('GET', '/api/plain/after'))?.status).toBe(200)
  })

  it('a token is obtained once for many calls, and again when the API refuses it', async () => {
    const asked = () => world.tap.grants(tokenExchangeGrant).length
    const page = world.browser()
    await page.signIn('bob')
    const before = asked()
    await Promise.all(Array.from({ length: 12 }, (_, at) => page.call('GET', `/api/orders/many-${at}`)))
    expect(asked()).toBe(before + 1)
    world.clock.pass(10)
    api.behave(refuse)
    const refused = await page.call('GET', '/api/orders/refused')
    expect(refused.json()['error_code']).toBe('upstream_unauthorized')
    api.behave(empty)
    await page.call('GET', '/api/orders/again')
    expect(asked()).toBe(before + 2)
  })

  it('also when it refuses the handshake of a WebSocket', async () => {
    const asked = () => world.tap.grants(tokenExchangeGrant).length
    const page = world.browser()
    await page.signIn('bob')
    const { hostname, port, origin, host } = new URL(world.publicOrigin)
    const openSocket = async () => {
      const lines = [
        `Host: ${host}`,
        `Origin: ${origin}`,
        `Cookie: ${page.jar.header(hostname, '/api/chat', 'same-site') ?? ''}`,
      ]
      const handshake = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13']
      const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
      return sendRaw(Number(port), rawRequest('GET', '/api/chat', [...lines, ...handshake, key]))
    }
    api.behave(refuse)
    await openSocket()
    const before = asked()
    world.clock.pass(10)
    expect((await openSocket()).json()['error_code']).toBe('upstream_unauthorized')
    expect(asked()).toBe(before)
    await openSocket()
    expect(asked()).toBe(before + 1)
  })
})

describe('what an API has against a credential of the operator is not put to the user', () => {
  const challenging = (challenge: string) => (socket: Socket) =>
    void socket.write(`HTTP/1.1 401 No\r\nWWW-Authenticate: ${challenge}\r\nContent-Length: 0\r\n\r\n`)
  const moreScope = 'Bearer error="insufficient_scope", scope="orders:write"'

  it.each([
    ['a key', '/api/key', 'Bearer error="invalid_token"', 502, { error_code: 'upstream_credential_refused' }],
    ['a key, for which no sign-in helps', '/api/key', moreScope, 502, { error_code: 'upstream_credential_refused' }],
    [
      "the application's token, with too little scope",
      '/api/own',
      moreScope,
      502,
      { error_code: 'upstream_credential_refused' },
    ],
    ['nothing', '/api/none', 'Bearer', 401, { error_code: 'upstream_unauthorized' }],
  ])('%s', async (_, target, challenge, status, body) => {
    api.behave(challenging(challenge))
    const answer = await pages['alice']?.call('GET', target)
    expect(answer?.status).toBe(status)
    expect(answer?.json()).toMatchObject(body)
    expect(answer?.json()).not.toHaveProperty('scope')
    expect(answer?.setCookies).toEqual([])
  })

  it("the application's token is another one the next time", async () => {
    await pages['alice']?.call('GET', '/api/own')
    const asked = () => world.tap.grants('client_credentials').length
    const before = asked()
    api.behave(refuse)
    expect((await pages['alice']?.call('GET', '/api/own'))?.json()['error_code']).toBe('upstream_unauthorized')
    api.behave(empty)
    expect((await pages['alice']?.call('GET', '/api/own'))?.status).toBe(200)
    expect(asked()).toBe(before + 1)
  })

  it('a visitor may still hear that a sign-in is what is missing', async () => {
    api.behave(challenging('Bearer error="insufficient_user_authentication"'))
    const answer = await world.browser().call('GET', '/api/catalogue')
    expect(answer.json()['error_code']).toBe('insufficient_user_authentication')
  })
})

describe('C05 two users, two APIs, exchange and refresh mixed at load', () => {
  it("the subject of every bearer is the cookie's user, and its audience the API's", async () => {
    const expected = new Map<string, { sub: string | undefined; aud: string }>()
    let number = 0
    let refreshes = 0

    async function work(user: string, worker: number): Promise<void> {
      const page = pages[user]
      for (let round = 0; round < rounds; round += 1) {
        if (worker === 0 && round % 5 === 4) {
          expect((await page?.call('POST', '/oauth-agent/refresh'))?.status).toBe(200)
          refreshes += 1
          continue
        }
        const name = round % 2 === worker % 2 ? 'orders' : 'payments'
        const target = `/api/${name}/load-${(number += 1)}`
        expected.set(target, { sub: subjects[user], aud: audiences[name] })
        const answer = await page?.call('GET', target)
        expect(answer?.status, answer?.text).toBe(200)
      }
    }
    await Promise.all(['alice', 'bob'].flatMap((user) => [0, 1, 2, 3].map((worker) => work(user, worker))))

    expect(refreshes).toBeGreaterThan(0)
    const seen = api.seen.filter(({ target }) => expected.has(target))
    expect(seen.length).toBe(expected.size)
    for (const request of seen) {
      const values = request.values('authorization')
      expect(values).toHaveLength(1)
      const { sub, aud } = decodeJwt((values[0] ?? '').replace('Bearer ', ''))
      expect({ sub, aud }).toEqual(expected.get(request.target))
    }
  }, 180_000)
})
