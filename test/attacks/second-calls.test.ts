import { afterEach, describe, expect, it } from 'vitest'
import { type ProxyWorld, ownPage, startProxy } from '../support/proxy-world.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { type Upstream, answer, okBytes, startUpstream } from '../support/upstream.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function proxyBefore(upstream: Upstream): Promise<ProxyWorld> {
  const world = await startProxy(`    - path: /api/**
      methods: [GET, POST]
      upstream: ${upstream.origin}`)
  closers.push(() => world.close())
  return world
}

async function api(): Promise<Upstream> {
  const upstream = await startUpstream()
  closers.push(() => upstream.close())
  return upstream
}

describe('calls next to the call', () => {
  it('H18: calls to the authorization server carry their own credential and nothing of the browser', async () => {
    const world: ProviderWorld = await startProviderWorld({ settings: 'login:\n  scope: openid profile email' })
    closers.push(() => world.close())
    const page = world.browser()
    await page.signIn('alice')
    for (const [method, path] of [
      ['GET', '/oauth-agent/userinfo'],
      ['POST', '/oauth-agent/refresh'],
      ['POST', '/oauth-agent/logout'],
    ] as const) {
      const headers = { 'x-api-key': 'from-the-browser', referer: 'https://www.example.com/secret' }
      await page.call(method, path, { headers })
    }
    const endpoints = new Set(world.tap.calls.map(({ endpoint }) => endpoint))
    expect([...endpoints]).toEqual(expect.arrayContaining(['token', 'userinfo', 'revocation']))
    for (const { endpoint, headers, url } of world.tap.calls) {
      const names = Object.keys(headers).map((name) => name.toLowerCase())
      expect([endpoint, names.filter((name) => /cookie|origin|referer|x-|token-handler|forwarded/.test(name))]).toEqual(
        [endpoint, []],
      )
      expect(new URL(url).search).toBe('')
      const authorization = headers['authorization'] ?? headers['Authorization'] ?? ''
      expect(authorization === '' || authorization.startsWith(endpoint === 'userinfo' ? 'Bearer ' : 'Basic ')).toBe(
        true,
      )
    }
  })

  it('FI-29: an API that refuses a valid token is reported as such, once, and the session stays', async () => {
    const upstream = await api()
    upstream.behave(answer(okBytes('', ['WWW-Authenticate: Bearer error="invalid_token"'], '401 Unauthorized')))
    const world = await proxyBefore(upstream)
    for (const method of ['GET', 'POST']) {
      const refused = await world.call(method, '/api/x', method === 'POST' ? { body: 'a' } : {})
      expect([refused.status, refused.json()['error_code']]).toEqual([401, 'upstream_unauthorized'])
      expect(refused.header('www-authenticate')).toBeUndefined()
      expect(refused.header('set-cookie')).toBeUndefined()
    }
    expect(upstream.seen.length).toBe(2)
  })
})

describe('the host of a request', () => {
  it.each(['www.example.com', 'WWW.EXAMPLE.COM', 'wWw.ExAmPlE.cOm', 'www.example.com:443'])(
    'G21: %s is the public host',
    async (host) => {
      const upstream = await api()
      const world = await proxyBefore(upstream)
      const bytes = rawRequest('GET', '/api/x', [`Host: ${host}`, ...ownPage, `Cookie: ${world.cookies()}`])
      expect((await sendRaw(world.port, bytes)).status).toBe(200)
    },
  )
  it.each([
    'www.example.com.',
    'www.example.com:80',
    'www.example.com:',
    'example.com',
    'www.example.com, a',
    'www.example.com%00',
  ])('G21: %s is not', async (host) => {
    const upstream = await api()
    const world = await proxyBefore(upstream)
    const bytes = rawRequest('GET', '/api/x', [`Host: ${host}`, ...ownPage, `Cookie: ${world.cookies()}`])
    const refused = await sendRaw(world.port, bytes)
    expect([400, 421]).toContain(refused.status)
    expect(upstream.seen).toEqual([])
  })
})
