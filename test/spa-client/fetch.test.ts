import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { broken, createProfile, failure, json, openSignedIn } from './profile.ts'

/** What is rejected during the test without anybody handling it. */
function listUnhandled(): readonly unknown[] {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  onTestFinished(() => void process.off('unhandledRejection', note))
  return unhandled
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

  it.each([
    ['an address', 'https://app.example/api/orders'],
    ['another Request', new Request('https://app.example/api/orders', { headers: { accept: 'text/plain' } })],
  ])('takes a Request for the options of %s, as the browser does, and repeats it', async (_, input) => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /api/orders'] = () =>
      profile.calls('/api/orders').length === 1 ? failure(401, 'access_token_expired') : json({})
    const options = new Request('https://app.example/other', {
      method: 'POST',
      body: 'one order',
      headers: { 'x-mine': 'yes' },
    })
    expect((await tokenHandler.fetch(input, options)).status).toBe(200)
    expect(
      profile
        .calls('/api/orders')
        .map(({ method, body, headers }) => [
          method,
          body,
          headers.get('x-mine'),
          headers.get('token-handler-version'),
          headers.get('accept'),
        ]),
    ).toEqual(Array(2).fill(['POST', 'one order', 'yes', '1', null]))
  })

  it('is aborted by the signal of a Request that is its options', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const controller = new AbortController()
    const options = new Request('https://app.example/other', { signal: controller.signal })
    profile.answers['GET /api/orders'] = () => failure(401, 'access_token_expired')
    profile.holdNextAnswer('POST /oauth-agent/refresh')
    const call = tokenHandler.fetch('/api/orders', options)
    await profile.settle()
    controller.abort()
    await expect(call).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('sends nothing of ours elsewhere with a Request of a frame, which is none of the class of the page', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const request = new Request('https://elsewhere.example/api/orders')
    class OfThePage extends Request {
      static override [Symbol.hasInstance]() {
        return false
      }
    }
    vi.stubGlobal('Request', OfThePage)
    onTestFinished(() => void vi.unstubAllGlobals())
    await tokenHandler.fetch(request)
    expect(profile.seen.at(-1)!.headers.get('token-handler-version')).toBeNull()
  })

  it('does not repeat a stream, which can be sent once only', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /api/orders'] = () => failure(401, 'access_token_expired')
    const body = new Blob(['streamed']).stream()
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' }
    expect((await tokenHandler.fetch('/api/orders', init)).status).toBe(401)
    expect(profile.calls('/api/orders')).toHaveLength(1)
  })

  it('does not repeat a stream that was made in a frame, which has a class of its own', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /api/orders'] = () => failure(401, 'access_token_expired')
    const body = new Blob(['streamed']).stream()
    class OfThePage extends (ReadableStream as new () => object) {
      static override [Symbol.hasInstance]() {
        return false
      }
    }
    vi.stubGlobal('ReadableStream', OfThePage)
    onTestFinished(() => void vi.unstubAllGlobals())
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' }
    expect((await tokenHandler.fetch('/api/orders', init)).status).toBe(401)
    expect(profile.calls('/api/orders')).toHaveLength(1)
  })

  it('asks for no second refresh where the one before it was sent has been refused', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /oauth-agent/refresh'] = () => failure(401, 'interaction_required')
    profile.sleep(59_000)
    profile.answers['GET /api/orders'] = () => failure(401, 'access_token_expired')
    const response = await tokenHandler.fetch('/api/orders')
    expect([response.status, response.headers.get('token-handler-error')]).toEqual([401, 'interaction_required'])
    expect([profile.calls('/oauth-agent/refresh').length, profile.calls('/api/orders').length]).toEqual([1, 1])
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

  it('refreshes once at most, also where it did so before the call', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.sleep(59_000)
    profile.answers['GET /api/orders'] = () => failure(401, 'access_token_expired')
    const response = await tokenHandler.fetch('/api/orders')
    expect([response.status, response.headers.get('token-handler-error')]).toEqual([401, 'access_token_expired'])
    expect([profile.calls('/oauth-agent/refresh').length, profile.calls('/api/orders').length]).toEqual([1, 1])
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
    const release = profile.holdNextAnswer('POST /oauth-agent/refresh')
    const controller = new AbortController()
    const aborted = tokenHandler.fetch('/api/orders', { signal: controller.signal })
    const other = tokenHandler.fetch('/api/orders')
    await profile.settle()
    controller.abort(new Error('left'))
    await expect(aborted).rejects.toThrow('left')
    release()
    expect((await other).status).toBe(200)
  })

  it('does nothing for a call that was aborted before, and leaves no rejection behind', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.sleep(61_000)
    profile.goOffline()
    const unhandled = listUnhandled()
    const signal = AbortSignal.abort(new Error('left'))
    await expect(tokenHandler.fetch('/api/orders', { signal })).rejects.toThrow('left')
    await profile.settle()
    expect(unhandled).toEqual([])
  })

  it('leaves no rejection behind where the refusal before a refresh breaks off', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /api/orders'] = () =>
      profile.session.generation === 1 ? broken(401, { 'token-handler-error': 'access_token_expired' }) : json({}, 201)
    const unhandled = listUnhandled()
    expect((await tokenHandler.fetch('/api/orders', { method: 'POST' })).status).toBe(201)
    await profile.settle()
    expect(unhandled).toEqual([])
  })

  it('can be aborted while it asks whether the session is over, and asks for no sign-in then', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const needs: unknown[] = []
    tokenHandler.on('stepUpNeeded', (need) => needs.push(need))
    profile.session.isLoggedIn = false
    const release = profile.holdNextAnswer('GET /oauth-agent/session')
    const controller = new AbortController()
    const aborted = tokenHandler.fetch('/api/orders', { signal: controller.signal })
    await profile.settle()
    controller.abort(new Error('left'))
    await expect(aborted).rejects.toThrow('left')
    release()
    await profile.settle()
    expect(needs).toEqual([])
  })
})

it('a call that was aborted before leaves no failure behind that nobody handles', async () => {
  const { profile, tokenHandler } = await openSignedIn()
  profile.sleep(61_000)
  profile.goOffline()
  const unhandled: unknown[] = []
  const note = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  const signal = AbortSignal.abort(new Error('left'))
  await expect(tokenHandler.fetch('/api/orders', { signal })).rejects.toThrow('left')
  await profile.settle()
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

describe('a call that waits for a refresh while somebody else signs in', () => {
  /** A tab of the first user that has not heard of the second, who signs in now. */
  const openReplaced = async () => {
    const world = await openSignedIn({ channel: false })
    const { profile } = world
    profile.answers['POST /api/orders'] = () =>
      profile.session.sub === 'u1' && profile.session.generation === 1
        ? failure(401, 'access_token_expired')
        : json({}, 201)
    const signInSecond = () =>
      Object.assign(profile.session, { sub: 'u2', createdAt: 200, accessEndsAt: profile.session.accessEndsAt + 60_000 })
    const send = () => world.tokenHandler.fetch('/api/orders', { method: 'POST', body: 'of the first user' })
    return { ...world, signInSecond, send }
  }

  it('is not sent where the token was known to end', async () => {
    const { profile, signInSecond, send } = await openReplaced()
    profile.sleep(59_000)
    signInSecond()
    const response = await send()
    const answer = { status: response.status, body: (await response.json()) as unknown }
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'session_expired' } })
    expect(response.headers.get('token-handler-error')).toBe('session_expired')
    expect(profile.calls('/api/orders')).toEqual([])
  })

  it('is not sent where the refresh itself failed', async () => {
    const { profile, tokenHandler, signInSecond, send } = await openReplaced()
    profile.sleep(59_000)
    const refresh = '/oauth-agent/refresh'
    profile.answers[`POST ${refresh}`] = async () => {
      signInSecond()
      await tokenHandler.check()
      return failure(503, 'authorization_server_unavailable', { retry_after: 30 })
    }
    expect((await send()).status).toBe(401)
    expect(profile.calls(refresh)).toHaveLength(1)
    expect(profile.calls('/api/orders')).toEqual([])
  })

  it('is not repeated where it was refused', async () => {
    const { profile, signInSecond, send } = await openReplaced()
    const answer = profile.answers['POST /api/orders']!
    profile.answers['POST /api/orders'] = async (request) => {
      const refusal = await answer(request)
      signInSecond()
      return refusal
    }
    const response = await send()
    expect([response.status, await response.json()]).toMatchObject([401, { error_code: 'access_token_expired' }])
    expect(profile.calls('/api/orders')).toHaveLength(1)
  })

  it('gets no headers', async () => {
    const { profile, tokenHandler, signInSecond } = await openReplaced()
    profile.sleep(61_000)
    signInSecond()
    await expect(tokenHandler.headers()).rejects.toMatchObject({ code: 'session_expired', status: 401 })
    expect(await tokenHandler.headers()).toEqual({ 'token-handler-version': '1' })
  })
})

describe('headers', () => {
  it.each([
    ['is still good', 50_000, 0],
    ['ends before the call arrives', 59_000, 1],
    ['has ended', 61_000, 1],
  ])('are given for calls made without fetch, where the token %s', async (_name, after, refreshes) => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.sleep(after)
    expect(await tokenHandler.headers()).toEqual({ 'token-handler-version': '1' })
    expect(profile.calls('/oauth-agent/refresh')).toHaveLength(refreshes)
  })

  it('are given as they are in a session that cannot be refreshed', async () => {
    const profile = createProfile()
    const session = profile.answers['GET /oauth-agent/session']!
    profile.answers['GET /oauth-agent/session'] = async (request) => {
      const view = (await (await session(request)).json()) as { session: object }
      return json({ ...view, session: { ...view.session, refresh_in: undefined } })
    }
    profile.answers['POST /oauth-agent/refresh'] = () => failure(401, 'no_refresh_token')
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    profile.sleep(59_000)
    expect(await tokenHandler.headers()).toEqual({ 'token-handler-version': '1' })
    expect(profile.calls('/oauth-agent/refresh')).toEqual([])
  })
})
