import { once } from 'node:events'
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { programPath } from '../support/gateway.ts'
import { otherRecipes, packagedRecipes } from '../support/gateway-recipes.ts'
import { type GatewayWorld, sha256, startGatewayWorld } from '../support/gateway-world.ts'

/** Browsers speak HTTP/2 to gateways: cookies come in crumbs and the host in a field of its own (RFC 9113 §8.2.3, §8.3.1). */

const driven = [...packagedRecipes, ...otherRecipes.filter(({ program }) => programPath(program) !== undefined)]

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

describe.each(driven)('HTTP/2 behind $gateway', (recipe) => {
  let world: GatewayWorld
  let session: ClientHttp2Session
  beforeAll(async () => {
    world = await startGatewayWorld(recipe)
    session = connect(`http://127.0.0.1:${world.gateway.h2Port}`)
    await once(session, 'connect')
  })
  afterAll(async () => {
    session?.destroy()
    await world?.close()
  })

  const usual = (): OutgoingHttpHeaders => ({
    ':authority': 'www.example.com',
    'token-handler-version': '1',
    'sec-fetch-site': 'same-origin',
    'sec-fetch-mode': 'cors',
    'sec-fetch-dest': 'empty',
  })
  const crumbs = () => ['theme=dark', ...world.proxy.cookies({ subject: 'alice' }).split('; ')]

  /** A stream that the gateway resets counts as refused. */
  async function call(path: string, headers: OutgoingHttpHeaders = {}, body?: string): Promise<Answer> {
    const method = body === undefined ? 'GET' : 'POST'
    const stream = session.request({ ...usual(), ':method': method, ':path': path, ...headers })
    let text = ''
    let head: Record<string, unknown> = {}
    stream.setEncoding('utf8')
    stream.on('response', (fields) => {
      head = { ...fields }
    })
    stream.on('data', (chunk: string) => {
      text += chunk
    })
    stream.on('error', () => {})
    stream.end(body)
    await new Promise<void>((resolve) => stream.once('close', () => resolve()))
    return { status: Number(head[':status'] ?? 400), headers: head, body: text }
  }

  it('cookies in crumbs: one session, one Authorization, the listed cookie', async () => {
    expect((await call('/api/orders?x=1', { cookie: crumbs() })).status).toBe(200)
    const seen = world.api.seen.at(-1)
    expect(seen?.target).toBe('/api/orders?x=1')
    expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
    expect(seen?.values('cookie')).toEqual(['theme=dark'])
    expect(seen?.values('x-auth-subject')).toEqual(['alice'])
  })

  it('no cookie: 401 with our JSON', async () => {
    const before = world.api.seen.length
    const answer = await call('/api/orders')
    expect(answer.status).toBe(401)
    expect(JSON.parse(answer.body)).toMatchObject({ error_code: 'session_missing' })
    expect(world.api.seen.length).toBe(before)
  })

  it('a POST of 200 kB, byte for byte', async () => {
    const body = 'y0123456789'.repeat(18_182)
    const answer = await call('/api/orders', { cookie: crumbs(), origin: 'https://www.example.com' }, body)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toEqual({ bytes: body.length, sha256: sha256(body) })
  })

  it('the same cookie in two crumbs is refused', async () => {
    const before = world.api.seen.length
    const [first = '', access = ''] = crumbs()
    expect((await call('/api/orders', { cookie: [first, access, access] })).status).toBeGreaterThanOrEqual(400)
    expect(world.api.seen.length).toBe(before)
  })

  it.each([
    ['another authority', { ':authority': 'evil.example' }],
    ['another host beside the authority', { host: 'evil.example' }],
    ['another authority beside the host', { ':authority': 'evil.example', host: 'www.example.com' }],
  ])('%s is refused, or the host that was decided on is the one that counts', async (_name, headers) => {
    const before = world.api.seen.length
    const answer = await call('/api/orders', { cookie: crumbs(), ...headers })
    if (world.api.seen.length === before) expect(answer.status).toBeGreaterThanOrEqual(400)
    else {
      const seen = world.api.seen.at(-1)
      const told = ['host', 'x-forwarded-host'].flatMap((name) => seen?.values(name) ?? [])
      expect(told.filter((host) => host.includes('evil'))).toEqual([])
    }
  })

  it.each(['/api/../api/open', '/api/%2e%2e/api/open', '//api/orders', '/api/..;/open', '/api/orders#/open'])(
    '%s is refused, or reaches the API as it was decided on',
    async (path) => {
      const before = world.api.seen.length
      const answer = await call(path)
      if (world.api.seen.length === before) expect(answer.status).toBeGreaterThanOrEqual(400)
      else expect(world.api.seen.at(-1)?.target).toBe('/api/open')
    },
  )

  it('H04 nothing of forged headers', async () => {
    const forged = {
      'x-auth-subject': 'admin',
      'x-original-uri': '/api/open',
      'x-forwarded-uri': '/api/open',
      authorization: 'Bearer forged',
    }
    expect((await call('/api/orders', forged)).status).toBe(401)
    expect((await call('/api/orders', { ...forged, cookie: crumbs() })).status).toBe(200)
    const seen = world.api.seen.at(-1)
    expect(seen?.values('x-auth-subject')).toEqual(['alice'])
    expect(seen?.values('authorization')).toEqual([expect.stringMatching(/^Bearer [\w.-]{1194}$/)])
    expect(['x-original-uri', 'x-forwarded-uri'].flatMap((name) => seen?.values(name) ?? []).join('')).toBe('')
  })
})
