import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { systemClock } from '../../shared/clock.ts'
import { startExampleApi } from '../../spa-example/api.ts'
import { mfaLevel } from '../../spa-example/openid-provider.ts'

const issuer = 'https://op.example'
const audience = 'https://api.example.com'
const partnerAudience = 'https://partner.example.com'
const apiKey = 'key-of-the-demo'
const keys = await generateKeyPair('ES256')
const jwks: JSONWebKeySet = { keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256', kid: 'k' }] }

/** An access token with `change` in place of what is right. */
async function accessToken(change: Record<string, unknown> = {}, header: object = {}): Promise<string> {
  const { lifetime = 600, ...claims } = { sub: 'u-1001', client_id: 'spa', scope: 'openid orders', ...change }
  const now = systemClock.nowSeconds()
  return new SignJWT({ iss: issuer, aud: audience, iat: now, exp: now + Number(lifetime), ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'at+jwt', ...header })
    .sign(keys.privateKey)
}

describe('the example API', () => {
  let api: Awaited<ReturnType<typeof startExampleApi>>
  beforeAll(async () => {
    api = await startExampleApi({ issuer, audience, partnerAudience, jwks, apiKey })
  })
  afterAll(() => api.close())

  const call = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const response = await fetch(`http://127.0.0.1:${api.port}${path}`, { method, headers, body: body ?? null })
    return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.text() }
  }
  const bearer = async (change?: Record<string, unknown>, header?: object) => ({
    authorization: `Bearer ${await accessToken(change, header)}`,
  })

  it('answers a valid token, and says what it received without repeating it', async () => {
    const headers = await bearer()
    const { status, body } = await call('GET', '/orders', { ...headers, cookie: 'theme=dark; a=b' })
    expect(status).toBe(200)
    expect(JSON.parse(body)).toMatchObject({
      orders: [{ id: 1 }, { id: 2 }],
      received: {
        credential: 'access token of the user',
        subject: 'u-1001',
        scope: 'openid orders',
        audience,
        cookies: ['theme', 'a'],
      },
    })
    expect(body).not.toContain(headers.authorization.slice(7, 40))
  })

  it.each<[string, Record<string, unknown>, object]>([
    ['another issuer', { iss: 'https://evil.example' }, {}],
    ['another audience', { aud: 'https://other.example' }, {}],
    ['an end in the past', { lifetime: -100_000 }, {}],
    ['the type of an ID token', {}, { typ: 'JWT' }],
    ['a key nobody knows', {}, { kid: 'other' }],
  ])('refuses a token with %s', async (_name, change, header) => {
    const { status, challenge } = await call('GET', '/orders', await bearer(change, header))
    expect([status, challenge]).toEqual([401, 'Bearer error="invalid_token"'])
  })

  it.each(['Bearer', 'Bearer x', 'Basic YTpi', 'Bearer a b'])('refuses the credential %j', async (authorization) => {
    expect((await call('GET', '/orders', { authorization })).status).toBe(401)
  })

  it('wants a token for orders, and its scope', async () => {
    expect((await call('GET', '/orders')).status).toBe(401)
    const { status, challenge } = await call('GET', '/orders', await bearer({ scope: 'openid' }))
    expect([status, challenge]).toEqual([403, 'Bearer error="insufficient_scope", scope="orders"'])
  })

  it('takes tokens of each audience for its own resources only', async () => {
    const partner = await bearer({ aud: partnerAudience, scope: 'invoices', act: { sub: 'spa' } })
    const answer = await call('GET', '/invoices', partner)
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([200, { received: { actor: 'spa' } }])
    expect((await call('GET', '/orders', partner)).status).toBe(401)
    expect((await call('GET', '/invoices', await bearer({ scope: 'invoices' }))).status).toBe(401)
  })

  it('challenges a transfer without the second factor (RFC 9470 §3)', async () => {
    const body = JSON.stringify({ to: 'x', amount: 1 })
    const refused = await call('POST', '/transfers', await bearer({ acr: 'urn:example:pwd' }), body)
    expect(refused).toMatchObject({
      status: 401,
      challenge: `Bearer error="insufficient_user_authentication", acr_values="${mfaLevel}"`,
    })
    expect((await call('POST', '/transfers', await bearer({ acr: mfaLevel }), body)).status).toBe(201)
  })

  it.each([
    ['{', 400],
    ['[]', 400],
    ['{"item":" ","quantity":1}', 400],
    ['{"item":"a","quantity":1.5}', 400],
    [JSON.stringify({ item: 'a'.repeat(20_000), quantity: 1 }), 400],
    ['{"item":"Cups","quantity":3}', 201],
  ])('answers an order of %.40s with %i', async (body, status) => {
    expect((await call('POST', '/orders', await bearer({ sub: 'u-7' }), body)).status).toBe(status)
  })

  it('gives the catalogue to anybody and the weather to whoever has the key', async () => {
    expect((await call('GET', '/catalogue')).status).toBe(200)
    expect((await call('GET', '/weather')).status).toBe(401)
    expect((await call('GET', '/weather', { 'x-api-key': 'wrong' })).status).toBe(401)
    expect((await call('GET', '/weather', { 'x-api-key': apiKey })).status).toBe(200)
  })

  it('counts an upload', async () => {
    const { body } = await call('POST', '/uploads', await bearer(), 'abc')
    expect(JSON.parse(body)).toMatchObject({
      bytes: 3,
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    })
  })

  it('lets nobody into the chat without a token of a user', async () => {
    const open = (headers: Record<string, string>) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${api.port}/chat`, { headers })
        socket.on('message', (data: Buffer) => {
          resolve(data.toString('utf8'))
          socket.terminate()
        })
        socket.on('error', (error) => resolve(error.message))
      })
    expect(await open({})).toContain('401')
    expect(await open({ 'x-api-key': apiKey })).toContain('401')
    expect(await open(await bearer())).toContain('Alice')
  })
})
