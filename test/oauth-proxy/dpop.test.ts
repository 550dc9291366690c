import type { IncomingMessage } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { promoteKey, removeKey, rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import type { KeyEntries } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { type DpopApi, freshNonce, startDpopApi } from '../support/dpop-api.ts'
import { seededRandom, testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { authorizationUrlOf, endLogin, type Page, refresh, startLogin, statusAndCode } from '../support/page.ts'
import { type ProviderWorld, type ProviderWorldOptions, startProviderWorld } from '../support/provider-world.ts'
import { clientSecret } from '../support/world.ts'

let world: ProviderWorld
let api: DpopApi
afterEach(async () => {
  await world.close()
  await api.close()
})

const client = (isBound: boolean) =>
  `  authentication: client_secret_basic\n  secret: ${clientSecret}\n  dpop_bound_access_tokens: ${isBound}`

async function start(options: ProviderWorldOptions = {}, route = ''): Promise<void> {
  api = await startDpopApi()
  world = await startProviderWorld({
    client: client(true),
    metadata: {
      // The provider then refuses every token request without a proof (RFC 9449 §5.2).
      dpop_bound_access_tokens: true,
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    },
    settings: `
proxy:
  routes:
    - path: /api/**
      methods: [GET, POST, DELETE]
      upstream: ${api.origin}
      websocket: true
      headerless: [websocket]
${route}
    - path: /app/**
      upstream: ${api.origin}
      credential: { kind: client_credentials, resource: https://api.example.com, scope: orders }`,
    ...options,
  })
  api.trust(world.provider.jwks)
}

/** Starts, and gives the page of somebody who has signed in. */
async function signedIn(...options: Parameters<typeof start>): Promise<Page> {
  await start(...options)
  const page = world.browser()
  expect((await page.signIn()).status).toBe(200)
  return page
}

const verdicts = () => api.calls.map(({ verdict }) => verdict)
const tokenCalls = () => world.tap.calls.filter(({ endpoint }) => endpoint === 'token').map(({ status }) => status)

describe('an API that takes bound tokens only', () => {
  it('gets the token in the DPoP scheme and a proof of the call (DP-1, DP-2, DP-3, DP-8)', async () => {
    const page = await signedIn()
    for (const path of ['/api/orders?page=2', '/api/orders']) expect((await page.call('GET', path)).status).toBe(200)
    expect(verdicts()).toEqual(['ok', 'ok'])
    const [first, second] = api.calls
    expect(first?.header).toEqual({
      typ: 'dpop+jwt',
      alg: 'ES256',
      jwk: { kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String) },
    })
    expect(first?.claims).toEqual({
      jti: expect.stringMatching(/^[\w-]{22}$/),
      htm: 'GET',
      htu: `${api.origin}/api/orders`,
      iat: expect.any(Number),
      ath: expect.stringMatching(/^[\w-]{43}$/),
    })
    expect(second?.claims.jti).not.toBe(first?.claims.jti)
    expect(second?.header['jwk']).toEqual(first?.header['jwk'])
  })

  it('gets a new token after a refresh, bound to the same key', async () => {
    const page = await signedIn()
    const before = world.open(page)
    expect((await refresh(page)).status).toBe(200)
    const after = world.open(page)
    expect(after.accessToken).not.toBe(before.accessToken)
    expect(after.dpopKeyId).toBe(before.dpopKeyId)
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
  })

  it("gets the application's own token bound as well", async () => {
    const page = await signedIn()
    for (const path of ['/app/a', '/app/b']) expect((await page.call('GET', path)).status).toBe(200)
    expect(verdicts()).toEqual(['ok', 'ok'])
    expect(world.tap.grants('client_credentials')).toHaveLength(1)
  })

  it('sees the URL of the gateway before it, where the route names that (DP-4)', async () => {
    const page = await signedIn({}, '      dpop_base_url: https://api.example.com/v2')
    api.base = 'https://api.example.com/v2'
    expect((await page.call('GET', '/api/orders?page=2')).status).toBe(200)
    expect(api.calls[0]?.claims['htu']).toBe('https://api.example.com/v2/api/orders')
  })
})

describe('nonces of the authorization server (RFC 9449 §8; DP-5, DP-12, FA-8)', () => {
  it('are taken up where the server asks, and sent at once from then on', async () => {
    const page = await signedIn({ provider: { requireDpopNonce: true } })
    expect(tokenCalls()).toEqual([400, 200])
    expect((await refresh(page)).status).toBe(200)
    expect((await world.browser().signIn()).status).toBe(200)
    expect(tokenCalls()).toEqual([400, 200, 200, 200])
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
  })
})

describe('nonces of an API (RFC 9449 §9)', () => {
  it.each(['GET', 'DELETE'])(
    'repeat %s once without a body, and are sent at once from then on (DP-5)',
    async (method) => {
      const page = await signedIn()
      api.nonce = freshNonce()
      const answer = await page.call(method, '/api/orders')
      expect([answer.status, answer.json()['verdict']]).toEqual([200, 'ok'])
      expect(answer.headers).not.toHaveProperty('dpop-nonce')
      expect((await page.call(method, '/api/orders')).status).toBe(200)
      expect(verdicts()).toEqual(['use_dpop_nonce', 'ok', 'ok'])
      expect(new Set(api.calls.map(({ claims }) => claims.jti)).size).toBe(3)
      expect(world.told('upstream.called').map(({ fields }) => fields['retried'])).toEqual([true, false])
    },
  )

  it('repeat a call with a short body, which is held back for that (DP-6)', async () => {
    const page = await signedIn()
    api.nonce = freshNonce()
    const form = { order: 'ü'.repeat(1000) }
    const answer = await page.call('POST', '/api/orders', { form })
    expect([answer.status, answer.json()['verdict']]).toEqual([200, 'ok'])
    const [first, second] = api.calls.map(({ body }) => body)
    expect(second).toBe(new URLSearchParams(form).toString())
    expect(first).toBe(second)
  })

  it.each([
    [65_536, 200, ['use_dpop_nonce', 'ok']],
    [65_537, 503, ['use_dpop_nonce']],
    [5_000_000, 503, ['use_dpop_nonce']],
  ])(
    'end a call with a body of %i bytes with %i; the next one carries them (DP-6)',
    async (length, status, expected) => {
      const page = await signedIn()
      api.nonce = freshNonce()
      const upload = { body: 'x'.repeat(length), headers: { 'content-type': 'text/plain' } }
      const answer = await page.call('POST', '/api/orders', upload)
      expect(answer.status).toBe(status)
      if (status === 503) expect(answer.json()['error_code']).toBe('upstream_nonce_required')
      expect(verdicts()).toEqual(expected)
      expect((await page.call('POST', '/api/orders', upload)).status).toBe(200)
    },
  )

  it('are taken from answers that are no refusals, and kept where one gives none', async () => {
    const page = await signedIn()
    api.answerFields = { 'dpop-nonce': 'next' }
    await page.call('GET', '/api/orders')
    api.answerFields = {}
    for (const _ of [1, 2]) await page.call('GET', '/api/orders')
    expect(api.calls.map(({ claims }) => claims['nonce'])).toEqual([undefined, 'next', 'next'])
  })

  it.each<[string, Record<string, string>]>([
    ['with an octet that no nonce has', { 'dpop-nonce': 'a b' }],
    ['too long for a header', { 'dpop-nonce': 'n'.repeat(513) }],
    ['empty', { 'dpop-nonce': '' }],
  ])('are not taken %s', async (_what, answerFields) => {
    const page = await signedIn()
    api.answerFields = answerFields
    for (const _ of [1, 2]) await page.call('GET', '/api/orders')
    expect(api.calls.map(({ claims }) => claims['nonce'])).toEqual([undefined, undefined])
  })

  it('that change all the time end in an error, not in a loop', async () => {
    const page = await signedIn()
    api.nonce = 'wanted'
    api.answerFields = { 'dpop-nonce': 'another' }
    const answer = await page.call('GET', '/api/orders')
    expect(statusAndCode(answer)).toEqual([503, 'upstream_nonce_required'])
    expect(answer.json()['retry_after']).toBe(1)
    expect(verdicts()).toEqual(['use_dpop_nonce', 'use_dpop_nonce'])
  })

  it('that are asked for and not given are a refusal like any other', async () => {
    const page = await signedIn()
    api.nonce = 'wanted'
    api.answerFields = { 'dpop-nonce': '' }
    expect(statusAndCode(await page.call('GET', '/api/orders'))).toEqual([401, 'upstream_unauthorized'])
    expect(verdicts()).toEqual(['use_dpop_nonce'])
  })
})

describe('a WebSocket to such an API', () => {
  function openLive(page: Page): WebSocket {
    const cookie = page.jar.header('localhost', '/api/live', 'same-site') ?? ''
    return new WebSocket(world.publicOrigin.replace('http', 'ws') + '/api/live?a=b', {
      origin: world.publicOrigin,
      headers: { cookie, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'empty' },
    })
  }

  it.each([
    ['without a nonce', undefined, ['ok']],
    ['with a nonce', 'nonce-of-the-api', ['use_dpop_nonce', 'ok']],
  ])('is proved %s', async (_what, nonce, expected) => {
    const page = await signedIn()
    api.nonce = nonce
    const socket = openLive(page)
    const said = await new Promise((resolve, reject) => {
      socket.once('message', (data) => resolve(String(data))).once('error', reject)
    })
    socket.terminate()
    expect(said).toBe('hello')
    expect(verdicts()).toEqual(expected)
    expect(api.calls.at(-1)?.claims).toMatchObject({ htm: 'GET', htu: `${api.origin}/api/live` })
  })

  it('is not tried for ever where the nonces change all the time, and nothing of them reaches the browser', async () => {
    await start()
    const page = world.browser()
    await page.signIn()
    api.nonce = 'wanted'
    api.answerFields = { 'dpop-nonce': 'another' }
    const answer = await new Promise<IncomingMessage>((resolve) => {
      openLive(page).once('unexpected-response', (_request, response) => resolve(response))
    })
    expect([answer.statusCode, answer.headers['token-handler-error']]).toEqual([503, 'upstream_nonce_required'])
    expect(JSON.stringify(answer.rawHeaders).toLowerCase()).not.toMatch(/dpop|another/)
    answer.destroy()
    expect(verdicts()).toEqual(['use_dpop_nonce', 'use_dpop_nonce'])
  })
})

const oldKey = testKeys('rotation')
const [oldId = ''] = oldKey.map(({ id }) => id)
const staged = rotateKeyRing(oldKey, { random: seededRandom('new key'), clock: createManualClock() }, 'stage')
const newId = staged.at(-1)?.id ?? ''
const promoted = promoteKey(staged, newId)
const withoutOld = removeKey(promoted, oldId)

describe('replicas and rotation', () => {
  let files: KeyEntries[]
  const startReplicas = async (): Promise<void> => {
    files = [staged, promoted]
    const rings = new Map([staged, promoted, withoutOld].map((file) => [file, createKeyRing(file)]))
    await start({
      replicas: 2,
      keysOf: (replica) => ({ current: () => rings.get(files[replica] ?? staged) ?? createKeyRing(staged) }),
    })
  }

  it('the key of the sign-in is that of its start, at whichever replica it ends (DP-10)', async () => {
    await startReplicas()
    const page = world.browser()
    world.balance = () => 0
    const started = await startLogin(page)
    const query = await page.visit(authorizationUrlOf(started).href)
    world.balance = () => 1
    expect((await endLogin(page, query)).status).toBe(200)
    for (const replica of [0, 1]) {
      world.balance = () => replica
      expect((await page.call('GET', '/api/orders')).status).toBe(200)
    }
    expect((await refresh(page)).status).toBe(200)
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
    const keys = api.calls.map(({ header }) => JSON.stringify(header['jwk']))
    expect(new Set(keys).size).toBe(1)
  })

  it('a session whose key is taken away goes on with the next refresh, bound to another (RT-7)', async () => {
    await startReplicas()
    files = [staged, staged]
    const page = world.browser()
    await page.signIn()
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
    // What the access cookie is sealed with comes from a refresh; the key that the token is bound to stays the old one.
    files = [promoted, promoted]
    expect((await refresh(page)).status).toBe(200)
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
    files = [withoutOld, withoutOld]
    expect(statusAndCode(await page.call('GET', '/api/orders'))).toEqual([401, 'access_token_expired'])
    expect((await refresh(page)).status).toBe(200)
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
    expect(verdicts()).toEqual(['ok', 'ok', 'ok'])
    const [first, second, third] = api.calls.map(({ header }) => JSON.stringify(header['jwk']))
    expect(second).toBe(first)
    expect(third).not.toBe(first)
  })
})
