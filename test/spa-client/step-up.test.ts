import { describe, expect, it } from 'vitest'
import type { StepUp } from '../../spa-client/token-handler.ts'
import { failure, json, openSignedIn, type Profile } from './profile.ts'

/** A signed-in tab whose API takes transfers only after a stronger sign-in. */
async function openTransfer(options: Parameters<typeof openSignedIn>[0] = {}) {
  const world = await openSignedIn(options)
  const { profile } = world
  profile.answers['POST /api/transfers'] = () =>
    profile.session.acr === 'mfa'
      ? json({}, 201)
      : failure(401, 'insufficient_user_authentication', { acr_values: 'mfa', max_age: 300 })
  const send = () => world.tokenHandler.fetch('/api/transfers', { method: 'POST', body: 'amount=1' })
  const finishInPopup = async () => {
    profile.session.acr = 'mfa'
    const popup = await returnToPopup(profile)
    await profile.settle()
    return popup
  }
  return { ...world, send, finishInPopup }
}

/** What happens in the sign-in window when the authorization server has sent it back. */
async function returnToPopup(profile: Profile) {
  const popup = profile.openTab({
    href: 'https://app.example/callback?code=c&state=s',
    windowName: 'token-handler-popup0',
  })
  await popup.tokenHandler.onPageLoad()
  return popup
}

describe('step-up', () => {
  it('opens a small window by itself and repeats the call with its body', async () => {
    const { profile, tab, send, finishInPopup } = await openTransfer()
    const response = send()
    await profile.settle()
    expect(tab.popups[0]?.url).toBe('https://op.example/authorize?x=1')
    const start = new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body)
    expect(Object.fromEntries(start)).toEqual({
      acr_values: 'mfa',
      max_age: '300',
      return_to: '/#token-handler-popup0',
    })
    const popup = await finishInPopup()
    expect((await response).status).toBe(201)
    expect(popup.windowClosed).toBe(true)
    expect(profile.calls('/api/transfers').map(({ body }) => body)).toEqual(['amount=1', 'amount=1'])
  })

  it('ends with the refusal when it is cancelled in a window that has lost its name', async () => {
    const { profile, send } = await openTransfer()
    const response = send()
    await profile.settle()
    const asked = new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body)
    profile.answers['POST /oauth-agent/login/end'] = () =>
      failure(403, 'access_denied', { return_to: asked.get('return_to') })
    const popup = profile.openTab({ href: 'https://app.example/callback?error=access_denied&state=s' })
    await expect(popup.tokenHandler.onPageLoad()).rejects.toMatchObject({ code: 'access_denied' })
    expect((await response).status).toBe(401)
    expect(popup.windowClosed).toBe(true)
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

  it('is no longer asked for when the last call that waits for it is aborted', async () => {
    const { profile, tokenHandler } = await openTransfer()
    const needs: StepUp[] = []
    const settled: boolean[] = []
    tokenHandler.on('stepUpNeeded', (need) => {
      needs.push(need)
      void need.settled.then((isRepeated) => settled.push(isRepeated))
    })
    const controllers = [new AbortController(), new AbortController()]
    const calls = controllers.map(({ signal }) => tokenHandler.fetch('/api/transfers', { method: 'POST', signal }))
    await profile.settle()
    controllers[0]!.abort(new Error('left'))
    await expect(calls[0]).rejects.toThrow('left')
    await profile.settle()
    expect(settled).toEqual([])
    controllers[1]!.abort(new Error('left'))
    await expect(calls[1]).rejects.toThrow('left')
    expect([needs.length, settled]).toEqual([1, [false]])
  })

  it('is not asked for when the call was aborted on the way to it', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    const controller = new AbortController()
    profile.session.isLoggedIn = false
    const answer = profile.answers['GET /oauth-agent/session']!
    profile.answers['GET /oauth-agent/session'] = (request) => {
      controller.abort(new Error('left'))
      return answer(request)
    }
    await expect(tokenHandler.fetch('/api/orders', { signal: controller.signal })).rejects.toThrow('left')
    await profile.settle()
    expect(needs).toEqual([])
  })

  it('leaves nothing at a signal that outlives the call', async () => {
    const { profile, tokenHandler } = await openTransfer()
    tokenHandler.on('stepUpNeeded', (need) => need.decline())
    const { signal } = new AbortController()
    const listeners = new Set<unknown>()
    signal.addEventListener = (_type: string, listener: unknown) => void listeners.add(listener)
    signal.removeEventListener = (_type: string, listener: unknown) => void listeners.delete(listener)
    // The request of the test's network listens, too.
    await tokenHandler.fetch('/api/other', { signal })
    const ofRequest = listeners.size
    listeners.clear()
    await tokenHandler.fetch('/api/transfers', { method: 'POST', signal })
    await profile.settle()
    expect(listeners.size).toBe(ofRequest)
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

  it.each([
    ['not offered, since nothing says what to ask for', 'insufficient_user_authentication', true, []],
    ['not offered, since nothing says which scope to ask for', 'insufficient_scope', true, []],
    ['offered where the session is over', 'session_expired', false, ['session_expired']],
  ])('is, for a HEAD that is answered without a body, %s', async (_name, code, isLoggedIn, expected) => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.session.isLoggedIn = isLoggedIn
    const status = code === 'insufficient_scope' ? 403 : 401
    profile.answers['HEAD /api/orders'] = () => new Response(null, { status, headers: { 'token-handler-error': code } })
    const codes: string[] = []
    tokenHandler.on('stepUpNeeded', (need) => {
      codes.push(need.code)
      need.decline()
    })
    expect((await tokenHandler.fetch('/api/orders', { method: 'HEAD' })).status).toBe(status)
    expect(codes).toEqual(expected)
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
    await returnToPopup(profile)
    expect(await done).toBe(true)
    expect((await response).status).toBe(200)
  })

  it('is offered once when the session ends under several calls, which the refusal of the first left without cookies', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    profile.session.isLoggedIn = false
    const refusals = [failure(401, 'session_expired'), failure(401, 'session_missing')]
    profile.answers['GET /api/orders'] = () => refusals.shift()!
    const calls = [tokenHandler.fetch('/api/orders'), tokenHandler.fetch('/api/orders')]
    await profile.settle()
    expect(needs.map(({ code }) => code)).toEqual(['session_expired'])
    needs[0]!.decline()
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([401, 401])
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

  const refusals: [string, (profile: Profile) => void][] = [
    [
      'a refresh',
      ({ answers, session }) => {
        session.accessEndsAt = 0
        answers['POST /oauth-agent/refresh'] = () => failure(401, 'interaction_required')
      },
    ],
    [
      'a token for the API',
      ({ answers, session }) => {
        const { createdAt } = session
        const orders = answers['GET /api/orders']!
        answers['GET /api/orders'] = (request) =>
          session.createdAt === createdAt ? failure(401, 'interaction_required') : orders(request)
      },
    ],
  ]
  it.each(refusals)('is offered where %s needs the user, who stays signed in until then', async (_name, refuse) => {
    const { profile, tokenHandler } = await openSignedIn()
    refuse(profile)
    const needs: StepUp[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    const response = tokenHandler.fetch('/api/orders')
    await profile.settle()
    expect(needs).toMatchObject([{ code: 'interaction_required', parameters: {} }])
    expect(tokenHandler.session().isLoggedIn).toBe(true)
    const done = needs[0]!.inPopup()
    await profile.settle()
    await returnToPopup(profile)
    expect(await done).toBe(true)
    expect((await response).status).toBe(200)
  })

  it.each(refusals)('opens no window by itself where %s needs the user', async (_name, refuse) => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    refuse(profile)
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(401)
    expect(tab.popups).toHaveLength(0)
  })

  it('opens no window by itself when the session ends', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    profile.session.isLoggedIn = false
    expect((await tokenHandler.fetch('/api/orders')).status).toBe(401)
    expect(tab.popups).toHaveLength(0)
  })
})
