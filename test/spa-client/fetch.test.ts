import { describe, expect, it } from 'vitest'
import type { StepUp } from '../../spa-client/token-handler.ts'
import { createProfile, failure, json } from './profile.ts'

const needsMfa = { acr_values: 'mfa', max_age: 300 }

async function openSignedIn(options: Parameters<ReturnType<typeof createProfile>['openTab']>[0] = {}) {
  const profile = createProfile()
  const tab = profile.openTab(options)
  await tab.tokenHandler.onPageLoad()
  return { profile, tab, tokenHandler: tab.tokenHandler }
}

describe('fetch', () => {
  it('adds our header and the cookies to calls of our own APIs, and nothing to others', async () => {
    const { profile, tokenHandler } = await openSignedIn({ apis: ['https://api.app.example'] })
    for (const url of ['/api/orders', 'https://api.app.example/api/orders', 'https://elsewhere.example/api/orders']) {
      await tokenHandler.fetch(url, { headers: { accept: 'text/plain' } })
    }
    const calls = profile.calls('/api/orders')
    expect(calls.map(({ headers }) => headers.get('token-handler-version'))).toEqual(['1', '1', null])
    expect(calls.map(({ credentials }) => credentials)).toEqual(['include', 'include', 'same-origin'])
    expect(calls.map(({ headers }) => headers.get('accept'))).toEqual(Array(3).fill('text/plain'))
  })

  it.each(['https://api.app.example/', 'https://api.app.example:443', 'HTTPS://API.app.example/v2'])(
    'knows an API by its origin, however it is written: %s',
    async (api) => {
      const { profile, tokenHandler } = await openSignedIn({ apis: [api] })
      await tokenHandler.fetch('https://api.app.example/api/orders')
      expect(profile.calls('/api/orders')[0]!.headers.get('token-handler-version')).toBe('1')
    },
  )

  it.each(['api.app.example', 'api.app.example:8443', '/api', '//api.app.example', 'https://', 'blob:https://a', ''])(
    'refuses an API that could never be called: %j',
    (api) => {
      const open = () => createProfile().openTab({ apis: [api] })
      expect(open).toThrow(TypeError)
      expect(open).toThrow(`apis: "${api}" is no http(s) URL`)
    },
  )

  it.each([
    ['https://app.example/shop/', 'https://app.example/shop/orders', '1', 'include'],
    ['https://elsewhere.example/', 'https://elsewhere.example/orders', null, 'same-origin'],
  ])('reads addresses as the browser does where the page has a base: %s', async (base, url, version, credentials) => {
    const { profile, tokenHandler } = await openSignedIn({ base })
    await tokenHandler.fetch('orders')
    const call = profile.seen.at(-1)
    expect([call?.url, call?.headers.get('token-handler-version'), call?.credentials]).toEqual([
      url,
      version,
      credentials,
    ])
  })

  it('sends the CSRF token where there is one', async () => {
    const profile = createProfile()
    const session = profile.answers['GET /oauth-agent/session']!
    profile.answers['GET /oauth-agent/session'] = async (request) => {
      const answer = (await (await session(request)).json()) as { session: object }
      return json({ ...answer, session: { ...answer.session, csrf_token: 'csrf-1' } })
    }
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    await tokenHandler.fetch('/api/orders')
    await tokenHandler.refresh()
    await tokenHandler.signOut()
    const sent = ['/api/orders', '/oauth-agent/refresh', '/oauth-agent/logout'].map((path) =>
      profile.calls(path)[0]!.headers.get('x-csrf-token'),
    )
    expect(sent).toEqual(['csrf-1', 'csrf-1', 'csrf-1'])
  })

  it.each([
    ['text', () => 'a body'],
    ['form data', () => Object.assign(new FormData(), {}) as FormData],
    ['bytes', () => new TextEncoder().encode('a body')],
    ['parameters', () => new URLSearchParams({ a: 'body' })],
    ['a blob', () => new Blob(['a body'])],
  ])('repeats a refused call with its body: %s', async (_name, makeBody) => {
    const { profile, tokenHandler } = await openSignedIn()
    const body = makeBody()
    if (body instanceof FormData) body.set('a', 'body')
    profile.answers['POST /api/orders'] = () =>
      profile.session.generation === 1 ? failure(401, 'access_token_expired') : json({}, 201)
    const response = await tokenHandler.fetch('/api/orders', { method: 'POST', body })
    expect(response.status).toBe(201)
    const bodies = profile.calls('/api/orders').map((call) => call.body.replace(/formdata-[\w-]+/g, 'boundary'))
    expect(bodies).toHaveLength(2)
    expect(bodies[0]).toBe(bodies[1])
    expect(bodies[0]).toContain('body')
  })

  it('repeats a Request object with its body and headers', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['PUT /api/orders'] = () =>
      profile.session.generation === 1 ? failure(401, 'access_token_expired') : json({})
    const request = new Request('https://app.example/api/orders', {
      method: 'PUT',
      body: 'whole',
      headers: { 'x-mine': 'yes' },
    })
    expect((await tokenHandler.fetch(request)).status).toBe(200)
    const calls = profile.calls('/api/orders')
    expect(calls.map(({ body, headers }) => [body, headers.get('x-mine')])).toEqual([
      ['whole', 'yes'],
      ['whole', 'yes'],
    ])
  })

  it('does not repeat a stream, which can be sent once only', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /api/orders'] = () => failure(401, 'access_token_expired')
    const body = new Blob(['streamed']).stream()
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' }
    expect((await tokenHandler.fetch('/api/orders', init)).status).toBe(401)
    expect(profile.calls('/api/orders')).toHaveLength(1)
  })

  it('refreshes before it sends when the token is known to end', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.sleep(59_000)
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(200)
    const paths = profile.seen.slice(1).map(({ path }) => path)
    expect(paths).toEqual(['/oauth-agent/session', '/oauth-agent/refresh', '/api/orders'])
  })

  it('refreshes once at most, never in a loop', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['GET /api/orders'] = () => failure(401, 'access_token_expired')
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(401)
    expect(profile.calls('/api/orders')).toHaveLength(2)
    expect(profile.calls('/oauth-agent/refresh')).toHaveLength(1)
  })

  it("leaves an API's own 401 alone", async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['GET /api/orders'] = () => json({ error: 'theirs' }, 401)
    expect(await (await tokenHandler.fetch('/api/orders')).json()).toEqual({ error: 'theirs' })
    expect(profile.calls('/oauth-agent/refresh')).toHaveLength(0)
  })

  it('answers with the refusal of the refresh when the authorization server is away', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /oauth-agent/refresh'] = () =>
      failure(503, 'authorization_server_unavailable', { retry_after: 30 })
    profile.sleep(61_000)
    const response = await tokenHandler.fetch('/api/orders')
    const answer = { status: response.status, body: (await response.json()) as unknown }
    expect(answer).toMatchObject({ status: 503, body: { error_code: 'authorization_server_unavailable' } })
    expect(tokenHandler.session().isLoggedIn).toBe(true)
  })

  it('rejects as fetch does when the network is down', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.goOffline()
    await expect(tokenHandler.fetch('/api/orders')).rejects.toBeInstanceOf(TypeError)
    profile.sleep(61_000)
    await expect(tokenHandler.fetch('/api/orders')).rejects.toBeInstanceOf(TypeError)
    expect(tokenHandler.session().isLoggedIn).toBe(true)
  })

  it('can be aborted while it waits for a refresh', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.sleep(61_000)
    let release = () => {}
    const refresh = profile.answers['POST /oauth-agent/refresh']!
    profile.answers['POST /oauth-agent/refresh'] = async (request) => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return refresh(request)
    }
    const controller = new AbortController()
    const aborted = tokenHandler.fetch('/api/orders', { signal: controller.signal })
    const other = tokenHandler.fetch('/api/orders')
    await profile.settle()
    controller.abort(new Error('left'))
    await expect(aborted).rejects.toThrow('left')
    release()
    expect((await other).status).toBe(200)
  })
})

describe('step-up', () => {
  async function openTransfer(options: Parameters<typeof openSignedIn>[0] = {}) {
    const world = await openSignedIn(options)
    const { profile } = world
    profile.answers['POST /api/transfers'] = () =>
      profile.session.acr === 'mfa' ? json({}, 201) : failure(401, 'insufficient_user_authentication', needsMfa)
    const send = () => world.tokenHandler.fetch('/api/transfers', { method: 'POST', body: 'amount=1' })
    /** What the page in the sign-in window does when it has come back. */
    const finishInPopup = async () => {
      profile.session.acr = 'mfa'
      const popup = profile.openTab({
        href: 'https://app.example/callback?code=c&state=s',
        windowName: 'token-handler-sign-in',
      })
      await popup.tokenHandler.onPageLoad()
      await profile.settle()
      return popup
    }
    return { ...world, send, finishInPopup }
  }

  it('opens a small window by itself and repeats the call with its body', async () => {
    const { profile, tab, send, finishInPopup } = await openTransfer()
    const response = send()
    await profile.settle()
    expect(tab.popups[0]?.url).toBe('https://op.example/authorize?x=1')
    const start = new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body)
    expect(Object.fromEntries(start)).toEqual({ acr_values: 'mfa', max_age: '300', return_to: '/#token-handler-popup' })
    const popup = await finishInPopup()
    expect((await response).status).toBe(201)
    expect(popup.windowClosed).toBe(true)
    expect(profile.calls('/api/transfers').map(({ body }) => body)).toEqual(['amount=1', 'amount=1'])
  })

  it('leaves it to the app where the app listens, once for several calls', async () => {
    const { profile, tab, tokenHandler, send, finishInPopup } = await openTransfer()
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    const responses = [send(), send()]
    await profile.settle()
    expect(tab.popups).toHaveLength(0)
    expect(needs).toHaveLength(1)
    expect(needs[0]).toMatchObject({
      code: 'insufficient_user_authentication',
      parameters: { acr_values: 'mfa', max_age: '300' },
    })
    const done = needs[0]!.inPopup()
    await profile.settle()
    await finishInPopup()
    expect(await done).toBe(true)
    expect((await Promise.all(responses)).map(({ status }) => status)).toEqual([201, 201])
  })

  it.each([
    ['declined', (need: StepUp) => need.decline()],
    ['left for the sign-in page', (need: StepUp) => void need.inPage()],
  ])('answers with the refusal, or not at all, when it is %s', async (how, act) => {
    const { profile, tab, tokenHandler, send } = await openTransfer()
    tokenHandler.on('stepUpNeeded', act)
    const response = send()
    await profile.settle()
    if (how === 'declined')
      expect(await (await response).json()).toMatchObject({ error_code: 'insufficient_user_authentication' })
    else expect(tab.navigations).toEqual(['https://op.example/authorize?x=1'])
    expect(profile.calls('/api/transfers')).toHaveLength(1)
  })

  it('answers with the refusal when the window is closed', async () => {
    const { profile, tab, send } = await openTransfer()
    let status = 0
    void send().then((response) => {
      status = response.status
    })
    await profile.settle()
    // A sign-in page with Cross-Origin-Opener-Policy looks like this, too.
    tab.focused = false
    tab.popups[0]!.closed = true
    await profile.pass(1000)
    expect(status).toBe(0)
    tab.focused = true
    await profile.pass(1000)
    expect(status).toBe(401)
  })

  it.each([
    ['a scope to ask for', { scope: 'payments' }, 1],
    ['none', {}, 0],
  ])('is offered for a call that lacks scope when the answer names %s', async (_name, fields, offers) => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['GET /api/orders'] = () => failure(403, 'insufficient_scope', fields)
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => {
      needs.push(need)
      need.decline()
    })
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(403)
    expect(needs.map(({ parameters }) => parameters)).toEqual(offers === 1 ? [fields] : [])
  })

  it('can be asked for again when the window was blocked', async () => {
    const { profile, tokenHandler, send } = await openTransfer({ popupsBlocked: true })
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    const response = send()
    await profile.settle()
    expect(await needs[0]!.inPopup()).toBe(false)
    needs[0]!.decline()
    expect((await response).status).toBe(401)
  })

  it('sends nothing on behalf of another user', async () => {
    const { profile, send, finishInPopup } = await openTransfer()
    const response = send()
    await profile.settle()
    profile.session.sub = 'u2'
    await finishInPopup()
    expect((await response).status).toBe(401)
    expect(profile.calls('/api/transfers')).toHaveLength(1)
  })

  it('is offered when the session ends under a call, which goes out after the new sign-in', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    profile.session.isLoggedIn = false
    const response = tokenHandler.fetch('/api/orders')
    await profile.settle()
    expect(needs[0]).toMatchObject({ code: 'session_missing', parameters: {} })
    const done = needs[0]!.inPopup()
    await profile.settle()
    const popup = profile.openTab({
      href: 'https://app.example/callback?code=c&state=s',
      windowName: 'token-handler-sign-in',
    })
    await popup.tokenHandler.onPageLoad()
    expect(await done).toBe(true)
    expect((await response).status).toBe(200)
  })

  it('is not asked for when somebody signed in again meanwhile: the call is repeated', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    const orders = profile.answers['GET /api/orders']!
    profile.answers['GET /api/orders'] = () => {
      profile.answers['GET /api/orders'] = orders
      return failure(401, 'session_missing')
    }
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(200)
    expect(tab.popups).toHaveLength(0)
  })

  it.each([
    ['a sign-in', 'https://app.example/callback?code=c&state=s', 200],
    ['a sign-out', 'https://app.example/', 401],
  ])('is settled by %s in another tab', async (_name, href, status) => {
    const { profile, tokenHandler } = await openSignedIn()
    const other = profile.openTab({ href })
    if (status === 401) await other.tokenHandler.onPageLoad()
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    profile.session.isLoggedIn = false
    const response = tokenHandler.fetch('/api/orders')
    await profile.settle()
    expect(needs).toHaveLength(1)
    await (status === 401 ? other.tokenHandler.signOut() : other.tokenHandler.onPageLoad())
    expect(await needs[0]!.settled).toBe(status === 200)
    expect((await response).status).toBe(status)
  })

  it('is offered for a call made after the end, but not after a sign-out', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    profile.session.isLoggedIn = false
    await tokenHandler.check()
    const late = tokenHandler.fetch('/api/orders')
    await profile.settle()
    expect(needs).toHaveLength(1)
    await tokenHandler.signOut()
    expect((await late).status).toBe(401)
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(401)
    expect(needs).toHaveLength(1)
  })

  it('opens no window by itself when the session ends', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    profile.session.isLoggedIn = false
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(401)
    expect(tab.popups).toHaveLength(0)
  })
})

describe('signIn', () => {
  it('leaves the page and asks to come back to it', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    void tokenHandler.signIn({ parameters: { login_hint: 'alice' } })
    await profile.settle()
    const fields = Object.fromEntries(new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body))
    expect(fields).toEqual({ login_hint: 'alice', return_to: '/orders?page=2' })
    expect(tab.navigations).toEqual(['https://op.example/authorize?x=1'])
  })

  it('comes back to the fragment, too, by which many apps tell their pages apart', async () => {
    const { profile, tokenHandler } = await openSignedIn({ href: 'https://app.example/shop#/orders/7?open=1' })
    void tokenHandler.signIn()
    await profile.settle()
    const fields = new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body)
    expect(fields.get('return_to')).toBe('/shop#/orders/7?open=1')
  })

  it.each([
    ['https://app.example/shop#50%', '/shop'],
    ['https://app.example//odd/%E4#there', null],
  ])('does not fail where %s cannot be come back to', async (href, expected) => {
    const { profile, tab, tokenHandler } = await openSignedIn({ href })
    const start = profile.answers['POST /oauth-agent/login/start']!
    profile.answers['POST /oauth-agent/login/start'] = (request) =>
      [null, '/shop'].includes(new URLSearchParams(request.body).get('return_to'))
        ? start(request)
        : failure(400, 'return_to_not_allowed')
    void tokenHandler.signIn()
    await profile.settle()
    expect(new URLSearchParams(profile.calls('/oauth-agent/login/start').at(-1)!.body).get('return_to')).toBe(expected)
    expect(tab.navigations).toHaveLength(1)
    await expect(tokenHandler.signIn({ returnTo: '//evil' })).rejects.toMatchObject({ code: 'return_to_not_allowed' })
  })

  it('works against an agent on a sibling host', async () => {
    const { profile, tokenHandler } = await openSignedIn({ agent: 'https://api.app.example/oauth-agent/' })
    await tokenHandler.fetch('https://api.app.example/api/orders')
    expect(profile.seen.map(({ url }) => url)).toEqual([
      'https://api.app.example/oauth-agent/session',
      'https://api.app.example/api/orders',
    ])
    expect(profile.seen.map(({ credentials }) => credentials)).toEqual(['include', 'include'])
  })

  it('opens its window at once, because browsers allow that only after a click', async () => {
    const { tab, tokenHandler } = await openSignedIn()
    void tokenHandler.signIn({ popup: true })
    expect(tab.popups).toHaveLength(1)
  })

  it('in a window is false when the user closes it, and throws when it cannot start', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    const cancelled = tokenHandler.signIn({ popup: true })
    await profile.settle()
    tab.popups[0]!.closed = true
    await profile.pass(1000)
    expect(await cancelled).toBe(false)
    profile.answers['POST /oauth-agent/login/start'] = () => failure(503, 'authorization_server_unavailable')
    await expect(tokenHandler.signIn({ popup: true })).rejects.toMatchObject({ status: 503 })
    expect(tab.popups[1]!.closed).toBe(true)
  })
})

describe('headers', () => {
  it('are given for calls made without fetch, with a fresh token behind them', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.sleep(61_000)
    expect(await tokenHandler.headers()).toEqual({ 'token-handler-version': '1' })
    expect(profile.calls('/oauth-agent/refresh')).toHaveLength(1)
  })
})
