import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ScriptedWorld, startScriptedWorld } from '../support/scripted-authorization-server.ts'
import hostile from '../vectors/hostile-return-paths.json' with { type: 'json' }

let world: ScriptedWorld
beforeAll(async () => {
  world = await startScriptedWorld({
    settings: `
agent: { rate_limits: { login: { requests: 99999 }, session: { requests: 99999 } } }
login: { navigation: { enabled: true } }
`,
  })
})
afterAll(() => world.close())

const targetOf = (text: string) =>
  /http-equiv="refresh" content="0; url=([^"]*)"/
    .exec(text)?.[1]
    ?.replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')

describe('where a sign-in ends, the whole way', () => {
  it('no hostile value starts one, plain or encoded for the query (E01, E04, E06, E14)', async () => {
    const values = Object.values(hostile.refused).flatMap((kind) => kind.filter((_value, index) => index % 8 === 0))
    expect(values.length).toBeGreaterThan(80)
    const page = world.browser()
    for (const value of values) {
      const started = await page.call('POST', '/oauth-agent/login/start', { form: { return_to: value } })
      expect([started.status, value]).toEqual([400, value])
      const opened = await page.navigate('GET', `/oauth-agent/login?${new URLSearchParams({ return_to: value })}`)
      expect([opened.status, opened.headers.location, value]).toEqual([400, undefined, value])
      expect(opened.text).not.toContain('evil')
    }
    expect(page.jar.names('localhost')).toEqual([])
  })

  it.each([
    '/',
    '/a?b=%2F&c="d"',
    "/it's",
    '/x?<y>',
    '/a;b',
    '/?next=//evil.test',
    '/#//evil.test',
    '/a,1;url=//evil.test',
  ])('what was checked is what is opened: %s (E06)', async (value) => {
    const page = world.browser()
    const query = new URLSearchParams({ return_to: value })
    const opened = await page.navigate('GET', `/oauth-agent/login?${query}`)
    if (opened.status === 400) {
      // Not canonical: a browser would have spelled it in another way.
      expect(new URL(value, world.publicOrigin).href).not.toBe(world.publicOrigin + value)
      return
    }
    const response = world.server.authorize(opened.headers.location ?? '')
    const done = await page.navigate('GET', `/oauth-agent/callback?${response}`, { from: 'elsewhere' })
    expect(targetOf(done.text)).toBe(world.publicOrigin + value)
    expect(done.text.match(/<script|onerror/gi)).toBeNull()
  })

  it.each([
    { referer: 'https://evil.test/x' },
    { referer: '//evil.test' },
    { referer: 'http://[' },
    { 'x-forwarded-host': 'evil.test' },
    { 'x-forwarded-proto': 'gopher' },
    { forwarded: 'host=evil.test;proto=https' },
    { 'x-original-url': '//evil.test' },
    { 'x-rewrite-url': '/oauth-agent/logout' },
  ])('nor does a header decide: %j (E05, E10, E13)', async (headers) => {
    const page = world.browser()
    const opened = await page.navigate('GET', '/oauth-agent/login', { headers })
    const url = new URL(opened.headers.location ?? '')
    expect(url.searchParams.get('redirect_uri')).toBe(`${world.publicOrigin}/oauth-agent/callback`)
    const query = world.server.authorize(url.href)
    const done = await page.navigate('GET', `/oauth-agent/callback?${query}`, { from: 'elsewhere', headers })
    expect(targetOf(done.text)).toBe(`${world.publicOrigin}/`)
    const out = await page.navigate('POST', '/oauth-agent/logout/form', { form: {}, headers })
    const back = new URL(out.headers.location ?? '').searchParams.get('post_logout_redirect_uri')
    expect(back).toBe(`${world.publicOrigin}/`)
  })
})

describe('where a sign-out goes', () => {
  it.each([
    'javascript:alert(1)',
    'javascript:alert(`https:`)',
    'data:text/html,x',
    'vbscript:x',
    '//evil.test',
    '',
    'not a url',
    5,
    null,
    {},
  ])('an end_session_endpoint of %j is not opened (E14)', async (endpoint) => {
    const other = await startScriptedWorld()
    other.server.changeMetadata({ end_session_endpoint: endpoint })
    const page = other.browser()
    await other.signIn(page)
    const answer = await page.call('POST', '/oauth-agent/logout')
    expect([answer.status, answer.json()]).toEqual([200, { logout_url: `${other.publicOrigin}/` }])
    await other.close()
  })
})
