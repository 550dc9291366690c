import { describe, expect, expectTypeOf, it } from 'vitest'
import type { SignInOptions } from '../../spa-client/token-handler.ts'
import { failure, openSignedIn } from './profile.ts'

describe('signIn', () => {
  it('leaves the page and asks to come back to it', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    void tokenHandler.signIn({ parameters: { login_hint: 'alice' } })
    await profile.settle()
    const fields = Object.fromEntries(new URLSearchParams(profile.calls('/oauth-agent/login/start')[0]!.body))
    expect(fields).toEqual({ login_hint: 'alice', return_to: '/orders?page=2' })
    expect(tab.navigations).toEqual(['https://op.example/authorize?x=1'])
  })

  it('takes undefined for absent', async () => {
    const { profile, tokenHandler } = await openSignedIn({ agent: undefined, apis: undefined, redirectPath: undefined })
    void tokenHandler.signIn({ returnTo: undefined, parameters: undefined, popup: undefined })
    await profile.settle()
    expect(profile.calls('/oauth-agent/login/start')[0]!.body).toBe('return_to=%2Forders%3Fpage%3D2')
  })

  it.each([
    ['a sentence', () => failure(503, 'overloaded'), 'overloaded: x'],
    [
      'nothing, as from a gateway',
      () => new Response('<p>', { status: 502 }),
      'server_error: 502 from https://app.example/oauth-agent/login/start',
    ],
    [
      'a page, as from a development server that does not forward the path',
      () => new Response('<p>'),
      'server_error: 200 from https://app.example/oauth-agent/login/start',
    ],
  ])('says why it failed where the answer has %s', async (_name, answer, message) => {
    const { profile, tokenHandler } = await openSignedIn()
    profile.answers['POST /oauth-agent/login/start'] = () => {
      const url = 'https://app.example/oauth-agent/login/start'
      return Object.defineProperty(answer(), 'url', { value: url })
    }
    await expect(tokenHandler.signIn()).rejects.toThrow(message)
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

  it('in a window takes no path to come back to, for the page stays', () => {
    expectTypeOf<{ popup: true; returnTo: string }>().not.toExtend<SignInOptions>()
    expectTypeOf<{ popup?: false; returnTo: string }>().toExtend<SignInOptions>()
    expectTypeOf<{ popup: boolean }>().toExtend<SignInOptions>()
  })

  it('in a window is not ended by what happens in the window of another tab', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    profile.setRandom(0.5)
    const other = profile.openTab()
    const outcomes: string[] = []
    void tokenHandler.signIn({ popup: true }).then((outcome) => outcomes.push(`one ${outcome}`))
    void other.tokenHandler.signIn({ popup: true }).then((outcome) => outcomes.push(`other ${outcome}`))
    await profile.settle()
    profile.session.isLoggedIn = false
    profile.answers['POST /oauth-agent/login/end'] = () => failure(403, 'access_denied')
    const href = 'https://app.example/callback?error=access_denied&state=s'
    const cancelled = profile.openTab({ href, windowName: other.popups[0]!.name })
    await expect(cancelled.tokenHandler.onPageLoad()).rejects.toMatchObject({ code: 'access_denied' })
    await profile.settle()
    expect([outcomes, tab.popups[0]!.closed, other.popups[0]!.closed]).toEqual([['other false'], false, true])
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

  it('in a window looks at it no longer once it could not start', async () => {
    const { profile, tab, tokenHandler } = await openSignedIn()
    profile.answers['POST /oauth-agent/login/start'] = () => failure(503, 'authorization_server_unavailable')
    tab.focused = false
    await expect(tokenHandler.signIn({ popup: true })).rejects.toMatchObject({ status: 503 })
    const asked = profile.calls('/oauth-agent/session').length
    tab.focused = true
    await profile.pass(1000)
    expect(profile.calls('/oauth-agent/session')).toHaveLength(asked)
  })
})
