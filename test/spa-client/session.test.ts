import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isResponse } from '../../spa-client/callback.ts'
import type { TokenHandler } from '../../spa-client/token-handler.ts'
import { isOlder, parseSession, signedOut } from '../../spa-client/session.ts'
import { broken, createProfile, failure, json, openSignedIn } from './profile.ts'

describe('onPageLoad', () => {
  it.each([
    ['https://app.example/callback?code=c&state=s', true],
    ['https://app.example/callback?code=c&state=s&iss=https%3A%2F%2Fop.example', true],
    ['https://app.example/callback?error=access_denied&state=s', true],
    ['https://app.example/callback?response=ey', true],
    ['https://app.example/?response=ey&page=2', false],
    ['https://app.example/?code=c', false],
    ['https://app.example/?state=s', false],
    ['https://app.example/#code=c&state=s', false],
    ['https://app.example/', false],
  ])('%s is a return: %s', (href, expected) => {
    expect(isResponse(new URL(href).searchParams)).toBe(expected)
  })

  it('ends the sign-in with all parameters and shows where the app was', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const tab = profile.openTab({
      href: 'https://app.example/callback?code=c%20d&state=s&iss=https%3A%2F%2Fop.example',
    })
    const session = await tab.tokenHandler.onPageLoad()
    expect([session.isLoggedIn, session.returnTo, tab.address]).toEqual([true, '/after', 'https://app.example/after'])
    expect(profile.seen[0]).toMatchObject({ method: 'POST', path: '/oauth-agent/login/end' })
    expect(profile.seen[0]!.body).toBe('code=c+d&state=s&iss=https%3A%2F%2Fop.example')
    expect(profile.seen[0]!.headers.get('content-type')).toBe('application/x-www-form-urlencoded;charset=UTF-8')
    expect(profile.seen[0]!.headers.get('token-handler-version')).toBe('1')
  })

  it('alone tells where the app was, and to nobody else', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const other = profile.openTab()
    await other.tokenHandler.onPageLoad()
    const heard: unknown[] = []
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    for (const { tokenHandler } of [tab, other]) tokenHandler.on('signedIn', ({ returnTo }) => heard.push(returnTo))
    await tab.tokenHandler.onPageLoad()
    await profile.settle()
    heard.push(tab.tokenHandler.session().returnTo, other.tokenHandler.session().returnTo)
    expect(heard).toEqual(Array(4).fill(undefined))
  })

  it.each(['access_denied', 'login_required'])('shows where the app was after %s, too', async (code) => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    profile.answers['POST /oauth-agent/login/end'] = () => failure(403, code, { return_to: '/orders?page=2#there' })
    const tab = profile.openTab({ href: `https://app.example/callback?error=${code}&state=s` })
    await tab.tokenHandler.onPageLoad().catch(() => undefined)
    expect(tab.address).toBe('https://app.example/orders?page=2#there')
  })

  it.each([
    ['the network is down', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['the answer breaks off', () => broken(200)],
    ['the agent asks to try again', () => failure(503, 'authorization_server_unavailable', { retry_after: 5 })],
  ])('leaves the address for another load where %s', async (_name, answer) => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const end = profile.answers['POST /oauth-agent/login/end']!
    profile.answers['POST /oauth-agent/login/end'] = answer
    const href = 'https://app.example/callback?code=c&state=s'
    const tab = profile.openTab({ href })
    await expect(tab.tokenHandler.onPageLoad()).rejects.toThrow()
    expect(tab.address).toBe(href)
    profile.answers['POST /oauth-agent/login/end'] = end
    const reloaded = profile.openTab({ href })
    expect(await reloaded.tokenHandler.onPageLoad()).toMatchObject({ isLoggedIn: true, returnTo: '/after' })
  })

  it.each([
    ['ends one sign-in', json({ is_logged_in: true, return_to: '/orders?page=2' }), true],
    ['says why it failed', failure(403, 'access_denied', { return_to: '/orders?page=2' }), 'access_denied'],
  ])('called twice at once %s', async (_name, answer, expected) => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const answers = [answer, failure(400, 'invalid_state')]
    profile.answers['POST /oauth-agent/login/end'] = () => answers.shift()!
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    const outcome = () =>
      tab.tokenHandler.onPageLoad().then(
        ({ isLoggedIn }) => isLoggedIn,
        ({ code }) => code,
      )
    expect(await Promise.all([outcome(), outcome()])).toEqual([expected, expected])
    expect(tab.address).toBe('https://app.example/orders?page=2')
  })

  it.each([
    ['ended', json({ is_logged_in: true })],
    ['failed', failure(403, 'access_denied', { return_to: '/orders' })],
  ])('leaves the page alone that another client or the router shows when the sign-in has %s', async (_name, answer) => {
    const profile = createProfile()
    profile.answers['POST /oauth-agent/login/end'] = () => answer
    const release = profile.holdNextAnswer('POST /oauth-agent/login/end')
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    const loaded = tab.tokenHandler.onPageLoad().catch(() => undefined)
    await profile.settle()
    Object.assign(tab, { address: 'https://app.example/basket?page=3' })
    release()
    await loaded
    expect(tab.address).toBe('https://app.example/basket?page=3')
  })

  describe.each([
    ['cancelled', failure(403, 'access_denied', { return_to: '/orders?page=2#there' }), 'access_denied'],
    [
      'silent and found nobody',
      failure(401, 'login_required', { return_to: '/orders?page=2#there' }),
      '/orders?page=2#there',
    ],
  ])('after a sign-in that was %s', (_name, answer, expected) => {
    const outcome = (client: TokenHandler) =>
      client.onPageLoad().then(
        ({ isLoggedIn, returnTo }) => isLoggedIn || returnTo,
        ({ code }) => code,
      )
    const openReturn = () => {
      const profile = createProfile()
      profile.session.isLoggedIn = false
      const answers = [answer.clone()]
      profile.answers['POST /oauth-agent/login/end'] = () => answers.shift() ?? failure(400, 'invalid_state')
      return profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    }

    it('another client of the page has nothing to complain of, and knows that it has been tried', async () => {
      const tab = openReturn()
      expect(await Promise.all([outcome(tab.tokenHandler), outcome(tab.openClient())])).toEqual([
        expected,
        '/orders?page=2#there',
      ])
      expect(tab.address).toBe('https://app.example/orders?page=2#there')
    })

    it('loading the page of return again tells that it cannot be used', async () => {
      const tab = openReturn()
      await outcome(tab.tokenHandler)
      Object.assign(tab, { address: 'https://app.example/callback?code=c&state=s' })
      expect(await outcome(tab.tokenHandler)).toBe('invalid_state')
    })
  })

  it('asks again when it is called again', async () => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.session.isLoggedIn = false
    expect((await tokenHandler.onPageLoad()).isLoggedIn).toBe(false)
    profile.goOffline()
    await expect(tokenHandler.onPageLoad()).rejects.toThrow('Failed to fetch')
    await expect(tokenHandler.onPageLoad()).rejects.toThrow('Failed to fetch')
    expect(profile.calls('/oauth-agent/session')).toHaveLength(2)
  })

  it('that could not end a sign-in is no place to come back to', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const { tokenHandler } = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    void tokenHandler.signIn()
    await profile.settle()
    expect(profile.calls('/oauth-agent/login/start')[0]!.body).toBe('')
  })

  it('takes code and state out of the address when it fails, too', async () => {
    const profile = createProfile()
    profile.answers['POST /oauth-agent/login/end'] = () => failure(400, 'invalid_state')
    const redirectPath = '/shop/callback'
    const tab = profile.openTab({ href: `https://app.example${redirectPath}?code=c&state=s`, redirectPath })
    await expect(tab.tokenHandler.onPageLoad()).rejects.toMatchObject({ code: 'invalid_state', status: 400 })
    expect(tab.address).toBe('https://app.example/shop/')
  })

  it.each([
    ['code=c&state=s', true],
    ['state=s&code=c', true],
    ['code=c&state=s&iss=https%3A%2F%2Fop.example', true],
    ['code=c&id_token=i&state=s', true],
    ['error=access_denied&state=s', true],
    ['response=ey', true],
    ['code=c', false],
    ['state=s', false],
    ['/coupons?code=c&state=open', false],
    ['response=ey&page=2', false],
    ['section', false],
    ['response', false],
    ['', false],
  ])('C33 takes a response out of the fragment, and sends it nowhere: #%s, %s', async (fragment, isResponse) => {
    const profile = createProfile()
    const href = `https://app.example/shop/callback?lang=en#${fragment}`
    const tab = profile.openTab({ href, redirectPath: '/shop/callback' })
    await tab.tokenHandler.onPageLoad()
    expect(tab.address).toBe(isResponse ? 'https://app.example/shop/' : href)
    expect(profile.seen.map(({ path }) => path)).toEqual(['/oauth-agent/session'])
  })

  it.each([
    ['/connect/slack?code=c&state=s', undefined],
    ['/connect/slack?error=access_denied&state=s', undefined],
    ['/survey?response=yes', undefined],
    ['/docs#response=1', undefined],
    ['/docs#code=c&state=s', undefined],
    ['/callback/?code=c&state=s', undefined],
    ['/callback?code=c&state=s', '/signed-in'],
  ])('leaves %s to the app, whose sign-ins end at another page', async (path, redirectPath) => {
    const profile = createProfile()
    const href = `https://app.example${path}`
    const tab = profile.openTab({ href, redirectPath })
    await tab.tokenHandler.onPageLoad()
    expect(tab.address).toBe(href)
    expect(profile.seen.map(({ path: called, body }) => [called, body])).toEqual([['/oauth-agent/session', '']])
    void tab.tokenHandler.signIn()
    await profile.settle()
    const asked = new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body)
    expect(asked.get('return_to')).toBe(path)
  })

  it('waits for a refresh that is under way, whose cookies would replace those of the new session', async () => {
    const profile = createProfile()
    const other = profile.openTab()
    await other.tokenHandler.onPageLoad()
    const release = profile.holdNextAnswer('POST /oauth-agent/refresh')
    const refreshed = other.tokenHandler.refresh()
    await profile.settle()
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    const ended = tab.tokenHandler.onPageLoad()
    await profile.settle()
    expect(profile.calls('/oauth-agent/login/end')).toEqual([])
    release()
    await refreshed
    expect((await ended).isLoggedIn).toBe(true)
    expect(profile.calls('/oauth-agent/login/end')).toHaveLength(1)
  })

  it('waits for no lock that another tab never gives back', async () => {
    const profile = createProfile()
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s', locks: 'stuck' })
    expect((await tab.tokenHandler.onPageLoad()).isLoggedIn).toBe(true)
  })

  it('ends one sign-in once, also where that fails', async () => {
    const profile = createProfile()
    profile.answers['POST /oauth-agent/login/end'] = () => failure(400, 'invalid_state')
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    await expect(tab.tokenHandler.onPageLoad()).rejects.toMatchObject({ code: 'invalid_state' })
    expect(profile.calls('/oauth-agent/login/end')).toHaveLength(1)
  })

  it('takes login_required for an answer: nobody is signed in', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    profile.answers['POST /oauth-agent/login/end'] = () => failure(401, 'login_required')
    const { tokenHandler } = profile.openTab({ href: 'https://app.example/callback?error=login_required&state=s' })
    expect(await tokenHandler.onPageLoad()).toEqual(signedOut)
  })

  it.each(['consent_required', 'interaction_required', 'account_selection_required'])(
    'takes %s for the same answer where the sign-in was silent, and for a failure where it was not',
    async (code) => {
      const profile = createProfile()
      profile.session.isLoggedIn = false
      const load = (fields: object) => {
        profile.answers['POST /oauth-agent/login/end'] = () => failure(401, code, { return_to: '/orders', ...fields })
        return profile.openTab({ href: `https://app.example/callback?error=${code}&state=s` }).tokenHandler.onPageLoad()
      }
      expect(await load({ prompt: 'none' })).toEqual({ ...signedOut, returnTo: '/orders' })
      await expect(load({})).rejects.toMatchObject({ code })
    },
  )

  it('tells that a silent sign-in has been tried, so that it is not tried for ever', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    profile.answers['POST /oauth-agent/login/end'] = () => failure(401, 'login_required', { return_to: '/orders' })
    const { tokenHandler } = profile.openTab({ href: 'https://app.example/callback?error=login_required&state=s' })
    expect(await tokenHandler.onPageLoad()).toEqual({ ...signedOut, returnTo: '/orders' })
  })

  it('asks for the session otherwise', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    const session = await tokenHandler.onPageLoad()
    expect(session).toMatchObject({ isLoggedIn: true, claims: { sub: 'u1' }, generation: 1 })
    expect(profile.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /oauth-agent/session'])
  })
})

it('calls the agent neither through redirects nor caches, and not for ever', async () => {
  const { profile } = await openSignedIn()
  expect(profile.calls('/oauth-agent/session')[0]).toMatchObject({
    redirect: 'error',
    cache: 'no-store',
    signal: expect.any(AbortSignal),
  })
})

describe('many tabs', () => {
  it('all learn of a sign-in and a sign-out', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const other = profile.openTab()
    await other.tokenHandler.onPageLoad()
    const events: string[] = []
    other.tokenHandler.on('signedIn', ({ claims }) => events.push(`in ${String(claims['sub'])}`))
    other.tokenHandler.on('signedOut', ({ cause }) => events.push(`out ${cause}`))
    const tab = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    await tab.tokenHandler.onPageLoad()
    await profile.settle()
    await tab.tokenHandler.signOut()
    await profile.settle()
    expect(events).toEqual(['in u1', 'out signOut'])
    expect(tab.navigations).toEqual(['https://op.example/end'])
    expect(other.navigations).toEqual([])
  })

  it('all learn of the next sign-in after a sign-out', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    await one.tokenHandler.signOut()
    const back = profile.openTab({ href: 'https://app.example/callback?code=c&state=s' })
    await back.tokenHandler.onPageLoad()
    await profile.settle()
    expect([one, two, back].map(({ tokenHandler }) => tokenHandler.session().isLoggedIn)).toEqual([true, true, true])
  })

  it('do not believe a refresh that was overtaken by the sign-out', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    const late = profile.openTab()
    await late.tokenHandler.onPageLoad()
    await one.tokenHandler.signOut()
    profile.session.isLoggedIn = true
    await late.tokenHandler.refresh()
    await profile.settle()
    expect(two.tokenHandler.session().isLoggedIn).toBe(false)
  })

  it.each(['refresh', 'check'] as const)(
    'do not take the answer to a %s for a sign-in when it comes after the sign-out',
    async (call) => {
      const profile = createProfile()
      const [one, two] = [profile.openTab(), profile.openTab()]
      await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
      const events: string[] = []
      for (const { tokenHandler } of [one, two]) {
        tokenHandler.on('signedIn', () => events.push('in'))
        tokenHandler.on('signedOut', () => events.push('out'))
      }
      const path = call === 'refresh' ? 'POST /oauth-agent/refresh' : 'GET /oauth-agent/session'
      const release = profile.holdNextAnswer(path)
      const late = one.tokenHandler[call]()
      await profile.settle()
      await one.tokenHandler.signOut()
      release()
      await late
      await profile.settle()
      expect([one, two].map(({ tokenHandler }) => tokenHandler.session().isLoggedIn)).toEqual([false, false])
      expect(events).toEqual(['out', 'out'])
    },
  )

  it.each([['its own'], ['another']])(
    'do not take the first answer to a page that loads for a sign-in when it comes after a sign-out in %s tab',
    async (whose) => {
      const profile = createProfile()
      const other = profile.openTab()
      await other.tokenHandler.onPageLoad()
      const loading = profile.openTab()
      const release = profile.holdNextAnswer('GET /oauth-agent/session')
      const loaded = loading.tokenHandler.onPageLoad()
      await profile.settle()
      await (whose === 'another' ? other : loading).tokenHandler.signOut()
      await profile.settle()
      release()
      expect((await loaded).isLoggedIn).toBe(false)
      expect([other, loading].map(({ tokenHandler }) => tokenHandler.session().isLoggedIn)).toEqual([false, false])
    },
  )

  it('hear of a sign-out on a page that never asked who is signed in', async () => {
    const profile = createProfile()
    const one = profile.openTab()
    await one.tokenHandler.onPageLoad()
    const two = profile.openTab()
    const causes: string[] = []
    one.tokenHandler.on('signedOut', ({ cause }) => causes.push(cause))
    await two.tokenHandler.signOut()
    await profile.settle()
    expect([one.tokenHandler.session().isLoggedIn, causes]).toEqual([false, ['signOut']])
  })

  it('do not believe a refresh that was overtaken by the end of the session', async () => {
    const profile = createProfile()
    const [late, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([late.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    const release = profile.holdNextAnswer('POST /oauth-agent/refresh')
    const refreshed = late.tokenHandler.refresh()
    await profile.settle()
    profile.session.isLoggedIn = false
    await two.tokenHandler.check()
    release()
    await refreshed
    await profile.settle()
    expect(two.tokenHandler.session().isLoggedIn).toBe(false)
  })

  it('hear the reason even when a refused call told the end before', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    const causes: string[] = []
    two.tokenHandler.on('signedOut', ({ cause }) => causes.push(cause))
    const logout = profile.answers['POST /oauth-agent/logout']!
    profile.answers['POST /oauth-agent/logout'] = async (request) => {
      const answer = await logout(request)
      await two.tokenHandler.fetch('/api/orders')
      return answer
    }
    await one.tokenHandler.signOut()
    await profile.settle()
    expect(causes).toEqual(['end', 'signOut'])
  })

  it('tell a listener nothing more once it is stopped, even by one that is told the same', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    const told: string[] = []
    tokenHandler.on('signedIn', () => stop())
    const stop = tokenHandler.on('signedIn', () => told.push('stopped'))
    tokenHandler.on('signedIn', () => told.push('other'))
    await tokenHandler.onPageLoad()
    expect(told).toEqual(['other'])
  })

  it('tell a listener once, also one that stops and listens anew when it is told', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    await tokenHandler.onPageLoad()
    let told = 0
    const listen = () => {
      stop()
      told += 1
      if (told < 10) stop = tokenHandler.on('refreshed', listen)
    }
    let stop = tokenHandler.on('refreshed', listen)
    await tokenHandler.refresh()
    expect(told).toBe(1)
    await tokenHandler.refresh()
    expect(told).toBe(2)
  })

  it('hear nothing of a sign-out while nobody was signed in', async () => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    const causes: string[] = []
    two.tokenHandler.on('signedOut', ({ cause }) => causes.push(cause))
    await one.tokenHandler.signOut()
    await profile.settle()
    expect(causes).toEqual([])
  })

  it.each(['check', 'refresh'] as const)(
    'C35 do not take the answer of a %s to the first user for the present one, once a second has signed in',
    async (call) => {
      const profile = createProfile()
      const [one, two] = [profile.openTab(), profile.openTab()]
      await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
      const path = 'GET /oauth-agent/session'
      const release = profile.holdNextAnswer(path)
      const late = one.tokenHandler[call]()
      await profile.settle()
      profile.session.sub = 'u2'
      await two.tokenHandler.check()
      await profile.settle()
      const seen: unknown[] = []
      for (const { tokenHandler } of [one, two]) tokenHandler.on('signedIn', ({ claims }) => seen.push(claims['sub']))
      release()
      await late
      await profile.settle()
      expect([one, two].map(({ tokenHandler }) => tokenHandler.session().claims['sub'])).toEqual(['u2', 'u2'])
      expect(seen).toEqual([])
    },
  )

  it('C35 do not show the first user where a refresh is answered for the second', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    const path = 'POST /oauth-agent/refresh'
    const answer = profile.answers[path]!
    profile.answers[path] = (request) => {
      Object.assign(profile.session, { sub: 'u2', createdAt: 200 })
      return answer(request)
    }
    const refreshed = await one.tokenHandler.refresh()
    await profile.settle()
    expect([refreshed, one.tokenHandler.session(), two.tokenHandler.session()].map(({ claims }) => claims)).toEqual(
      Array(3).fill({ sub: 'u2' }),
    )
  })

  it.each([[false], ['stuck' as const]])(
    'C35 do not show the first user where a refresh is answered after the second has signed in; locks: %s',
    async (locks) => {
      const profile = createProfile()
      const [one, two] = [profile.openTab({ locks }), profile.openTab({ locks })]
      await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
      const release = profile.holdNextAnswer('POST /oauth-agent/refresh')
      const late = one.tokenHandler.refresh()
      await profile.settle()
      const end = profile.answers['POST /oauth-agent/login/end']!
      profile.answers['POST /oauth-agent/login/end'] = (request) => {
        profile.session.sub = 'u2'
        return end(request)
      }
      const back = profile.openTab({ locks, href: 'https://app.example/callback?code=c&state=s' })
      await back.tokenHandler.onPageLoad()
      await profile.settle()
      release()
      expect((await late).claims).toEqual({ sub: 'u2' })
      await profile.settle()
      const seen = [one, two, back].map(({ tokenHandler }) => tokenHandler.session().claims)
      expect(seen).toEqual(Array(3).fill({ sub: 'u2' }))
    },
  )

  it('learn of another user', async () => {
    const profile = createProfile()
    const [one, two] = [profile.openTab(), profile.openTab()]
    await Promise.all([one.tokenHandler.onPageLoad(), two.tokenHandler.onPageLoad()])
    profile.session.sub = 'u2'
    await one.tokenHandler.check()
    await profile.settle()
    expect(two.tokenHandler.session().claims).toEqual({ sub: 'u2' })
  })
})

describe('the back/forward cache', () => {
  it('shows a page again only after the agent was asked', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    tab.enterCache()
    expect(tab.concealed).toBe(true)
    profile.session.isLoggedIn = false
    const shownAt: boolean[] = []
    tab.tokenHandler.on('signedOut', () => shownAt.push(tab.concealed))
    tab.leaveCache()
    await profile.settle()
    expect([shownAt, tab.concealed]).toEqual([[true], false])
  })

  it.each([
    ['nobody signed in meanwhile', false],
    ['somebody signed in in another tab meanwhile', true],
  ])('ends sign-ins for which the page was left: %s', async (_name, isSignedIn) => {
    const profile = createProfile()
    profile.session.isLoggedIn = false
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    const outcomes: boolean[] = []
    for (let click = 0; click < 2; click += 1) void tab.tokenHandler.signIn().then((outcome) => outcomes.push(outcome))
    await profile.settle()
    expect(outcomes).toEqual([])
    tab.enterCache()
    profile.session.isLoggedIn = isSignedIn
    tab.leaveCache()
    await profile.settle()
    expect(outcomes).toEqual([isSignedIn, isSignedIn])
  })

  it('reloads a page that gets no answer from the agent but an error', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    tab.enterCache()
    profile.answers['GET /oauth-agent/session'] = () => failure(503, 'overloaded')
    tab.leaveCache()
    await profile.settle()
    expect([tab.concealed, tab.reloads]).toEqual([true, 1])
  })

  it('keeps a page hidden, and does not load it again, where the answer of the agent breaks off', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    tab.enterCache()
    const session = profile.answers['GET /oauth-agent/session']!
    profile.answers['GET /oauth-agent/session'] = () => broken(200)
    tab.leaveCache()
    await profile.settle()
    expect([tab.reloads, tab.concealed]).toEqual([0, true])
    profile.answers['GET /oauth-agent/session'] = session
    await profile.pass(1000)
    expect([tab.reloads, tab.concealed]).toEqual([0, false])
  })

  it('keeps a page that cannot ask hidden until the network is back', async () => {
    const profile = createProfile()
    const tab = profile.openTab()
    await tab.tokenHandler.onPageLoad()
    tab.enterCache()
    profile.goOffline()
    tab.leaveCache()
    await profile.pass(5000)
    expect([tab.concealed, tab.reloads]).toEqual([true, 0])
    tab.goOnline()
    await profile.pass(1000)
    expect([tab.concealed, tab.reloads]).toEqual([false, 0])
  })
})

describe('a client that was closed', () => {
  it('does nothing more by itself, hears no other tab and tells none', async () => {
    const { profile, tab: closed } = await openSignedIn()
    const heard: string[] = []
    for (const name of ['signedIn', 'signedOut', 'refreshed', 'expiring'] as const) {
      closed.tokenHandler.on(name, () => heard.push(name))
    }
    closed.tokenHandler.close()
    const calls = profile.seen.length
    closed.touch()
    closed.show()
    closed.goOnline()
    await profile.pass(3_600_000)
    expect([profile.seen.length - calls, closed.tokenHandler.session()]).toEqual([0, signedOut])
    const other = profile.openTab()
    await other.tokenHandler.onPageLoad()
    await other.tokenHandler.signOut()
    await profile.settle()
    expect(heard).toEqual([])
  })

  it('ends for itself only: the others stay signed in', async () => {
    const profile = createProfile()
    const [closed, other] = [profile.openTab(), profile.openTab()]
    for (const { tokenHandler } of [closed, other]) await tokenHandler.onPageLoad()
    closed.tokenHandler.close()
    await profile.settle()
    expect(other.tokenHandler.session().isLoggedIn).toBe(true)
    await profile.pass(60_000)
    expect(profile.calls('/oauth-agent/refresh')).toHaveLength(1)
  })

  it('does not come back with the answer to a call that was under way', async () => {
    const profile = createProfile()
    const { tokenHandler } = profile.openTab()
    const arrive = profile.holdNextAnswer('GET /oauth-agent/session')
    const loading = tokenHandler.onPageLoad()
    await profile.settle()
    tokenHandler.close()
    arrive()
    expect(await loading).toEqual(signedOut)
    const calls = profile.seen.length
    await profile.pass(3_600_000)
    expect(profile.seen).toHaveLength(calls)
  })

  it('ends a sign-in that was under way in its window, which has nobody to tell', async () => {
    const profile = createProfile()
    const tab = profile.openTab({
      href: 'https://app.example/callback?code=c&state=s',
      windowName: 'token-handler-popup0',
    })
    const arrive = profile.holdNextAnswer('POST /oauth-agent/login/end')
    const loading = tab.tokenHandler.onPageLoad()
    await profile.settle()
    tab.tokenHandler.close()
    arrive()
    await loading
    expect(tab.windowClosed).toBe(true)
  })

  it('still keeps a page from the cache hidden until the agent was asked', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    tab.enterCache()
    tokenHandler.close()
    expect(tab.concealed).toBe(true)
    const calls = profile.seen.length
    tab.leaveCache()
    await profile.settle()
    expect([profile.seen.length - calls, tab.concealed]).toEqual([1, false])
  })
})

describe('parseSession', () => {
  it('never throws and is signed out only when told so', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.anything()), (answer) => {
        const session = parseSession(answer, 0)
        expect(session.isLoggedIn).toBe(answer['is_logged_in'] !== false)
      }),
    )
  })

  it('reads the answers of agents that tell less', () => {
    const answer = { is_logged_in: true, id_token_claims: { sub: 'a' }, access_token_expires_in: 30 }
    expect(parseSession(answer, 1000)).toEqual({ isLoggedIn: true, claims: { sub: 'a' }, accessTokenExpiresAt: 31_000 })
  })

  it('knows older pictures of a session', () => {
    const at = (generation: number, createdAt = 1) => ({
      isLoggedIn: true,
      claims: { sub: 'a' },
      generation,
      createdAt,
    })
    expect([isOlder(at(1), at(2)), isOlder(at(2), at(1)), isOlder(at(1, 5), at(2))]).toEqual([true, false, false])
  })
})
