import { describe, expect, it } from 'vitest'
import { asksForTokens, type CredentialRoute, createCredentials } from '../../../oauth-proxy/credentials/credentials.ts'
import { createTokenRequests } from '../../../oauth-proxy/credentials/token-request.ts'
import type { ErrorCode } from '../../../shared/errors.ts'
import { createAuthorizationServer } from '../../../shared/oauth/authorization-server.ts'
import { ProviderUnavailable } from '../../../shared/oauth/provider-error.ts'
import type { EventName } from '../../../shared/observe/events.ts'
import { Secret } from '../../../shared/secret.ts'
import { binding } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import {
  type AnswerTokenRequest,
  createTokenEndpoint,
  tokenClientConfig,
  type TokenReply,
} from '../../support/token-endpoint.ts'

const { issuer, clientId } = binding
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const config = tokenClientConfig()

/** Credentials over a scripted token endpoint. */
function credentialsWith(reply: AnswerTokenRequest) {
  const clock = createManualClock()
  const asked: Record<string, string>[] = []
  const events: { name: EventName; fields: object }[] = []
  const transport = createTokenEndpoint(issuer, (form, headers) => {
    asked.push(Object.fromEntries(form))
    return reply(form, headers)
  })
  const observe = { emit: (name: EventName, fields: object) => void events.push({ name, fields }) }
  const authorizationServer = createAuthorizationServer({ config, clock, observe, transport })
  const requests = createTokenRequests({ authorizationServer, settings: config.session, clock })
  const credentials = createCredentials({ requests, clock, observe })
  const sessionOf = (accessToken: string, lifeSeconds = 300) => ({
    accessToken,
    accessTokenExpiresAt: clock.nowSeconds() + lifeSeconds,
  })
  return { credentials, clock, asked, events, sessionOf }
}

const route = (parts: Partial<CredentialRoute>): CredentialRoute => ({
  path: '/api/**',
  credential: { kind: 'user' },
  anonymous: 'deny',
  anonymousToken: {},
  ...parts,
})
const exchange = (parts: { audience?: string; resource?: string; scope?: string; requestedTokenType?: string }) =>
  route({ credential: { kind: 'exchange', ...parts } })

const exchanged = (token: string, parts: object = {}): TokenReply => ({
  body: { access_token: token, issued_token_type: accessTokenType, token_type: 'Bearer', expires_in: 300, ...parts },
})
const echo: AnswerTokenRequest = (form) =>
  exchanged(`${form.get('subject_token')}.for.${form.get('audience') ?? 'nobody'}`)

const bearer = (token: string) => ({ header: 'authorization', value: `Bearer ${token}` })

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | undefined> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return (error as { code?: ErrorCode } | undefined)?.code
}

describe('what each kind of credential gives', () => {
  const { credentials, sessionOf, asked } = credentialsWith(() => ({
    body: { access_token: 'of-the-app', token_type: 'bearer', expires_in: 300 },
  }))
  const session = sessionOf('of-the-user')
  it.each([
    ['user', route({}), session, bearer('of-the-user')],
    ['none', route({ credential: { kind: 'none' } }), session, undefined],
    [
      'api_key',
      route({ credential: { kind: 'api_key', header: 'X-Api-Key', prefix: '', value: new Secret('key') } }),
      session,
      { header: 'x-api-key', value: 'key' },
    ],
    [
      'api_key with a prefix',
      route({ credential: { kind: 'api_key', header: 'Authorization', prefix: 'ApiKey ', value: new Secret('key') } }),
      session,
      { header: 'authorization', value: 'ApiKey key' },
    ],
    ['client_credentials', route({ credential: { kind: 'client_credentials' } }), session, bearer('of-the-app')],
    ['a visitor with anonymous: none', route({ anonymous: 'none' }), undefined, undefined],
    [
      'a visitor with anonymous: client_credentials',
      route({ anonymous: 'client_credentials', anonymousToken: { scope: 'catalogue', resource: 'https://c.example' } }),
      undefined,
      bearer('of-the-app'),
    ],
  ])('%s', async (_name, given, session, expected) => {
    expect(await credentials.obtain(given, session, 'r1')).toEqual(expected)
  })
  it.each([
    ['user', route({}), false],
    ['none', route({ credential: { kind: 'none' } }), false],
    ['api_key', route({ credential: { kind: 'api_key', header: 'X', prefix: '', value: new Secret('key') } }), false],
    ['a visitor with anonymous: none', route({ anonymous: 'none' }), false],
    ['exchange', exchange({}), true],
    ['client_credentials', route({ credential: { kind: 'client_credentials' } }), true],
    ['a visitor with anonymous: client_credentials', route({ anonymous: 'client_credentials' }), true],
  ])('%s, where nobody requests tokens, fails only if it asks for them', async (_name, given, asks) => {
    expect(asksForTokens(given)).toBe(asks)
    const alone = createCredentials({ requests: undefined, clock: createManualClock(), observe: { emit() {} } })
    const caller = given.anonymous === 'deny' ? session : undefined
    const outcome = alone.obtain(given, caller, 'r1').then(
      () => false,
      (error: unknown) => error instanceof RangeError,
    )
    expect(await outcome).toBe(asks)
  })
  it('asks for the token of visitors with their own target', async () => {
    const anonymousToken = { scope: 'catalogue', resource: 'https://c.example/of-this-test', audience: 'visitors' }
    await credentials.obtain(route({ anonymous: 'client_credentials', anonymousToken }), undefined, 'r1')
    expect(asked.at(-1)).toMatchObject({
      grant_type: 'client_credentials',
      scope: 'catalogue',
      resource: 'https://c.example/of-this-test',
      audience: 'visitors',
      client_id: clientId,
    })
  })
  it.each([{ kind: 'user' }, { kind: 'none' }, { kind: 'client_credentials' }] as const)(
    'a visitor gets nothing by default: $kind',
    async (credential) => {
      expect(await codeOf(credentials.obtain(route({ credential }), undefined, 'r1'))).toBe('session_missing')
    },
  )
  it('H12 never sends a call without its credential because the token is no token', async () => {
    for (const token of ['', 'a b', 'a\r\nX-User: admin', 'a,b', 'ä', 'a\0']) {
      expect(await codeOf(credentials.obtain(route({}), sessionOf(token), 'r1'))).toBe('authorization_server_error')
    }
  })
})

describe('token exchange', () => {
  it.each([
    ['audience', { audience: 'orders' }],
    ['resource', { resource: 'https://orders.example' }],
    ['scope', { scope: 'orders:read' }],
  ])('asks with %s only (servers differ in which they know)', async (_name, target) => {
    const { credentials, asked, sessionOf } = credentialsWith(echo)
    await credentials.obtain(exchange(target), sessionOf('at'), 'r1')
    const { client_secret: _secret, ...form } = asked[0] ?? {}
    expect(form).toEqual({
      ...target,
      client_id: clientId,
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'at',
      subject_token_type: accessTokenType,
    })
  })

  it('X-7 takes token_type N_A for a JWT, and sends it as a bearer', async () => {
    const jwtType = 'urn:ietf:params:oauth:token-type:jwt'
    const { credentials, sessionOf, asked } = credentialsWith(() =>
      exchanged('a.b.c', { token_type: 'N_A', issued_token_type: jwtType }),
    )
    const given = exchange({ audience: 'orders', requestedTokenType: jwtType })
    expect(await credentials.obtain(given, sessionOf('at'), 'r1')).toEqual(bearer('a.b.c'))
    expect(asked[0]).toMatchObject({ requested_token_type: jwtType })
  })

  it.each([
    ['no issued_token_type', { issued_token_type: undefined }],
    ['an ID token', { issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }],
    ['a refresh token', { issued_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['a SAML assertion', { issued_token_type: 'urn:ietf:params:oauth:token-type:saml2' }],
    ['a sender-constrained token', { token_type: 'DPoP' }],
    ['a line break in the token', { access_token: 'a\r\nX-User: admin' }],
    ['no token', { access_token: undefined }],
    ['a token that is no b64token', { access_token: 'a,b' }],
  ])('refuses %s', async (_name, parts) => {
    const { credentials, sessionOf } = credentialsWith(() => exchanged('token', parts))
    expect(await codeOf(credentials.obtain(exchange({ audience: 'orders' }), sessionOf('at'), 'r1'))).toBe(
      'token_exchange_failed',
    )
  })

  it('gives each API its own token, and the API of one never that of the other', async () => {
    const { credentials, asked, sessionOf } = credentialsWith(echo)
    const session = sessionOf('alice')
    for (let round = 0; round < 3; round += 1) {
      for (const audience of ['orders', 'payments']) {
        expect(await credentials.obtain(exchange({ audience }), session, 'r1')).toEqual(bearer(`alice.for.${audience}`))
      }
    }
    expect(asked).toHaveLength(2)
  })

  it('C05 gives each user the token made from their own, and each refreshed token a new one', async () => {
    const { credentials, asked, sessionOf } = credentialsWith(echo)
    for (let round = 0; round < 3; round += 1) {
      for (const user of ['alice-1', 'bob-1', 'alice-2']) {
        const credential = await credentials.obtain(exchange({ audience: 'orders' }), sessionOf(user), 'r1')
        expect(credential).toEqual(bearer(`${user}.for.orders`))
      }
    }
    expect(asked).toHaveLength(3)
  })

  const alike = [
    { audience: 'a', resource: 'b' },
    { audience: 'ab' },
    { audience: 'a' },
    { resource: 'ab' },
    { scope: 'ab' },
    { scope: 'a' },
    { audience: 'a', scope: 'b' },
    { audience: 'a","b' },
  ]
  it.each([
    ['exchange', [...alike, { requestedTokenType: 'ab' }]],
    ['client_credentials', alike],
  ] as const)('targets that look alike when put together are different targets: %s', async (kind, targets) => {
    const { credentials, asked, sessionOf } = credentialsWith(() => exchanged('token'))
    const session = sessionOf('alice')
    for (let round = 0; round < 2; round += 1) {
      for (const target of targets) await credentials.obtain(route({ credential: { kind, ...target } }), session, 'r1')
    }
    expect(asked).toHaveLength(targets.length)
  })

  it('never keeps a token longer than the token it was made from', async () => {
    const { credentials, clock, asked, sessionOf } = credentialsWith((form) =>
      exchanged(`${form.get('subject_token')}x`, { expires_in: 86_400 }),
    )
    const session = sessionOf('alice', 60)
    await credentials.obtain(exchange({ audience: 'orders' }), session, 'r1')
    clock.pass(60)
    await credentials.obtain(exchange({ audience: 'orders' }), session, 'r2')
    expect(asked).toHaveLength(2)
  })

  it('asks again after the API refused the token, and only then', async () => {
    let count = 0
    const { credentials, clock, sessionOf } = credentialsWith(() => exchanged(`token${++count}`))
    const session = sessionOf('alice')
    const given = exchange({ audience: 'orders' })
    const first = await credentials.obtain(given, session, 'r1')
    clock.pass(10)
    credentials.refused(given, session, bearer('another'))
    expect(await credentials.obtain(given, session, 'r2')).toEqual(first)
    credentials.refused(given, session, first)
    expect(await credentials.obtain(given, session, 'r3')).toEqual(bearer('token2'))
  })

  it('makes one call for many at once and tells each what happened', async () => {
    const { credentials, asked, events, sessionOf } = credentialsWith(echo)
    const session = sessionOf('alice')
    const all = await Promise.all(
      Array.from({ length: 40 }, (_, at) => credentials.obtain(exchange({ audience: 'orders' }), session, `r${at}`)),
    )
    expect(new Set(all.map((credential) => credential?.value))).toEqual(new Set(['Bearer alice.for.orders']))
    expect(asked).toHaveLength(1)
    expect(events.filter(({ name }) => name === 'credential.obtained')).toHaveLength(40)
  })

  it('tells what was obtained for which call, and whether it was kept', async () => {
    const { credentials, events, sessionOf } = credentialsWith(echo)
    const session = sessionOf('alice')
    for (const id of ['r1', 'r2']) await credentials.obtain(exchange({ audience: 'orders' }), session, id)
    const facts = { route: '/api/**', credential: 'exchange', outcome: 'obtained' }
    expect(events.filter(({ name }) => name === 'credential.obtained').map(({ fields }) => fields)).toEqual([
      { ...facts, request_id: 'r1', cached: false },
      { ...facts, request_id: 'r2', cached: true },
    ])
  })
})

describe('failures of the token request', () => {
  const refusal =
    (error: string, status = 400): AnswerTokenRequest =>
    () => ({ status, body: { error } })
  const unavailable: AnswerTokenRequest = () => {
    throw new ProviderUnavailable('token', 'connection_lost', 7)
  }
  const queueFull: AnswerTokenRequest = () => {
    throw new ProviderUnavailable('token', 'queue_full', 7)
  }
  it.each<[string, AnswerTokenRequest, ErrorCode]>([
    ['invalid_target', refusal('invalid_target'), 'token_exchange_failed'],
    ['invalid_grant', refusal('invalid_grant'), 'token_exchange_failed'],
    ['invalid_request', refusal('invalid_request'), 'token_exchange_failed'],
    ['an unknown word', refusal('<script>'), 'token_exchange_failed'],
    ['invalid_client', refusal('invalid_client', 401), 'client_authentication_failed'],
    ['interaction_required', refusal('interaction_required'), 'interaction_required'],
    ['temporarily_unavailable', refusal('temporarily_unavailable'), 'authorization_server_unavailable'],
    ['no answer', unavailable, 'authorization_server_unavailable'],
    ['too many requests of ours before it', queueFull, 'overloaded'],
    ['no object', () => ({ body: 'token' }), 'token_exchange_failed'],
  ])('%s', async (_name, reply, code) => {
    const { credentials, sessionOf, events } = credentialsWith(reply)
    const failed = credentials.obtain(exchange({ audience: 'orders' }), sessionOf('at'), 'r1')
    expect(await codeOf(failed)).toBe(code)
    await expect(failed).rejects.toMatchObject({ row: { endsSession: false } })
    expect(events.at(-1)).toMatchObject({ name: 'credential.obtained', fields: { outcome: code, cached: false } })
  })

  it.each([unavailable, queueFull])('the page is told how long to wait', async (reply) => {
    const { credentials, sessionOf } = credentialsWith(reply)
    const failed = credentials.obtain(exchange({ audience: 'orders' }), sessionOf('at'), 'r1')
    await expect(failed).rejects.toMatchObject({ fields: { retry_after: 7 } })
  })

  it('no user is sent to sign in for a token of the application', async () => {
    const { credentials, sessionOf } = credentialsWith(refusal('interaction_required'))
    const failed = credentials.obtain(route({ credential: { kind: 'client_credentials' } }), sessionOf('at'), 'r1')
    expect(await codeOf(failed)).toBe('token_exchange_failed')
  })

  it.each<[string, AnswerTokenRequest, object]>([
    ['which word the server used', refusal('invalid_target'), { provider_error: 'invalid_target' }],
    ['what was wrong with the answer', () => ({ body: 'token' }), { check: expect.any(String) }],
  ])('the log is told %s', async (_name, reply, detail) => {
    const { credentials, sessionOf } = credentialsWith(reply)
    const failed = credentials.obtain(exchange({ audience: 'orders' }), sessionOf('at'), 'r1')
    await expect(failed).rejects.toMatchObject({ detail })
  })

  it('a token that no header can hold is refused once, not kept and refused for its whole life', async () => {
    const tokens = ['not,a,token', 'a-token']
    const { credentials, sessionOf } = credentialsWith(() => exchanged(tokens.shift() ?? ''))
    const session = sessionOf('at')
    const given = exchange({ audience: 'orders' })
    expect(await codeOf(credentials.obtain(given, session, 'r1'))).toBe('token_exchange_failed')
    expect(await credentials.obtain(given, session, 'r2')).toEqual(bearer('a-token'))
  })

  it('one failure is not remembered', async () => {
    let first = true
    const { credentials, sessionOf } = credentialsWith(() => {
      if (!first) return exchanged('token')
      first = false
      return { status: 400, body: { error: 'invalid_target' } }
    })
    const session = sessionOf('at')
    expect(await codeOf(credentials.obtain(exchange({ audience: 'orders' }), session, 'r1'))).toBe(
      'token_exchange_failed',
    )
    expect(await credentials.obtain(exchange({ audience: 'orders' }), session, 'r2')).toEqual(bearer('token'))
  })
})
