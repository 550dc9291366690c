import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Page, PageAnswer } from '../support/page.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'

const many = 'agent: { rate_limits: { login: { requests: 99999 } } }'
const settings = `${many}\nlogin: { navigation: { enabled: true } }`
let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({ settings })
})
afterAll(() => world.close())
beforeEach(() => world.server.reset())

/** Where a response goes that came in a mode that was not asked for. */
const noResponse = '/oauth-agent/callback?error=response_mode#'
const code = (answer: PageAnswer) => [answer.status, answer.headers['token-handler-error']]
const loginCookies = (page: Page) => page.jar.names('localhost').filter((name) => name.includes('-login-'))
const linkOf = ({ text }: PageAnswer) => /<a href="([^"]*)"/.exec(text)?.[1]?.replaceAll('&amp;', '&')
const refreshOf = ({ text }: PageAnswer) => /http-equiv="refresh" content="0; url=([^"]*)"/.exec(text)?.[1]

/** Opens the sign-in and gives the query with which the browser comes back. */
async function start(page: Page, query = '', to = world): Promise<URLSearchParams> {
  const answer = await page.navigate('GET', `/oauth-agent/login${query}`)
  expect(answer.status).toBe(303)
  return to.server.authorize(answer.headers.location ?? '')
}
const comeBack = (page: Page, query: URLSearchParams) =>
  page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere' })

describe('GET /login', () => {
  it('sends the browser to the authorization server by 303, with a cookie of this attempt', async () => {
    const page = world.browser()
    const answer = await page.navigate('GET', '/oauth-agent/login?return_to=/orders&prompt=login')
    const url = new URL(answer.headers.location ?? '')
    expect([answer.status, url.origin]).toEqual([303, world.server.issuer])
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      redirect_uri: `${world.publicOrigin}/oauth-agent/callback`,
      prompt: 'login',
      response_type: 'code',
    })
    expect(url.href).not.toContain('orders')
    expect(answer.setCookies).toHaveLength(1)
    expect(answer.setCookies[0]).toMatch(/SameSite=Lax$/)
  })

  it('from an address typed or a bookmark does the same', async () => {
    const answer = await world
      .browser()
      .navigate('GET', '/oauth-agent/login', { headers: { 'sec-fetch-site': 'none' } })
    expect(answer.status).toBe(303)
  })

  it.each(['cross-site', 'same-site', ''])('from elsewhere (%j) asks first (FM-7, C30)', async (site) => {
    const page = world.browser()
    const answer = await page.navigate('GET', '/oauth-agent/login?return_to=/a%3Fb%3D%2522&ui_locales=de', {
      headers: { 'sec-fetch-site': site },
    })
    expect([answer.status, answer.headers.location, loginCookies(page)]).toEqual([200, undefined, []])
    expect(linkOf(answer)).toBe('/oauth-agent/login?return_to=%2Fa%3Fb%3D%2522&ui_locales=de')
    expect((await page.navigate('GET', linkOf(answer) ?? '')).status).toBe(303)
  })

  const notAllowed = [403, 'origin_not_allowed'] as const
  const invalid = [400, 'invalid_request'] as const
  it.each<[string, Record<string, string>, readonly [number, string], string]>([
    ['a frame', { 'sec-fetch-dest': 'iframe' }, notAllowed, 'sec_fetch_dest'],
    ['an object', { 'sec-fetch-dest': 'object' }, notAllowed, 'sec_fetch_dest'],
    ['a fetch', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }, notAllowed, 'sec_fetch_mode'],
    [
      'a fetch that does not say for what',
      { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': '' },
      notAllowed,
      'sec_fetch_mode',
    ],
    ['a fetch that calls itself a page', { 'sec-fetch-mode': 'no-cors' }, notAllowed, 'sec_fetch_mode'],
    [
      'a fetch of a worker',
      { 'sec-fetch-mode': 'same-origin', 'sec-fetch-dest': 'empty' },
      notAllowed,
      'sec_fetch_mode',
    ],
    ['who knows what', { 'sec-fetch-mode': '', 'sec-fetch-dest': 'empty' }, notAllowed, 'sec_fetch_dest'],
    ['an image', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, notAllowed, 'sec_fetch_mode'],
    ['a prefetch', { 'sec-purpose': 'prefetch' }, invalid, 'prefetch'],
    ['a prerender', { 'sec-purpose': 'prefetch;prerender' }, invalid, 'prefetch'],
    ['a prefetch of old', { purpose: 'prefetch' }, invalid, 'prefetch'],
    ['a prefetch of an old Firefox', { 'x-moz': 'prefetch' }, invalid, 'prefetch'],
  ])('for %s is refused', async (_what, headers, expected, check) => {
    const page = world.browser()
    expect(code(await page.navigate('GET', '/oauth-agent/login', { headers }))).toEqual(expected)
    expect(loginCookies(page)).toEqual([])
    expect(world.told('request.refused').at(-1)?.fields['check']).toBe(check)
  })

  it.each([
    ['?return_to=//evil.test', 'return_to_not_allowed'],
    ['?return_to=/%255cevil.test', 'return_to_not_allowed'],
    ['?redirect_uri=https://evil.test', 'parameter_not_allowed'],
    ['?prompt=login&prompt=none', 'invalid_request'],
    ['?claims=%5B%5D', 'parameter_not_allowed'],
  ])('with %s is refused with a page that repeats none of it', async (query, expected) => {
    for (const from of ['our page', 'elsewhere'] as const) {
      const answer = await world.browser().navigate('GET', `/oauth-agent/login${query}`, { from })
      expect(code(answer)).toEqual([400, expected])
      expect(answer.text).not.toMatch(/evil/)
      expect(linkOf(answer)).toBe('/oauth-agent/login')
    }
  })

  it('while the authorization server is away is a page with 503 and Retry-After', async () => {
    const other = await startScriptedWorld({ settings })
    other.server.script.metadata = () => ({ status: 503, body: '' })
    const answer = await other.browser().navigate('GET', '/oauth-agent/login?return_to=/orders&prompt=login')
    expect([...code(answer), answer.headers['retry-after']]).toEqual([503, 'authorization_server_unavailable', '1'])
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(linkOf(answer)).toBe('/oauth-agent/login?return_to=%2Forders')
    await other.close()
  })
})

describe('GET /callback', () => {
  it('signs in, and goes on by a page of our own so that Strict cookies travel (CK-11)', async () => {
    const page = world.browser()
    const answer = await comeBack(page, await start(page, '?return_to=/orders%3Fa%3D1%26b%3D2'))
    expect([answer.status, refreshOf(answer)]).toEqual([200, `${world.publicOrigin}/orders?a=1&amp;b=2`])
    expect(loginCookies(page)).toEqual([])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })

  it('loads, frames and runs nothing, and keeps the code out of Referer (BCP-13, BCP-20)', async () => {
    const page = world.browser()
    const { headers } = await comeBack(page, await start(page))
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    })
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; frame-ancestors 'none'$/,
    )
  })

  it('goes on to the origin of the pages, where they have one of their own', async () => {
    const pages = 'http://localhost:1'
    const other = await startScriptedWorld({
      settings: `${settings}\npage_origin: ${pages}\ncors: { origins: ["${pages}"] }`,
    })
    const page = other.browser()
    const answer = await comeBack(page, await start(page, '?return_to=/orders', other))
    expect([answer.status, refreshOf(answer)]).toEqual([200, `${pages}/orders`])
    await other.close()
  })

  it('ends at the default page where none was asked for', async () => {
    const page = world.browser()
    expect(refreshOf(await comeBack(page, await start(page)))).toBe(`${world.publicOrigin}/`)
  })

  it('opened again, by reload or bookmark, shows who is signed in the way on (C22)', async () => {
    const page = world.browser()
    const query = await start(page)
    await comeBack(page, query)
    const again = await page.navigate('GET', `/oauth-agent/callback?${query}`)
    expect([again.status, refreshOf(again), again.setCookies]).toEqual([200, `${world.publicOrigin}/`, []])
    expect(world.server.count('token')).toBe(1)
    const fromBehind = await comeBack(page, query)
    expect([...code(fromBehind), linkOf(fromBehind)]).toEqual([400, 'invalid_state', '/oauth-agent/login'])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })

  it.each<[string, (query: URLSearchParams) => void, [number, string]]>([
    ['another state', (query) => query.set('state', 'x'.repeat(43)), [400, 'invalid_state']],
    ['no state', (query) => query.delete('state'), [400, 'invalid_state']],
    ['another issuer', (query) => query.set('iss', 'https://evil.test'), [400, 'authorization_response_invalid']],
    ['the code twice', (query) => query.append('code', 'x'), [400, 'invalid_request']],
    ['code and error', (query) => query.set('error', 'x'), [400, 'authorization_response_invalid']],
    ['a signed response nobody asked for', (query) => query.set('response', 'a.b.c'), [400, 'invalid_state']],
  ])('with %s signs nobody in, and no token endpoint hears of it', async (_what, change, expected) => {
    const page = world.browser()
    const query = await start(page)
    change(query)
    expect(code(await comeBack(page, query))).toEqual(expected)
    expect(world.server.count('token')).toBe(0)
  })

  it('shows an error of the authorization server by our own words (C12, OID-18)', async () => {
    const page = world.browser()
    const query = await start(page)
    query.delete('code')
    query.set('error', '"><img src=x onerror=alert(1)>')
    query.set('error_description', '<b>x</b>\r\nSet-Cookie: a=b')
    const answer = await comeBack(page, query)
    expect(code(answer)).toEqual([502, 'authorization_failed'])
    expect(answer.text).not.toMatch(/img|<b>/)
    expect(answer.setCookies.every((line) => line.includes('Max-Age=0'))).toBe(true)
  })

  it('that failed leads to where the sign-in was meant to end, and names the request for whoever is asked about it', async () => {
    const page = world.browser()
    const query = await start(page, '?return_to=/orders%3Fa%3D1%26b%3D2%23c')
    query.delete('code')
    query.set('error', 'access_denied')
    const answer = await comeBack(page, query)
    expect(code(answer)).toEqual([403, 'access_denied'])
    expect(linkOf(answer)).toBe('/oauth-agent/login?return_to=%2Forders%3Fa%3D1%26b%3D2%23c')
    expect(answer.text).toContain(`Request <code>${answer.headers['x-request-id']}</code>`)
  })

  it.each(['iframe', 'embed', 'object'])('in a destination %j is refused (FM-3)', async (dest) => {
    const page = world.browser()
    const query = await start(page)
    const answer = await page.navigate('GET', `/oauth-agent/callback?${query}`, {
      from: 'elsewhere',
      headers: { 'sec-fetch-dest': dest },
    })
    expect(code(answer)).toEqual([403, 'origin_not_allowed'])
    expect(world.server.count('token')).toBe(0)
  })

  it('replaces a larger session wholly, although the browser keeps its cookies back (CK-9, CK-17)', async () => {
    const page = world.browser()
    const jwt = `${'A'.repeat(20)}.${'A'.repeat(6000)}.${'A'.repeat(20)}`
    world.server.script.token = (form) => world.server.tokens(form, { access_token: jwt })
    await comeBack(page, await start(page))
    expect(page.jar.names('localhost')).toContain('__Host-Http-th-at.1')
    world.server.script.token = (form) => world.server.tokens(form, { refresh_token: undefined })
    await comeBack(page, await start(page))
    expect([...page.jar.names('localhost')].sort()).toEqual(['__Host-Http-th-at', '__Host-Http-th-id'])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })

  it('of an attempt of a page is no way around the page, nor the reverse with a posted form', async () => {
    const page = world.browser()
    const answer = await page.navigate('POST', '/oauth-agent/callback', {
      form: await start(page),
      from: 'elsewhere',
    })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD'])
  })

  it('with response_mode=jwt reads a signed response', async () => {
    const jwt = await startScriptedWorld({ settings: 'login: { response_mode: jwt, navigation: { enabled: true } }' })
    const page = jwt.browser()
    const response = await jwt.server.signedResponse(Object.fromEntries(await start(page, '', jwt)))
    expect((await comeBack(page, new URLSearchParams({ response }))).status).toBe(200)
    await jwt.close()
  })
})

describe('C33 GET /callback with nothing that we see, as from a response in the fragment', () => {
  it('leads to a page whose address has no fragment, and starts nothing there', async () => {
    const page = world.browser()
    const told = world.told('login.failed').length
    const answer = await page.navigate('GET', '/oauth-agent/callback', { from: 'elsewhere' })
    expect([answer.status, answer.headers.location]).toEqual([303, noResponse])
    const next = await page.navigate('GET', noResponse.slice(0, -1))
    expect([...code(next), linkOf(next)]).toEqual([400, 'invalid_state', '/oauth-agent/login'])
    expect(loginCookies(page)).toEqual([])
    expect(world.told('login.failed').length - told).toBe(1)
  })

  it('leaves a sign-in that is under way as it is', async () => {
    const page = world.browser()
    const query = await start(page)
    await page.navigate('GET', '/oauth-agent/callback', { from: 'elsewhere' })
    expect((await comeBack(page, query)).status).toBe(200)
  })
})

describe('C34 an app whose service worker passes every navigation on', () => {
  // As Chromium sends them: a typed address is one of ours, a form keeps its Origin, and nobody has clicked.
  const passedOn = { 'sec-fetch-dest': 'empty', 'sec-fetch-user': '' }

  it('signs in and out as without it', async () => {
    const page = world.browser()
    const started = await page.navigate('GET', '/oauth-agent/login', { headers: passedOn })
    expect(started.status).toBe(303)
    const query = world.server.authorize(started.headers.location ?? '')
    const back = await page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere', headers: passedOn })
    expect([back.status, refreshOf(back)]).toEqual([200, `${world.publicOrigin}/`])
    const asked = await page.navigate('GET', '/oauth-agent/logout', { headers: passedOn })
    expect(asked.headers).toMatchObject({ 'x-frame-options': 'DENY' })
    const out = await page.navigate('POST', '/oauth-agent/logout/form', { form: {}, headers: passedOn })
    expect([out.status, page.jar.names('localhost')]).toEqual([303, []])
  })

  it('is asked first all the same when another site sends the user (FM-7)', async () => {
    const page = world.browser()
    const answer = await page.navigate('GET', '/oauth-agent/login', { from: 'elsewhere', headers: passedOn })
    expect([answer.status, loginCookies(page)]).toEqual([200, []])
  })
})

describe('POST /callback (form_post, CK-10)', () => {
  it('gets its login cookie from another site, since that is SameSite=None; the session stays Strict', async () => {
    const posted = await startScriptedWorld({
      settings: 'login: { navigation: { enabled: true, response_mode: form_post } }',
    })
    const page = posted.browser()
    const form = await start(page, '?return_to=/x', posted)
    const answer = await page.navigate('POST', '/oauth-agent/callback', { form, from: 'elsewhere' })
    expect([answer.status, refreshOf(answer)]).toEqual([200, `${posted.publicOrigin}/x`])
    expect(answer.setCookies.filter((line) => line.includes('-at='))[0]).toMatch(/SameSite=Strict$/)
    // The same response in a query: a weaker way than the one that was asked for.
    const query = await start(page, '', posted)
    const weaker = await page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere' })
    expect([weaker.status, weaker.headers.location]).toEqual([303, noResponse])
    for (const part of ['code=c', 'error=access_denied&state=s']) {
      const stray = await page.navigate('GET', `/oauth-agent/callback?${part}`, { from: 'elsewhere' })
      expect([stray.status, stray.headers.location], part).toEqual([303, noResponse])
    }
    // Nothing starts by itself, or a server that knows no other way would send the browser round and round.
    const next = await page.navigate('GET', noResponse.slice(0, -1))
    expect([...code(next), linkOf(next)]).toEqual([400, 'authorization_response_invalid', '/oauth-agent/login'])
    expect(posted.server.count('token')).toBe(1)
    const byScript = await page.call('POST', '/oauth-agent/login/end', { form: query })
    expect([byScript.status, byScript.json()['error_code']]).toEqual([400, 'authorization_response_invalid'])
    await posted.close()
  })

  it('takes a form and no JSON', async () => {
    const posted = await startScriptedWorld({
      settings: 'login: { navigation: { enabled: true, response_mode: form_post } }',
    })
    const answer = await posted.browser().navigate('POST', '/oauth-agent/callback', {
      form: { state: 'x' },
      headers: { 'content-type': 'application/json' },
    })
    expect(code(answer)).toEqual([415, 'unsupported_media_type'])
    await posted.close()
  })
})

describe('signing out by a form', () => {
  async function signedIn(): Promise<Page> {
    const page = world.browser()
    await comeBack(page, await start(page))
    return page
  }

  it('GET /logout shows a button and signs nobody out, wherever one comes from (D13, LO-11)', async () => {
    const page = await signedIn()
    for (const from of ['our page', 'elsewhere'] as const) {
      const answer = await page.navigate('GET', '/oauth-agent/logout', { from })
      expect(answer.text).toContain('<form method="post" action="/oauth-agent/logout/form"><button>')
      expect([answer.status, answer.setCookies, answer.headers['referrer-policy']]).toEqual([200, [], 'same-origin'])
    }
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })

  it('the form clears the cookies, revokes the tokens and goes to the authorization server by 303 (BCP-14)', async () => {
    const page = await signedIn()
    const answer = await page.navigate('POST', '/oauth-agent/logout/form', { form: {} })
    const url = new URL(answer.headers.location ?? '')
    expect([answer.status, `${url.origin}${url.pathname}`]).toEqual([303, `${world.server.issuer}/logout`])
    expect(page.jar.names('localhost')).toEqual([])
    expect(world.server.count('revocation')).toBe(2)
  })

  it.each<[string, Record<string, string>]>([
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }],
    ['a sibling host', { 'sec-fetch-site': 'same-site', origin: 'http://sibling.localhost' }],
    ['a redirect through another site', { 'sec-fetch-site': 'cross-site' }],
    ['a page that hides where it is', { origin: 'null' }],
    ['nobody knows where', { origin: '' }],
    ['an old browser without Origin', { origin: '', 'sec-fetch-site': '', 'sec-fetch-mode': '', 'sec-fetch-dest': '' }],
    ['a frame', { 'sec-fetch-dest': 'iframe' }],
    ['a script', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }],
  ])('sent by %s does nothing', async (_who, headers) => {
    const page = await signedIn()
    const answer = await page.navigate('POST', '/oauth-agent/logout/form', { form: {}, headers })
    expect(code(answer)).toEqual([403, 'origin_not_allowed'])
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
  })

  it('is taken from an old browser that says where it comes from by Origin alone', async () => {
    const page = await signedIn()
    const headers = { 'sec-fetch-site': '', 'sec-fetch-mode': '', 'sec-fetch-dest': '' }
    expect((await page.navigate('POST', '/oauth-agent/logout/form', { form: {}, headers })).status).toBe(303)
    expect(page.jar.names('localhost')).toEqual([])
  })

  it('with csrf.token: required the form holds the token, and is nothing without it', async () => {
    const strict = await startScriptedWorld({ settings: `${settings}\ncsrf: { token: required }` })
    const page = strict.browser()
    await comeBack(page, await start(page, '', strict))
    const elsewhere = await page.navigate('GET', '/oauth-agent/logout', { from: 'elsewhere' })
    expect(elsewhere.text).not.toContain('<form')
    const shown = await page.navigate('GET', linkOf(elsewhere) ?? '')
    const [, token = ''] = /name="csrf_token" value="([^"]*)"/.exec(shown.text) ?? []
    const post = (form: Record<string, string>) => page.navigate('POST', '/oauth-agent/logout/form', { form })
    expect(code(await post({}))).toEqual([403, 'csrf_token_invalid'])
    const refused = await post({ csrf_token: `${token}x` })
    // Whoever wants to be signed out is not sent to sign in.
    expect([...code(refused), linkOf(refused)]).toEqual([403, 'csrf_token_invalid', '/oauth-agent/logout'])
    expect((await post({ csrf_token: token })).status).toBe(303)
    await strict.close()
  })
})

it.each<[string, string | undefined]>([
  ['', undefined],
  ['\nlogout: { clear_site_data: true }', '"cache", "storage"'],
])('with the settings %j every sign-out, and nothing else, says to clear %s', async (more, expected) => {
  const other = await startScriptedWorld({ settings: `${settings}${more}` })
  const page = other.browser()
  const said = ({ headers }: PageAnswer) => headers['clear-site-data']
  const answers: PageAnswer[] = [await comeBack(page, await start(page, '', other))]
  for (const path of ['/session', '/userinfo']) answers.push(await page.call('GET', `/oauth-agent${path}`))
  answers.push(await page.call('POST', '/oauth-agent/refresh'), await page.navigate('GET', '/oauth-agent/logout'))
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  expect(answers.map(said)).toEqual(answers.map(() => undefined))
  // Also where nobody is signed in any more: data may be left.
  for (const _time of ['first', 'second']) {
    expect(said(await page.call('POST', '/oauth-agent/logout'))).toBe(expected)
    expect(said(await page.navigate('POST', '/oauth-agent/logout/form', { form: {} }))).toBe(expected)
  }
  await other.close()
})

it('is not there unless it is switched on', async () => {
  const off = await startScriptedWorld()
  for (const path of ['/login', '/callback', '/logout/form']) {
    expect((await off.browser().navigate('GET', `/oauth-agent${path}`)).status).toBe(404)
  }
  await off.close()
})

it('works with the real oidc-provider, for a form_post, too', async () => {
  for (const mode of ['query', 'form_post']) {
    const real = await startProviderWorld({
      settings: `login: { navigation: { enabled: true, response_mode: ${mode} } }`,
    })
    const page = real.browser()
    const answer = await page.navigate('GET', '/oauth-agent/login?return_to=/orders')
    const came = await page.visit(answer.headers.location ?? '')
    const back =
      mode === 'query'
        ? await page.navigate('GET', `/oauth-agent/callback?${came}`, { from: 'elsewhere' })
        : await page.navigate('POST', '/oauth-agent/callback', { form: came, from: 'elsewhere' })
    expect(refreshOf(back), mode).toBe(`${real.publicOrigin}/orders`)
    expect((await page.call('GET', '/oauth-agent/session')).json()['is_logged_in']).toBe(true)
    await real.close()
  }
})
