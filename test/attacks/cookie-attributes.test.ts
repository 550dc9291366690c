import { describe, expect, it } from 'vitest'
import { parseCookieHeader, type RequestCookies } from '../../shared/cookies/header.ts'
import { loginIds as sentLoginIds } from '../../shared/cookies/open.ts'
import { createCookieJar } from '../support/cookie-jar.ts'
import {
  cookieSettings,
  createInstallation,
  jwt,
  loginContent,
  noCookies,
  sessionCookies,
} from '../support/installation.ts'

/** Attack: cookies that a browser keeps when they should be gone, drops when they should stay, or shows to others. */

const host = 'www.example.com'
const loginIds = ['EBESExQVFhcYGRobHB0eHw', 'ICEiIyQlJicoKSorLC0uLw']

/** A browser at one installation; every line must be taken as it is. */
function createBrowser(refreshPath: 'root' | 'agent', maxTotalBytes = 14_336) {
  const installation = createInstallation({ settings: cookieSettings({ refreshPath, maxTotalBytes }) })
  const jar = createCookieJar(installation.clock)
  const lines: string[] = []
  return {
    ...installation,
    jar,
    lines,
    take(setCookies: readonly string[]) {
      lines.push(...setCookies)
      for (const line of setCookies) expect(`${line.slice(0, 30)} ${jar.take(host, line)}`).toContain(' true')
    },
    cookies: (path = '/oauth-agent/session', journey: Parameters<typeof jar.header>[2] = 'same-site'): RequestCookies =>
      parseCookieHeader(jar.header(host, path, journey), installation.catalogue),
  }
}

describe.each(['root', 'agent'] as const)('with refresh_path: %s', (refreshPath) => {
  it('B01, B02: after signing out the browser has no cookie of ours', () => {
    const browser = createBrowser(refreshPath)
    browser.take(browser.writer.setSession(sessionCookies({ accessToken: jwt(9000) }), noCookies))
    for (const id of loginIds) browser.take(browser.writer.setLogin(id, loginContent(), browser.cookies()))
    expect(browser.jar.names(host).length).toBeGreaterThan(5)
    browser.take(browser.writer.clearSession(browser.cookies()))
    for (const id of loginIds) browser.take(browser.writer.clearLogin(id))
    expect(browser.jar.names(host)).toEqual([])
  })

  it('B04: sizes that grow and shrink leave no chunk behind', () => {
    const browser = createBrowser(refreshPath)
    for (const length of [100, 5000, 9000, 5400, 100, 7000, 300]) {
      const session = sessionCookies({ accessToken: jwt(length) })
      browser.take(browser.writer.setSession(session, browser.cookies()))
      expect(browser.reader.access(browser.cookies())).toMatchObject({ kind: 'opened', content: session.access })
      expect(browser.reader.refresh(browser.cookies()).kind).toBe('opened')
    }
    expect(browser.jar.names(host)).toHaveLength(3)
  })

  it('a second user without a refresh token does not inherit that of the first', () => {
    const browser = createBrowser(refreshPath)
    browser.take(browser.writer.setSession(sessionCookies(), browser.cookies()))
    const { access, identity } = sessionCookies({ subject: 'bob' })
    browser.take(browser.writer.setSession({ access, identity }, browser.cookies()))
    expect(browser.reader.refresh(browser.cookies())).toEqual({ kind: 'absent' })
  })

  it('B17, B18: every line has the whole set of attributes and nothing else', () => {
    const browser = createBrowser(refreshPath)
    browser.take(browser.writer.setSession(sessionCookies({ accessToken: jwt(6000) }), noCookies))
    browser.take(browser.writer.setLogin(loginIds[0] ?? '', loginContent(), noCookies))
    browser.take(browser.writer.clearSession(browser.cookies()))
    browser.take(browser.writer.clearLogin(loginIds[0] ?? ''))
    for (const line of browser.lines) {
      expect(line).toMatch(
        /^__(?:Host-)?Http-th-[\w.-]+=[\w.-]*; Path=(?:\/|\/oauth-agent); Max-Age=\d+; Secure; HttpOnly; SameSite=(?:Strict|Lax)$/,
      )
      expect(line.startsWith('__Host-')).toBe(line.includes('; Path=/;'))
    }
  })

  it('CK-9, CK-10: coming back from another site brings the login cookie and no token', () => {
    const browser = createBrowser(refreshPath)
    browser.take(browser.writer.setSession(sessionCookies(), noCookies))
    browser.take(browser.writer.setLogin(loginIds[0] ?? '', loginContent(), noCookies))
    const cookies = browser.cookies('/callback', 'cross-site navigation')
    expect([...cookies.ours.keys()]).toEqual([`__Host-Http-th-login-${loginIds[0]}`])
  })
})

describe('CK-16: a refresh cookie with a path of its own', () => {
  it('does not travel with API calls', () => {
    const browser = createBrowser('agent')
    browser.take(browser.writer.setSession(sessionCookies(), noCookies))
    expect([...browser.cookies('/api/orders').ours.keys()]).toEqual(['__Host-Http-th-at'])
    expect(browser.cookies('/oauth-agent/refresh').ours.size).toBe(3)
  })
})

describe('CK-3: names that somebody else made up under our prefix', () => {
  it('are not answered with Set-Cookie lines of those names', () => {
    const { writer, catalogue } = createInstallation()
    const names = ['', 'x', 'é'.repeat(22), 'a b'.repeat(7), 'a'.repeat(23), 'a'.repeat(500)]
    const header = names.map((name) => `${catalogue.loginPrefix}${name}=x`).join('; ')
    const cookies = parseCookieHeader(header, catalogue)
    expect(sentLoginIds(catalogue, cookies)).toEqual([])
    expect(writer.setLogin(loginIds[0] ?? '', loginContent(), cookies)).toHaveLength(1)
    expect(writer.clearSession(cookies)).toHaveLength(3)
  })
})
