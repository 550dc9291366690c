import { hash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { createDpopKeys } from '../../shared/crypto/dpop-keys.ts'
import { type DpopApi, startDpopApi } from '../support/dpop-api.ts'
import { freePort } from '../support/free-port.ts'
import { binding, jwt } from '../support/installation.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { answer, okBytes, startUpstream, type Upstream } from '../support/upstream.ts'
import { errorCode } from '../support/raw-http.ts'
import { clientSecret } from '../support/world.ts'

/** Attack: use a token without the key that it is bound to, or make the proxy prove something else than the call it makes. */

const upstreams: Upstream[] = []
let proxy: ProxyWorld | undefined
afterEach(async () => {
  await proxy?.close()
  for (const upstream of upstreams.splice(0)) await upstream.close()
})

const isOn = '  dpop_bound_access_tokens: true'

/** A proxy before APIs at /a/** and /b/**, and a session whose token is bound to its key. */
async function start(more = '') {
  const [a, b] = await Promise.all([startUpstream(), startUpstream()])
  upstreams.push(a, b)
  const routes = [a, b].map(
    ({ origin }, index) => `    - { path: /${'ab'[index]}/**, methods: [GET, POST], upstream: '${origin}'${more} }\n`,
  )
  const started = await startProxy(routes.join(''), '', undefined, isOn)
  proxy = started
  const { keyId: dpopKeyId } = createDpopKeys({ keys: started.keys, binding }).current()
  return { a, b, proxy: started, cookies: started.cookies({ dpopKeyId }) }
}

const proofsOf = ({ seen }: Upstream) => seen.map(({ values }) => values('dpop'))
const claimsOf = (upstream: Upstream) => proofsOf(upstream).map(([proof]) => decodeJwt(proof ?? ''))
const ok = (...lines: string[]) => answer(okBytes('', lines))
const refusal = (challenge: string, ...lines: string[]) =>
  answer(okBytes('', [`WWW-Authenticate: ${challenge}`, ...lines], '401 Unauthorized'))

describe('a proof that the browser brings', () => {
  it.each(['DPoP: stolen', 'dpop: stolen', 'DPOP: stolen'])('does not reach the API: %s', async (line) => {
    const { a, proxy, cookies } = await start()
    await proxy.call('GET', '/a/x', { cookies, more: [line] })
    const [proofs] = proofsOf(a)
    expect(proofs).toHaveLength(1)
    expect(decodeJwt(proofs?.[0] ?? '')).toMatchObject({ htm: 'GET' })
  })

  it('does not stand in for one where no token is sent', async () => {
    const { a, proxy } = await start(', credential: { kind: none }, anonymous: none')
    await proxy.call('GET', '/a/x', { cookies: undefined, more: ['DPoP: stolen', 'Authorization: DPoP stolen'] })
    expect([proofsOf(a), a.seen.map(({ values }) => values('authorization'))]).toEqual([[[]], [[]]])
  })
})

describe('what is proved is the call that is made', () => {
  it.each([
    ['/a/x?htu=https://elsewhere.example.com', '/a/x'],
    ['/a/%C3%BC/*,@:', '/a/%C3%BC/*,@:'],
    ['/a/', '/a/'],
  ])('%s', async (target, path) => {
    const { a, proxy, cookies } = await start()
    await proxy.call('POST', target, { cookies, body: 'htm=GET', more: ['X-Forwarded-Host: elsewhere.example.com'] })
    expect(claimsOf(a)).toMatchObject([{ htm: 'POST', htu: `${a.origin}${path}` }])
    expect(a.seen[0]?.values('host')).toEqual([new URL(a.origin).host])
  })

  it('and of the token that goes with it', async () => {
    const { a, proxy, cookies } = await start()
    await proxy.call('GET', '/a/x', { cookies })
    expect(a.seen[0]?.values('authorization')).toEqual([`DPoP ${jwt(1194)}`])
    expect(claimsOf(a)).toMatchObject([{ ath: hash('sha256', jwt(1194), 'base64url') }])
  })

  it('at the place that gets it, where another could not be reached', async () => {
    const [live, port] = await Promise.all([startUpstream(), freePort()])
    upstreams.push(live)
    const places = `['http://127.0.0.1:${port}', '${live.origin}']`
    const started = await startProxy(`    - { path: /a/**, upstream: ${places} }`, '', undefined, isOn)
    proxy = started
    const { keyId: dpopKeyId } = createDpopKeys({ keys: started.keys, binding }).current()
    expect((await started.call('GET', '/a/x', { cookies: started.cookies({ dpopKeyId }) })).status).toBe(200)
    expect(claimsOf(live)).toMatchObject([{ htu: `${live.origin}/a/x` }])
  })

  it('and never twice the same, also where a stale connection makes it be sent again (DP-6)', async () => {
    const { a, proxy, cookies } = await start()
    a.behave((socket) => {
      if (a.seen.length === 1) socket.destroy()
      else socket.write(okBytes(''))
    })
    expect((await proxy.call('GET', '/a/x', { cookies })).status).toBe(200)
    const ids = claimsOf(a).map(({ jti }) => jti)
    expect(ids).toHaveLength(2)
    expect(new Set(ids).size).toBe(2)
  })
})

describe('a nonce of one API', () => {
  it('is shown to no other, however the other asks (DP-5)', async () => {
    const { a, b, proxy, cookies } = await start()
    a.behave(ok('DPoP-Nonce: of-a'))
    b.behave(refusal('DPoP error="use_dpop_nonce"'))
    for (const target of ['/a/x', '/b/x', '/a/x']) await proxy.call('GET', target, { cookies })
    expect(claimsOf(a).map((claims) => claims['nonce'])).toEqual([undefined, 'of-a'])
    expect(claimsOf(b).map((claims) => claims['nonce'])).toEqual([undefined])
  })

  it('is shown to no other behind the same gateway (DP-5)', async () => {
    const gateway = await startUpstream()
    upstreams.push(gateway)
    const routes = ['a', 'b'].map(
      (name) =>
        `    - { path: /${name}/**, upstream: '${gateway.origin}', dpop_base_url: 'https://${name}.example.com' }\n`,
    )
    const started = await startProxy(routes.join(''), '', undefined, isOn)
    proxy = started
    const { keyId: dpopKeyId } = createDpopKeys({ keys: started.keys, binding }).current()
    const cookies = started.cookies({ dpopKeyId })
    gateway.behave((socket, seen) => ok(`DPoP-Nonce: of${seen.target.replaceAll('/', '-')}`)(socket, seen))
    for (const target of ['/a/x', '/b/x', '/a/x', '/b/x']) await started.call('GET', target, { cookies })
    expect(claimsOf(gateway).map((claims) => claims['nonce'])).toEqual([undefined, undefined, 'of-a-x', 'of-b-x'])
  })

  it('given twice in one answer is none', async () => {
    const { a, proxy, cookies } = await start()
    a.behave(ok('DPoP-Nonce: one', 'DPoP-Nonce: two'))
    for (const _ of [1, 2]) await proxy.call('GET', '/a/x', { cookies })
    expect(claimsOf(a).map((claims) => claims['nonce'])).toEqual([undefined, undefined])
  })

  it.each([
    ['200 OK', 200],
    ['401 Unauthorized', 401],
    ['403 Forbidden', 403],
  ])('and its challenge are not seen by the browser, with %s (DP-9)', async (status, shown) => {
    const { a, proxy, cookies } = await start()
    const lines = ['WWW-Authenticate: DPoP error="invalid_token", algs="ES256"', 'DPoP-Nonce: of-a']
    a.behave(answer(okBytes('', lines, status)))
    const got = await proxy.call('GET', '/a/x', { cookies })
    expect(got.status).toBe(shown)
    expect(JSON.stringify(got).toLowerCase()).not.toMatch(/dpop|of-a/)
  })
})

describe('the refusals of an API mean the same in the DPoP scheme (DP-9)', () => {
  it.each<[string, string, number, object]>([
    ['insufficient_scope', 'DPoP error="insufficient_scope", scope="orders"', 403, { scope: 'orders' }],
    [
      'insufficient_user_authentication',
      'DPoP error="insufficient_user_authentication", acr_values="mfa", max_age=60',
      401,
      { acr_values: 'mfa', max_age: 60 },
    ],
    ['upstream_unauthorized', 'DPoP error="invalid_token"', 401, {}],
    ['upstream_proof_refused', 'DPoP error="invalid_dpop_proof"', 502, {}],
    ['upstream_unauthorized', 'Bearer error="invalid_dpop_proof"', 401, {}],
    ['upstream_unauthorized', 'Bearer error="use_dpop_nonce"', 401, {}],
    ['upstream_nonce_required', 'Bearer realm="x", dpop error="use_dpop_nonce"', 503, { retry_after: 1 }],
    ['upstream_nonce_required', 'Bearer error="invalid_token", DPoP error="use_dpop_nonce"', 503, { retry_after: 1 }],
  ])('%s: %s', async (code, challenge, status, fields) => {
    const { a, proxy, cookies } = await start()
    a.behave(refusal(challenge, 'DPoP-Nonce: of-a'))
    const got = await proxy.call('GET', '/a/x', { cookies })
    expect([got.status, errorCode(got)]).toEqual([status, code])
    expect(JSON.parse(got.body)).toMatchObject(fields)
    expect(a.seen).toHaveLength(code === 'upstream_nonce_required' ? 2 : 1)
    const told = proxy.events.filter(({ name }) => name === 'upstream.failed').map(({ fields }) => fields['check'])
    expect(told).toEqual(code.startsWith('upstream_') ? ['upstream'] : [])
  })

  it('and one that takes no proof costs no refresh for each call: 400 and 401 are the same error, which a page cannot mend', async () => {
    const { a, proxy, cookies } = await start()
    a.behave(answer(okBytes('{"why":"iat"}', ['WWW-Authenticate: DPoP error="invalid_dpop_proof"'], '400 Bad Request')))
    const got = await proxy.call('GET', '/a/x', { cookies })
    expect([got.status, errorCode(got)]).toEqual([502, 'upstream_proof_refused'])
    expect(got.body).not.toContain('why')
  })

  it('and a nonce is no way to make a proxy repeat what it sent as a bearer', async () => {
    const upstream = await startUpstream()
    upstreams.push(upstream)
    proxy = await startProxy(`    - { path: /a/**, upstream: '${upstream.origin}' }`)
    upstream.behave(refusal('DPoP error="use_dpop_nonce"', 'DPoP-Nonce: of-a'))
    expect(errorCode(await proxy.call('GET', '/a/x'))).toBe('upstream_unauthorized')
    expect(upstream.seen.map(({ values }) => [values('authorization').length, values('dpop')])).toEqual([[1, []]])
  })
})

describe('what is logged of a call', () => {
  it('is nothing of its proof, its nonce or its token, whatever comes of it', async () => {
    const { a, proxy, cookies } = await start()
    const answers = [
      refusal('DPoP error="use_dpop_nonce"', 'DPoP-Nonce: of-a'),
      ok('DPoP-Nonce: of-a'),
      refusal('DPoP error="use_dpop_nonce"', 'DPoP-Nonce: of-a-2'),
      refusal('DPoP error="use_dpop_nonce"', 'DPoP-Nonce: of-a-3'),
      refusal('DPoP error="invalid_dpop_proof"', 'DPoP-Nonce: of-a-4'),
    ]
    a.behave((socket, seen) => answers.shift()?.(socket, seen))
    for (const _ of [1, 2, 3]) await proxy.call('GET', '/a/x', { cookies })
    expect(answers).toEqual([])
    const told = JSON.stringify(proxy.events)
    expect(told).toContain('upstream_proof_refused')
    for (const [proof = ''] of proofsOf(a)) for (const part of proof.split('.')) expect(told).not.toContain(part)
    const [token = ''] = a.seen[0]?.values('authorization') ?? []
    for (const secret of ['of-a', token, claimsOf(a)[0]?.['ath']]) expect(told).not.toContain(secret)
  })
})

describe('a cookie that does not fit the setting', () => {
  it.each<[string, string | undefined]>([
    ['with a bearer token', undefined],
    ['with the key of another ring', 'ffffffff'],
  ])('%s lets nothing reach the API', async (_what, dpopKeyId) => {
    const { a, proxy } = await start()
    const cookies = proxy.cookies(dpopKeyId === undefined ? {} : { dpopKeyId })
    const got = await proxy.call('GET', '/a/x', { cookies })
    expect([got.status, errorCode(got)]).toEqual([401, 'access_token_expired'])
    expect(a.seen).toEqual([])
  })

  it('with a bound token is not sent as a bearer where the setting is off', async () => {
    const upstream = await startUpstream()
    upstreams.push(upstream)
    proxy = await startProxy(`    - { path: /a/**, upstream: '${upstream.origin}' }`)
    const { keyId: dpopKeyId } = createDpopKeys({ keys: proxy.keys, binding }).current()
    const got = await proxy.call('GET', '/a/x', { cookies: proxy.cookies({ dpopKeyId }) })
    expect([got.status, errorCode(got)]).toEqual([401, 'access_token_expired'])
    expect(upstream.seen).toEqual([])
  })
})

describe('a bound token that is no token', () => {
  it.each(['at\r\nX-Admin: 1', 'at\0', 'at \u2603', 'at\u00ff', 'a b', 'a,b', 'a"b', ''])(
    'H12 %j reaches no header of a call',
    async (accessToken) => {
      const { a, proxy } = await start()
      const { keyId: dpopKeyId } = createDpopKeys({ keys: proxy.keys, binding }).current()
      const got = await proxy.call('GET', '/a/x', { cookies: proxy.cookies({ dpopKeyId, accessToken }) })
      expect([got.status, errorCode(got)]).toEqual([502, 'authorization_server_error'])
      expect(a.seen).toEqual([])
    },
  )
})

describe('a token stolen from an API', () => {
  it('is of no use to the thief, alone, with the proof that came with it, or with a key of their own', async () => {
    const api: DpopApi = await startDpopApi()
    const world = await startProviderWorld({
      client: `  authentication: client_secret_basic\n  secret: ${clientSecret}\n${isOn}`,
      settings: `proxy: { routes: [{ path: /api/**, upstream: ${api.origin} }] }`,
    })
    api.trust(world.provider.jwks)
    const page = world.browser()
    await page.signIn()
    expect((await page.call('GET', '/api/orders')).status).toBe(200)
    const { authorization = '', dpop: shown = '' } = api.calls[0]?.headers ?? {}
    const token = authorization.replace('DPoP ', '')
    const own = await generateKeyPair('ES256')
    const forged = async (header: object) =>
      new SignJWT({ ...decodeJwt(String(shown)), jti: crypto.randomUUID() })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', ...header })
        .sign(own.privateKey)
    const tries: [string, Record<string, string>][] = [
      ['proof_count', { authorization: `Bearer ${token}` }],
      ['proof_count', { authorization }],
      ['scheme', { authorization: `Bearer ${token}`, dpop: String(shown) }],
      ['jti', { authorization, dpop: String(shown) }],
      ['jkt', { authorization, dpop: await forged({ jwk: await exportJWK(own.publicKey) }) }],
      ['invalid_dpop_proof', { authorization, dpop: await forged({ jwk: decodeProtectedHeader(String(shown)).jwk }) }],
    ]
    for (const [verdict, headers] of tries) {
      const got = await fetch(`${api.origin}/api/orders`, { headers })
      expect([got.status, await got.json()]).toMatchObject([401, { verdict }])
    }
    await world.close()
    await api.close()
  })
})
