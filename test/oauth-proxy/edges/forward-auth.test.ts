import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ask,
  forwardAuthSettings,
  type Gateway,
  gateways,
  questionBytes,
  verifyPath,
} from '../../support/gateway-question.ts'
import { ownPage, type ProxyWorld, startProxy } from '../../support/proxy-world.ts'
import { letGo, openRaw, parseAnswer, rawRequest, sendRaw } from '../../support/raw-http.ts'

const routes = `
    - path: /api/**
      methods: [GET, HEAD, POST]
      upstream: https://api.example.com
      forward_cookies: [theme]
    - path: /pay/**
      methods: [POST]
      upstream: https://api.example.com
      require: { acr: ['urn:example:mfa'], max_age: 60 }
    - path: /partner/**
      upstream: https://partner.example.com
      credential: { kind: api_key, value: key-of-the-partner }
    - path: /offers
      upstream: https://partner.example.com
      credential: { kind: api_key, value: key-of-the-partner }
      anonymous: none
    - path: /catalogue
      upstream: https://api.example.com
      credential: { kind: none }
      anonymous: none
    - path: /socket
      upstream: https://api.example.com
      websocket: true
      headerless: [websocket]
    - path: /limited
      upstream: https://api.example.com
      rate_limit: { requests: 2, window_seconds: 60, by: address }
`
const page = (world: ProxyWorld, cookies = world.cookies()) => [...ownPage, `Cookie: ${cookies}`]

describe.each(gateways)('asked by %s', (gateway: Gateway) => {
  let world: ProxyWorld
  beforeAll(async () => {
    world = await startProxy(`${routes}${forwardAuthSettings(gateway)}`)
  })
  afterAll(() => world.close())

  it('lets a request with a session pass, with its token and every identity header', async () => {
    const cookies = `theme=dark; ${world.cookies({ subject: 'alice', scope: 'orders', acr: 'urn:example:pwd', authTime: 1_799_999_000 })}; lang=en`
    const answer = await ask(world, gateway, { target: '/api/orders?page=2', lines: page(world, cookies) })
    expect(answer.status).toBe(200)
    expect(answer.body).toBe('')
    expect(answer.header('authorization')).toMatch(/^Bearer [\w.-]{1194}$/)
    const expected = {
      'x-auth-subject': 'alice',
      'x-auth-scope': 'orders',
      'x-auth-acr': 'urn:example:pwd',
      'x-auth-time': '1799999000',
      cookie: 'theme=dark',
      'cache-control': 'no-store',
    }
    for (const [name, value] of Object.entries(expected)) expect(answer.header(name), name).toBe(value)
  })

  it('H04 sends every identity header, empty where nothing is known', async () => {
    const visitor = await ask(world, gateway, { target: '/catalogue', lines: ownPage })
    expect(visitor.status).toBe(200)
    for (const name of ['authorization', 'cookie', 'x-auth-subject', 'x-auth-scope', 'x-auth-acr', 'x-auth-time']) {
      expect(visitor.header(name), name).toBe('')
    }
  })

  it('gives a fixed key in its own header, and no token with it', async () => {
    const answer = await ask(world, gateway, { target: '/partner/x', lines: page(world) })
    expect(answer.status).toBe(200)
    expect(answer.header('x-api-key')).toBe('key-of-the-partner')
    expect(answer.header('authorization')).toBe('')
  })

  it('H08 leaves a visitor no key of their own, where the key is for users only', async () => {
    const answer = await ask(world, gateway, { target: '/offers', lines: [...ownPage, 'X-Api-Key: of-the-visitor'] })
    expect([answer.status, answer.header('x-api-key')]).toEqual([200, ''])
  })

  it.each([
    ['nobody is signed in', { target: '/api/orders', lines: ownPage }, 401, 'session_missing'],
    ['the page did not send its header', { target: '/api/orders', lines: [] }, 403, 'header_missing'],
    [
      'another site asks',
      { target: '/api/orders', lines: ['token-handler-version: 1', 'Sec-Fetch-Site: cross-site'] },
      403,
      'origin_not_allowed',
    ],
    ['there is no route', { target: '/admin', lines: ownPage }, 404, 'route_not_found'],
    [
      'the method is not listed',
      { method: 'DELETE', target: '/api/orders', lines: ownPage },
      405,
      'method_not_allowed',
    ],
    ['the host is another', { host: 'evil.example', target: '/api/orders', lines: ownPage }, 421, 'host_not_allowed'],
    ['the path has two readings', { target: '/api/../admin', lines: ownPage }, 400, 'ambiguous_request'],
  ])('refuses when %s', async (_name, original, status, code) => {
    const answer = await ask(world, gateway, original)
    const body = answer.json()
    expect(body.error_code).toBe(code)
    expect(answer.header('token-handler-error')).toBe(code)
    expect(answer.status).toBe(gateway === 'nginx' && status !== 401 ? 403 : status)
    if (status === 405) expect(answer.header('allow')).toBe('GET, HEAD, POST')
    if (gateway !== 'nginx') return
    expect(answer.header('token-handler-status')).toBe(String(status))
    expect(answer.header('token-handler-body')).toBe(answer.body)
  })

  it.each([
    'X-Http-Method',
    'x-http-method-override',
    'X-METHOD-OVERRIDE',
    'X_Http_Method',
    'X-Middleware-Subrequest',
    'X-Rewrite-Url',
  ])('F05 H02 refuses %s, which could make something else of the request', async (name) => {
    const answer = await ask(world, gateway, { target: '/api/orders', lines: [...page(world), `${name}: DELETE`] })
    expect(answer.json().error_code).toBe('ambiguous_request')
    expect(answer.status).toBe(gateway === 'nginx' ? 403 : 400)
    expect(answer.header('authorization')).toBeUndefined()
    expect(world.events.findLast(({ name: event }) => event === 'request.refused')?.fields).toMatchObject({
      side: 'forward_auth',
      check: 'override',
    })
  })

  it('tells what a stronger sign-in has to ask for', async () => {
    const answer = await ask(world, gateway, {
      method: 'POST',
      target: '/pay/1',
      lines: [...page(world), 'Origin: https://www.example.com'],
    })
    expect(answer.status).toBe(401)
    expect(answer.json()).toMatchObject({
      error_code: 'insufficient_user_authentication',
      acr_values: 'urn:example:mfa',
      max_age: 60,
    })
  })

  it("J08 never refreshes: an expired token is the page's to renew", async () => {
    const answer = await ask(world, gateway, {
      target: '/api/orders',
      lines: page(world, world.cookies({ accessTokenExpiresAt: world.clock.nowSeconds() })),
    })
    expect(answer.status).toBe(401)
    expect(answer.json().error_code).toBe('access_token_expired')
    expect(answer.lines.some((line) => /^set-cookie/i.test(line))).toBe(false)
  })

  describe('WebSocket', () => {
    const handshake = (cookies: string) => [
      `Cookie: ${cookies}`,
      'Origin: https://www.example.com',
      'Sec-Fetch-Site: same-origin',
      'Sec-Fetch-Mode: websocket',
      'Sec-Fetch-Dest: empty',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
    ]
    it('may be opened by our page where the route says so', async () => {
      expect((await ask(world, gateway, { target: '/socket', lines: handshake(world.cookies()) })).status).toBe(200)
    })
    it('is recognised although the gateway keeps Upgrade in its question', async () => {
      const lines = [...handshake(world.cookies()), 'Connection: Upgrade', 'Upgrade: websocket']
      const answer = await ask(world, gateway, { target: '/socket', lines })
      expect(answer.status).toBe(200)
      expect(answer.header('connection')).toBe('close')
    })
    it.each(['https://evil.example', 'https://shop.example.com.evil.example', 'null'])(
      'may not be opened by %s',
      async (origin) => {
        const lines = handshake(world.cookies()).map((line) =>
          line.startsWith('Origin:') ? `Origin: ${origin}` : line,
        )
        expect((await ask(world, gateway, { target: '/socket', lines })).status).toBe(403)
      },
    )
    it('may not be opened on other routes, even with our header', async () => {
      const lines = [...handshake(world.cookies()), 'token-handler-version: 1']
      const answer = await ask(world, gateway, { target: '/api/orders', lines })
      expect(answer.json().error_code).toBe('upgrade_not_allowed')
    })
  })

  it('limits by the address that the gateway vouches for', async () => {
    const from = (address: string) =>
      ask(world, gateway, { target: '/limited', lines: [...page(world), `X-Forwarded-For: 10.9.9.9, ${address}`] })
    const codes = []
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2']) {
      codes.push((await from(address)).header('token-handler-error') ?? 'passed')
    }
    expect(codes).toEqual(['passed', 'passed', 'too_many_requests', 'passed'])
  })

  it('a preflight is refused: a yes to the gateway would reach the API', async () => {
    const lines = ['Origin: https://shop.example.com', 'Access-Control-Request-Method: GET']
    const answer = await ask(world, gateway, { method: 'OPTIONS', target: '/api/orders', lines })
    expect(answer.header('token-handler-error')).toBe('method_not_allowed')
    expect(answer.status).toBe(gateway === 'nginx' ? 403 : 405)
    expect(answer.header('allow')).toBe('GET, HEAD, POST')
  })
})

describe('who may ask', () => {
  it('J10 H06 nobody but the listed peers, whatever they claim', async () => {
    const world = await startProxy(`${routes}
  forward_auth: { gateway: nginx, peers: [192.0.2.0/24], secret: only-the-gateway-knows }
`)
    const answer = await ask(world, 'nginx', {
      target: '/catalogue',
      lines: [...ownPage, 'X-Forwarded-For: 192.0.2.1', 'X-Real-IP: 192.0.2.1'],
    })
    await world.close()
    expect(answer.status).toBe(403)
    expect(answer.json().error_code).toBe('untrusted_peer')
  })

  it('and whoever asks with Upgrade and never closes its side is let go', async () => {
    const world = await startProxy(`${routes}
  forward_auth: { gateway: nginx, peers: [192.0.2.0/24], secret: only-the-gateway-knows }
`)
    const connection = await openRaw(world.port)
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket']
    connection.write(questionBytes('nginx', { target: '/socket', lines: upgrade }))
    expect(parseAnswer(await connection.closed()).status).toBe(403)
    world.clock.pass(3)
    await letGo(connection.socket)
    await world.close()
  })

  it('only a gateway that shows the secret, once', async () => {
    const world = await startProxy(`${routes}${forwardAuthSettings('caddy')}`)
    const status = async (proof: readonly string[]) =>
      (await ask(world, 'caddy', { target: '/catalogue', lines: ownPage, proof })).status
    const right = 'token-handler-gateway: only-the-gateway-knows'
    expect(await status([right])).toBe(200)
    expect(await status([])).toBe(403)
    expect(await status(['token-handler-gateway: '])).toBe(403)
    expect(await status(['token-handler-gateway: only-the-gateway-know'])).toBe(403)
    expect(await status(['token-handler-gateway: only-the-gateway-knowz'])).toBe(403)
    expect(await status(['token-handler-gateway: only-the-gateway-knows-'])).toBe(403)
    expect(await status([right, right])).toBe(400)
    await world.close()
  })

  it('no gateway is configured: the path is nothing special', async () => {
    const world = await startProxy(routes)
    const answer = await sendRaw(world.port, questionBytes('nginx', { target: '/catalogue', lines: ownPage }))
    await world.close()
    expect(answer.status).not.toBe(200)
  })

  it('calls that are no questions still go through the proxy', async () => {
    const world = await startProxy(`${routes}${forwardAuthSettings('nginx')}`)
    const answer = await world.call('GET', '/elsewhere')
    const neighbour = await sendRaw(
      world.port,
      rawRequest('GET', `${verifyPath}-er`, ['Host: www.example.com', ...ownPage]),
    )
    await world.close()
    expect(answer.json().error_code).toBe('route_not_found')
    expect(neighbour.json().error_code).toBe('route_not_found')
  })
})

it('HX-14 a method that no path has is not allowed, also where there is no route', async () => {
  const world = await startProxy(`${routes}${forwardAuthSettings('nginx')}`)
  try {
    for (const method of ['TRACE', 'TRACK', 'CONNECT']) {
      for (const target of ['/api/orders', '/admin']) {
        const answer = await ask(world, 'nginx', { method, target, lines: page(world) })
        expect(answer.header('token-handler-error'), `${method} ${target}`).toBe('method_not_allowed')
      }
    }
  } finally {
    await world.close()
  }
})
