import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { identityHeaderNames } from '../../oauth-proxy/identity-headers.ts'
import { programPath } from '../support/gateway.ts'
import { otherRecipes, packagedRecipes } from '../support/gateway-recipes.ts'
import { type GatewayWorld, sha256, startGatewayWorld } from '../support/gateway-world.ts'
import { jwt } from '../support/installation.ts'
import { ownPage } from '../support/proxy-world.ts'
import { openRaw, rawRequest } from '../support/raw-http.ts'

const driven = [...packagedRecipes, ...otherRecipes.filter(({ program }) => programPath(program) !== undefined)]

describe.each(driven)('behind $gateway', (recipe) => {
  let world: GatewayWorld
  beforeAll(async () => {
    world = await startGatewayWorld(recipe)
  })
  afterAll(() => world?.close())

  const lastSeen = () => world.api.seen.at(-1)
  /** Asserts that the API heard nothing of what `act` did. */
  async function withoutApi<T>(act: () => Promise<T>): Promise<T> {
    const before = world.api.seen.length
    const result = await act()
    expect(world.api.seen.length).toBe(before)
    return result
  }

  describe('who gets in', () => {
    /** Another character in the middle of the access cookie. */
    const tampered = (cookies: string) =>
      cookies.replace(/(-at=.{40})(.)/, (_, before: string, letter: string) => before + (letter === 'A' ? 'B' : 'A'))
    it.each([
      ['no cookie', () => undefined, 'session_missing'],
      ['a tampered cookie', () => tampered(world.proxy.cookies()), 'session_invalid'],
      [
        'an expired token',
        () => world.proxy.cookies({ accessTokenExpiresAt: world.proxy.clock.nowSeconds() }),
        'access_token_expired',
      ],
      [
        'a session that is over',
        () => world.proxy.cookies({ idleExpiresAt: world.proxy.clock.nowSeconds() }),
        'session_expired',
      ],
    ])('%s: 401 with our JSON', async (_name, cookies, code) => {
      const answer = await withoutApi(() => world.call('GET', '/api/orders', { cookies: cookies() }))
      expect(answer.status).toBe(401)
      expect(answer.header('token-handler-error')).toBe(code)
      expect(answer.header('content-type')).toBe('application/json')
      expect(answer.header('cache-control')).toContain('no-store')
      expect(JSON.parse(answer.body)).toMatchObject({ error_code: code })
    })

    it.each([
      ['without our header', { lines: [] }, 'header_missing', 403],
      [
        'from another site',
        { lines: ['token-handler-version: 1', 'Sec-Fetch-Site: cross-site'] },
        'origin_not_allowed',
        403,
      ],
    ])('a request %s', async (_name, options, code, status) => {
      const answer = await withoutApi(() => world.call('GET', '/api/orders', options))
      expect(answer.status).toBe(status)
      expect(answer.header('token-handler-error')).toBe(code)
    })

    it('a method that is not listed: 405', async () => {
      const answer = await withoutApi(() =>
        world.call('DELETE', '/api/orders', { more: ['Origin: https://www.example.com'] }),
      )
      expect(answer.status).toBe(405)
    })

    it('a call that needs a stronger sign-in: what it has to ask for', async () => {
      const answer = await withoutApi(() =>
        world.call('POST', '/api/pay', { more: ['Origin: https://www.example.com'], body: '{}' }),
      )
      expect(answer.status).toBe(401)
      expect(JSON.parse(answer.body)).toMatchObject({
        error_code: 'insufficient_user_authentication',
        acr_values: 'urn:example:mfa',
      })
    })

    it('too many: 429 with Retry-After', async () => {
      expect((await world.call('GET', '/api/limited')).status).toBe(200)
      const answer = await withoutApi(() => world.call('GET', '/api/limited'))
      expect(answer.status).toBe(429)
      expect(Number(answer.header('retry-after'))).toBeGreaterThan(0)
    })

    it('a visitor where the route lets visitors in, without a credential', async () => {
      const answer = await world.call('GET', '/api/open', { cookies: undefined })
      expect(answer.status).toBe(200)
      expect(lastSeen()?.values('authorization').join('')).toBe('')
    })
  })

  describe('what the API sees', () => {
    it('GET: exactly one Authorization, our token, and no cookie of ours', async () => {
      const cookies = `theme=dark; ${world.proxy.cookies({ subject: 'alice', acr: 'urn:example:pwd' })}; lang=en`
      const answer = await world.call('GET', '/api/orders?page=2&q=a%20b', { cookies })
      expect(answer.status).toBe(200)
      const seen = lastSeen()
      expect(seen?.target).toBe('/api/orders?page=2&q=a%20b')
      expect(seen?.values('host')).toEqual(['www.example.com'])
      expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
      expect(seen?.values('cookie')).toEqual(['theme=dark'])
      expect(seen?.values('x-auth-subject')).toEqual(['alice'])
      expect(seen?.values('x-auth-acr')).toEqual(['urn:example:pwd'])
      expect(seen?.names.filter((name) => name.startsWith('token-handler-'))).toEqual([])
    })

    it('a token of 4 kB', async () => {
      const cookies = world.proxy.cookies({ accessToken: jwt(4000) })
      const answer = await world.call('GET', '/api/orders', { cookies })
      expect(answer.status).toBe(200)
      expect(lastSeen()?.values('authorization')).toEqual([`Bearer ${jwt(4000)}`])
    })

    it('a POST of 200 kB, byte for byte', async () => {
      const body = 'x0123456789'.repeat(18_182)
      const answer = await world.call('POST', '/api/orders', { more: ['Origin: https://www.example.com'], body })
      expect(answer.status).toBe(200)
      expect(JSON.parse(unchunked(answer.body))).toEqual({ bytes: body.length, sha256: sha256(body) })
    })

    it.each(['/api/a%20b', "/api/a'b", '/api/a,b(c)', '/api/%E2%82%AC', '/api/orders?x=%2F..%2F', '/api/orders?'])(
      'the target as it was decided on: %s',
      async (target) => {
        const answer = await world.call('GET', target)
        expect(answer.status).toBe(200)
        expect(lastSeen()?.target).toBe(target)
      },
    )

    it('H04 nothing of forged headers', async () => {
      const forged = [
        ...identityHeaderNames.map((name) => `${name}: admin`),
        'Authorization: Bearer forged',
        'X-Forwarded-Uri: /api/open',
        'X-Forwarded-Method: GET',
        'X-Forwarded-Host: evil.example',
        'X-Forwarded-Prefix: /admin',
        'X-Forwarded-User: admin',
        'X-Forwarded-Email: admin',
        'X-Forwarded-Groups: admin',
        'X-Forwarded-Preferred-Username: admin',
        'X-Forwarded-Access-Token: forged',
        'X-Forwarded-Client-Cert: forged',
        'X-Original-Uri: /api/open',
        'X-Original-Url: /api/open',
        'X-Original-Method: GET',
        'X-Original-Host: evil.example',
        'Forwarded: for=192.0.2.1;host=evil.example',
        'Token-Handler-Gateway: only-the-gateway-knows',
      ]
      const refused = await withoutApi(() => world.call('GET', '/api/orders', { cookies: undefined, more: forged }))
      expect(refused.status).toBe(401)
      const answer = await world.call('GET', '/api/orders', {
        more: forged,
        cookies: world.proxy.cookies({ subject: 'alice' }),
      })
      expect(answer.status).toBe(200)
      const seen = lastSeen()
      expect(seen?.values('x-auth-subject')).toEqual(['alice'])
      expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
      const all = (seen?.names ?? []).map((name) => `${name}: ${seen?.values(name).join()}`)
      expect(
        all.filter((line) => /admin|evil\.example|\/api\/open|forged|only-the-gateway|192\.0\.2\.1/.test(line)),
      ).toEqual([])
    })

    it.each([
      'X-Http-Method: DELETE',
      'X-HTTP-Method-Override: DELETE',
      'X-Method-Override: DELETE',
      'X-Middleware-Subrequest: middleware',
      'X_Http_Method: DELETE',
      'X-Rewrite-Url: /api/open',
    ])('F05 %s is refused, or does not reach the API', async (line) => {
      const before = world.api.seen.length
      const more = ['Origin: https://www.example.com', line]
      const answer = await world.call('POST', '/api/orders', { more, body: '{}' })
      if (world.api.seen.length === before) expect(answer.status).toBe(400)
      else expect(lastSeen()?.names.filter((name) => /method|middleware|rewrite/.test(name))).toEqual([])
    })

    it.each(['Connection: close, authorization', 'Connection: x-auth-subject', 'Connection: cookie'])(
      'H01 Connection cannot take away what the gateway sets: %s',
      async (line) => {
        const before = world.api.seen.length
        const answer = await world.call('GET', '/api/orders', { more: [line] })
        if (world.api.seen.length === before) expect(answer.status).toBeGreaterThanOrEqual(400)
        else {
          expect(lastSeen()?.values('authorization')).toEqual([expect.stringMatching(/^Bearer /)])
          expect(lastSeen()?.values('x-auth-subject')).toEqual(['alice12345'])
        }
      },
    )

    it('its own refusals and failures come through as they are, without its cookies and challenges', async () => {
      const teapot = await world.call('GET', '/api/teapot')
      expect(teapot.status).toBe(418)
      expect(teapot.body).toContain('short and stout')
      expect(teapot.header('set-cookie')).toBeUndefined()
      expect(teapot.header('www-authenticate')).toBeUndefined()
      const broken = await world.call('GET', '/api/broken')
      expect(broken.status).toBe(500)
      expect(broken.body).toContain('words of the API')
    })
  })

  describe('what the browser sees', () => {
    const valuesOf = ({ lines }: { readonly lines: readonly string[] }, name: string) =>
      lines
        .filter((line) => line.toLowerCase().startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).trim())

    it.each(['/api/orders', '/api/teapot', '/api/broken'])(
      '%s: nobody stores it or guesses its type',
      async (target) => {
        const answer = await world.call('GET', target)
        // Traefik sets headers of answers whether the API has them or not.
        expect(valuesOf(answer, 'cache-control')).toEqual(recipe.gateway === 'traefik' ? [] : ['no-store'])
        expect(valuesOf(answer, 'x-content-type-options')).toEqual(['nosniff'])
      },
    )
    it('what the API says of caching stands', async () => {
      const answer = await world.call('GET', '/api/cached')
      expect(valuesOf(answer, 'cache-control')).toEqual(['private, max-age=60'])
      expect(valuesOf(answer, 'x-content-type-options')).toEqual(['nosniff'])
    })
    it('a refusal says once that nobody stores it', async () => {
      const answer = await world.call('GET', '/api/orders', { cookies: undefined })
      expect(valuesOf(answer, 'cache-control')).toEqual(['no-store'])
    })
  })

  describe('streams', () => {
    it('server-sent events arrive while the stream is open', async () => {
      const answer = await world.stream('/api/events')
      expect(answer.statusCode).toBe(200)
      answer.setEncoding('utf8')
      expect(await next(answer, 'data')).toContain('data: first')
      world.api.publish('second')
      expect(await next(answer, 'data')).toContain('data: second')
      answer.destroy()
    })

    const open = (target: string, origin: string) =>
      new WebSocket(`ws://127.0.0.1:${world.gateway.port}${target}`, ['v1.chat'], {
        headers: { host: 'www.example.com', cookie: world.proxy.cookies(), origin, 'sec-fetch-site': 'same-origin' },
      })
    it('a WebSocket carries messages both ways, with the token at its start', async () => {
      const webSocket = open('/api/chat', 'https://www.example.com')
      await once(webSocket, 'open')
      expect(webSocket.protocol).toBe('v1.chat')
      webSocket.send('hello')
      expect(await next(webSocket, 'message')).toBe('hello')
      expect(lastSeen()?.values('authorization')).toEqual([expect.stringMatching(/^Bearer /)])
      expect(lastSeen()?.values('cookie').join('')).toBe('')
      webSocket.terminate()
    })
    it.each([
      ['from another origin', '/api/chat', 'https://evil.example'],
      ['where the route has none', '/api/orders', 'https://www.example.com'],
    ])('no WebSocket %s', async (_name, target, origin) => {
      await withoutApi(async () => {
        const webSocket = open(target, origin)
        expect(await next(webSocket, 'error')).toMatch(/Unexpected server response: 4\d\d/)
      })
    })
    it.each(['GET', 'POST'])(
      '%s with half a handshake of a WebSocket is decided on as one, or loses it',
      async (method) => {
        const before = world.api.seen.length
        const half = ['Upgrade: websocket', 'Connection: Upgrade', 'Origin: https://www.example.com']
        const answer = await world.call(method, '/api/orders', { more: half })
        if (world.api.seen.length === before) expect(answer.status).toBe(400)
        else expect(lastSeen()?.values('upgrade').join('')).toBe('')
      },
    )
    it('h2c is not passed on', async () => {
      const upgrade = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']
      const seen = () => world.api.seen.filter(({ target }) => target === '/api/h2c')
      const connection = await openRaw(world.gateway.port)
      const lines = ['Host: www.example.com', ...ownPage, `Cookie: ${world.proxy.cookies()}`, ...upgrade]
      connection.write(rawRequest('GET', '/api/h2c', lines))
      // A gateway that takes the upgrade itself answers 101 and goes on with the same request in HTTP/2.
      await connection.until((text) => text.includes('\r\n\r\n'))
      await expect.poll(() => seen().length).toBe(1)
      connection.close()
      for (const request of seen()) expect(request.values('upgrade').join('')).toBe('')
    })
  })

  describe('what has more than one reading', () => {
    it.each([
      '/api/../api/open',
      '/api/%2e%2e/api/open',
      '/api/..%2fopen',
      '/api/orders/..;/open',
      '/api/%252e%252e/open',
      '/api/orders%00',
      '/api/orders%5c..%5copen',
      '/api//orders',
      '/%61pi/orders',
      '//api/orders',
      '/api/open/../orders',
      'http://www.example.com/api/open',
      'http://evil.example/api/open',
      'HTTP://WWW.EXAMPLE.COM/api/open',
      '/api/open;x',
      '/api/open?#/orders',
    ])('%s is refused, or reaches the API as it was decided on', async (target) => {
      const before = world.api.seen.length
      const answer = await world.call('GET', target, { cookies: undefined })
      if (world.api.seen.length === before) expect(answer.status).toBeGreaterThanOrEqual(400)
      else expect(lastSeen()?.target).toBe('/api/open')
    })

    it.each([['the same cookie twice'], ['two Host headers'], ['X_Auth_Subject next to ours']])('%s', async (name) => {
      const cookies = world.proxy.cookies()
      const before = world.api.seen.length
      const lines = {
        'the same cookie twice': [...ownPage, `Cookie: ${cookies}; ${cookies}`],
        'two Host headers': [...ownPage, `Cookie: ${cookies}`, 'Host: evil.example'],
        'X_Auth_Subject next to ours': [...ownPage, `Cookie: ${cookies}`, 'X_Auth_Subject: admin'],
      }[name]
      const answer = await world.call('GET', '/api/orders', { lines: lines ?? [] })
      if (world.api.seen.length === before) expect(answer.status).toBeGreaterThanOrEqual(400)
      else expect((lastSeen()?.names ?? []).filter((seen) => seen.includes('_'))).toEqual([])
    })

    if (recipe.gateway === 'nginx') {
      it('a head larger than the proxy reads is 431, and no reason to try again', async () => {
        const more = Array.from({ length: 5 }, (_, index) => `X-Filler-${index}: ${'x'.repeat(4000)}`)
        const lines = [...ownPage, `Cookie: ${world.proxy.cookies()}`, ...more]
        const answer = await withoutApi(() => world.call('GET', '/api/orders', { lines }))
        expect([answer.status, answer.json()['error_code']]).toEqual([431, 'request_header_too_large'])
        expect([answer.header('content-type'), answer.header('cache-control')]).toEqual([
          'application/json',
          'no-store',
        ])
        expect(answer.header('retry-after')).toBeUndefined()
        const { status } = await world.call('GET', '/api/orders')
        expect(status).toBe(200)
      })
    }

    it('another port of the host is passed on as it is, and not served', async () => {
      const answer = await withoutApi(() => world.call('GET', '/api/orders', { host: 'www.example.com:8443' }))
      // Envoy's recipe names the host and so knows no other, not even to ask about it.
      expect(answer.status).toBe(recipe.gateway === 'envoy' ? 404 : 421)
    })
    it('another host is not served', async () => {
      const answer = await withoutApi(() => world.call('GET', '/api/orders', { host: 'evil.example' }))
      expect(answer.status).toBeGreaterThanOrEqual(400)
    })
  })

  describe('the agent', () => {
    it('is reached without a decision, with its cookies and host, and sets cookies', async () => {
      const answer = await world.call('GET', '/oauth-agent/session')
      expect(answer.status).toBe(200)
      const seen = world.agent.seen.at(-1)
      expect(seen?.values('host')).toEqual(['www.example.com'])
      expect(seen?.values('cookie').join()).toContain('-rt=')
      expect(seen?.values('token-handler-version')).toEqual(['1'])
      expect(seen?.values('sec-fetch-site')).toEqual(['same-origin'])
      expect(answer.lines.filter((line) => /^set-cookie:/i.test(line))).toHaveLength(2)
    })
  })

  describe('the place where the gateway asks', () => {
    it.each([
      '/oauth-proxy/verify',
      '/token-handler-ask',
      '/oauth-agent/../oauth-proxy/verify',
      '/oauth-agent/%2e%2e/oauth-proxy/verify',
    ])('J10 no browser gets a token out of %s', async (target) => {
      const before = world.proxy.events.length
      const answer = await world.call('GET', target, {
        more: [
          'X-Original-Uri: /api/orders',
          'X-Original-Method: GET',
          'X-Original-Host: www.example.com',
          'X-Forwarded-Uri: /api/orders',
          'X-Forwarded-Method: GET',
        ],
      })
      expect(answer.header('authorization')).toBeUndefined()
      expect(world.proxy.events.slice(before).filter(({ name }) => name === 'request.answered')).toEqual([])
    })
  })

  describe('FI-28 while the decision is not to be had', () => {
    afterAll(() => world.front.become('pass'))
    it.each(['refuse', 'reset', 'garbage', 'status_500', 'redirect', 'empty_404'] as const)(
      'J05 %s: nobody passes',
      async (mode) => {
        await world.front.become(mode)
        const answer = await withoutApi(() => world.call('GET', '/api/open'))
        expect(answer.status === 0 || answer.status >= 300).toBe(true)
        expect(answer.body).not.toContain('bytes')
        if (recipe.gateway === 'nginx') expect([answer.status, answer.header('retry-after')]).toEqual([503, '1'])
      },
    )
    it('silent: nobody passes before an answer came', { timeout: 20_000 }, async () => {
      await world.front.become('silent')
      await withoutApi(async () => {
        const connection = await openRaw(world.gateway.port)
        const asked = world.front.asked()
        connection.write(rawRequest('GET', '/api/open', ['Host: www.example.com', ...ownPage]))
        await asked
        connection.close()
      })
    })
    it('it recovers by itself', async () => {
      await world.front.become('pass')
      await expect.poll(async () => (await world.call('GET', '/api/orders')).status, { timeout: 15_000 }).toBe(200)
    })
  })
})

/** What the next event of this name brings, as text. */
async function next(emitter: NodeJS.EventEmitter, name: string): Promise<string> {
  const values: unknown[] = await once(emitter, name)
  return String(values[0])
}

function unchunked(body: string): string {
  return /\{.*\}/s.exec(body)?.[0] ?? ''
}
