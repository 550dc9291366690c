import { createHash, randomBytes } from 'node:crypto'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  demoCode,
  demoPassword,
  mfaLevel,
  type OpenIdProvider,
  startOpenIdProvider,
  tokenExchangeGrant,
} from '../../spa-example/openid-provider.ts'

const redirectUri = 'http://localhost:3000/callback'
const secret = 'a-secret-for-this-test-alone-0123456789'
const partner = 'https://partner.example.com'

/** A browser at the provider: cookies by name, no redirect followed by itself. */
function createVisitor(issuer: string) {
  const cookies = new Map<string, string>()
  const get = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(new URL(url, issuer), { ...init, redirect: 'manual', headers: { cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    return response
  }
  /** Follows redirects until a page or the way back to the app. */
  const follow = async (url: string, init?: RequestInit): Promise<{ url: string; page: string; status: number }> => {
    const response = await get(url, init)
    const location = response.headers.get('location')
    if (location?.startsWith(redirectUri)) return { url: location, page: '', status: response.status }
    if (location !== null) return follow(new URL(location, issuer).href)
    return { url, page: await response.text(), status: response.status }
  }
  return { get, follow }
}

describe('the embedded OpenID Provider', () => {
  let provider: OpenIdProvider
  beforeAll(async () => {
    provider = await startOpenIdProvider({
      clients: [
        {
          client_id: 'spa',
          client_name: 'Shop <b>',
          client_secret: secret,
          redirect_uris: [redirectUri],
          post_logout_redirect_uris: ['http://localhost:3000/'],
          grant_types: ['authorization_code', 'refresh_token', tokenExchangeGrant],
          response_types: ['code'],
        },
      ],
      resources: [
        { identifier: 'https://api.example.com', scope: 'orders' },
        { identifier: partner, scope: 'invoices' },
      ],
    })
  })
  afterAll(() => provider.close())

  const verifier = randomBytes(32).toString('base64url')
  const authorizationUrl = (more: Readonly<Record<string, string>> = {}) =>
    `${provider.issuer}/auth?${new URLSearchParams({
      client_id: 'spa',
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid profile orders',
      state: 's',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    }).toString()}`
  const token = async (fields: Readonly<Record<string, string>>) => {
    const response = await fetch(`${provider.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`spa:${secret}`).toString('base64')}` },
      body: new URLSearchParams(fields),
    })
    return { status: response.status, body: (await response.json()) as Record<string, string> }
  }
  const redeem = (url: string) =>
    token({
      grant_type: 'authorization_code',
      code: new URL(url).searchParams.get('code') ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
    })
  const form = (fields: Readonly<Record<string, string>>) => ({
    method: 'POST',
    body: new URLSearchParams({ action: 'sign-in', username: 'alice', password: demoPassword, ...fields }),
  })
  const signIn = async (visitor = createVisitor(provider.issuer), more = {}, fields = {}) => {
    const page = await visitor.follow(authorizationUrl(more))
    const back = page.page === '' ? page : await visitor.follow(page.url, form(fields))
    return (await redeem(back.url)).body
  }

  it('signs a demo user in, with a token for the API that userinfo takes, too', async () => {
    const tokens = await signIn()
    expect(decodeJwt(tokens['access_token']!)).toMatchObject({ aud: 'https://api.example.com', sub: 'u-1001' })
    expect(decodeJwt(tokens['id_token']!)).toMatchObject({ name: 'Alice Archer', acr: 'urn:example:pwd', amr: ['pwd'] })
    const authorization = `Bearer ${tokens['access_token']}`
    const userinfo = await fetch(`${provider.issuer}/me`, { headers: { authorization } })
    expect(await userinfo.json()).toMatchObject({ sub: 'u-1001', name: 'Alice Archer' })
    const forged = `${authorization.slice(0, -8)}AAAAAAAA`
    expect((await fetch(`${provider.issuer}/me`, { headers: { authorization: forged } })).status).toBe(401)
  })

  it('shows one page for a wrong name and a wrong password, and runs nothing that it is given', async () => {
    const visitor = createVisitor(provider.issuer)
    const { url, page } = await visitor.follow(authorizationUrl({ login_hint: '"><script>x' }))
    expect(page).toContain('&quot;&gt;&lt;script&gt;x')
    expect(page).toContain('Shop &lt;b&gt;')
    const wrong = [form({ password: 'x' }), form({ username: 'mallory' })]
    const answers = await Promise.all(wrong.map((init) => visitor.follow(url, init)))
    expect(answers.map(({ status }) => status)).toEqual([400, 400])
    for (const answer of answers) expect(answer.page).toContain('That was not right')
  })

  it('sends a user back who cancels', async () => {
    const visitor = createVisitor(provider.issuer)
    const { url } = await visitor.follow(authorizationUrl())
    const back = await visitor.follow(url, form({ action: 'cancel' }))
    expect(new URL(back.url).searchParams.get('error')).toBe('access_denied')
  })

  it('asks somebody who is signed in for the second factor, and believes no wrong one', async () => {
    const visitor = createVisitor(provider.issuer)
    await signIn(visitor)
    const { url, page } = await visitor.follow(authorizationUrl({ acr_values: mfaLevel }))
    expect(page).toContain('Confirm that it is you')
    expect((await visitor.follow(url, form({ code: '000000' }))).status).toBe(400)
    const back = await visitor.follow(url, form({ code: demoCode }))
    const { body } = await redeem(back.url)
    expect(decodeJwt(body['id_token']!)).toMatchObject({ acr: mfaLevel })
    expect(decodeJwt(body['access_token']!)).toMatchObject({ acr: mfaLevel })
  })

  it('rotates refresh tokens and ends the grant of one that comes twice, not that of another sign-in', async () => {
    const visitor = createVisitor(provider.issuer)
    const [first, second] = [await signIn(visitor), await signIn(visitor)]
    const refresh = (refreshToken: string) => token({ grant_type: 'refresh_token', refresh_token: refreshToken })
    const next = await refresh(first['refresh_token']!)
    expect(next.body['refresh_token']).not.toBe(first['refresh_token'])
    expect((await refresh(first['refresh_token']!)).body).toMatchObject({ error: 'invalid_grant' })
    expect((await refresh(next.body['refresh_token']!)).status).toBe(400)
    expect((await refresh(second['refresh_token']!)).status).toBe(200)
  })

  it('exchanges a token for one of another API, with nothing of the first in it (RFC 8693 §2)', async () => {
    const { access_token: subjectToken } = await signIn()
    const exchange = (fields: Readonly<Record<string, string>>) =>
      token({
        grant_type: tokenExchangeGrant,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        subject_token: subjectToken!,
        ...fields,
      })
    const { status, body } = await exchange({ audience: partner, scope: 'invoices orders' })
    expect([status, body['scope']]).toEqual([200, 'invoices'])
    expect(decodeJwt(body['access_token']!)).toMatchObject({ aud: partner, sub: 'u-1001', act: { sub: 'spa' } })
    expect((await exchange({ audience: 'https://unknown.example' })).body).toMatchObject({ error: 'invalid_target' })
    expect((await exchange({ audience: partner, subject_token: 'x.y.z' })).status).toBe(400)
  })

  it('asks before it signs out, unless the hint shows that the app asks', async () => {
    const visitor = createVisitor(provider.issuer)
    const { id_token: hint } = await signIn(visitor)
    const end = (more: Readonly<Record<string, string>>) =>
      visitor.follow(`/session/end?${new URLSearchParams({ client_id: 'spa', ...more }).toString()}`)
    expect((await end({})).page).toContain('Stay signed in')
    const hinted = (await end({ id_token_hint: hint! })).page
    expect(hinted).toContain('name="logout" value="yes"')
    expect(hinted).toContain('.submit()')
  })

  it('can be away and come back with everything it knew', async () => {
    const visitor = createVisitor(provider.issuer)
    const tokens = await signIn(visitor)
    await provider.goOffline()
    await expect(fetch(provider.issuer)).rejects.toThrow()
    await provider.goOnline()
    await expect
      .poll(() =>
        token({ grant_type: 'refresh_token', refresh_token: tokens['refresh_token']! }).then(({ status }) => status),
      )
      .toBe(200)
  })
})
