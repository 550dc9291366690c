import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Demo, startDemo } from '../../spa-example/demo.ts'
import { demoPassword } from '../../spa-example/openid-provider.ts'
import { createCertificate } from '../support/certificate.ts'
import { type Engine, type Tab, until } from '../support/engines/engine.ts'
import { startFirefox } from '../support/engines/firefox.ts'
import { startWebKit } from '../support/engines/webkit.ts'

const click = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).click()`
const shown = (selector: string) => `document.querySelector(${JSON.stringify(selector)})?.checkVisibility()`
const text = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).textContent`
const fill = (selector: string, value: string) =>
  `document.querySelector(${JSON.stringify(selector)}).value = ${JSON.stringify(value)}`

async function press(tab: Tab, selector: string): Promise<void> {
  await until(tab, shown(selector))
  await tab.read(click(selector))
}

async function startSignIn(tab: Tab, demo: Demo): Promise<void> {
  await tab.goto(demo.appOrigin)
  await press(tab, '#welcome-sign-in')
  await until(tab, shown('input[name=username]'))
  await tab.read(fill('input[name=username]', 'alice'))
  await tab.read(fill('input[name=password]', demoPassword))
  await press(tab, 'button[value=sign-in]')
}

const accessTokenSeconds = 7
const refreshAheadSeconds = 1

/** Chromium has suites of its own; here is what the other engines decide for themselves: cookies, Fetch Metadata, locks, channels. */
describe.each([
  { name: 'Firefox', start: startFirefox, plainCookies: false },
  { name: 'WebKit', start: startWebKit, plainCookies: true },
])('$name', ({ start, plainCookies }) => {
  let engine: Engine
  let demo: Demo
  let tab: Tab
  const tokenCalls: string[] = []
  /** When each refresh was, also those that another request had made already. */
  const refreshedMs: number[] = []
  beforeAll(async () => {
    demo = await startDemo({
      port: 0,
      accessTokenSeconds,
      refreshAheadSeconds,
      plainCookies,
      sink: ({ name, timeMs }) => void (name === 'session.refreshed' && refreshedMs.push(timeMs)),
      provider: { onEvent: (outcome, grantType) => tokenCalls.push(`${grantType} ${outcome}`) },
    })
    engine = await start()
    tab = await engine.newTab()
    await startSignIn(tab, demo)
    await until(tab, shown('#user-name'))
  })
  afterAll(async () => {
    await engine?.close()
    await demo?.close()
  })

  it('signs in, and leaves nothing for scripts to find', async () => {
    expect(await tab.read(text('#user-name'))).toBe('Alice Archer')
    expect(await tab.read('location.pathname + location.search')).toBe('/')
    expect(await tab.read('[document.cookie, localStorage.length, sessionStorage.length]')).toEqual(['', 0, 0])
  })

  it('calls an API with GET and POST, and the API gets a token', async () => {
    await press(tab, '#load-orders')
    await until(tab, shown('#order-list .amount'))
    await tab.read(fill('#orders input[name=item]', 'Cups'))
    await tab.read(click('#orders form button'))
    await until(tab, `${text('#order-list')}.includes('Cups× 1')`)
    expect(await tab.read(text('#api-received'))).toContain('access token of the user')
  })

  it('is refused without our header, even with the cookies', async () => {
    const bare = `fetch('/api/orders').then(async (r) => [r.status, (await r.json()).error_code])`
    expect(await tab.read(bare)).toEqual([403, 'header_missing'])
  })

  it('follows an EventSource and talks over a WebSocket, which carry no header of ours', async () => {
    await press(tab, '#prices-toggle')
    await until(tab, shown('#price-list li:nth-child(3)'))
    await tab.read(click('#prices-toggle'))
    await tab.read(fill('#chat input', 'Good morning'))
    await tab.read(click('#chat form button'))
    await until(tab, `${text('#chat-list')}.includes('Alice Good morning')`)
  })

  it('refreshes once per expiry, however many tabs call', async () => {
    const tabs = [tab, await engine.newTab(), await engine.newTab()]
    for (const each of tabs.slice(1)) await each.goto(demo.appOrigin)
    for (const each of tabs) await until(each, shown('#user-name'))
    const [before, callsBefore] = [refreshedMs.length, tokenCalls.length]
    const callInEveryTab = async () => {
      await Promise.all(tabs.map((each) => each.read(`${click('#load-orders')} ?? true`)))
      return refreshedMs.length - before
    }
    await expect.poll(callInEveryTab, { timeout: 60_000, interval: 200 }).toBeGreaterThanOrEqual(3)
    // By the clock of the agent; tabs that each refreshed for themselves would follow at once. A call refreshes two seconds
    // before the end, which is told in whole seconds, twice rounded down.
    const lives = refreshedMs.slice(before).map((ms, index, all) => ms - (all[index - 1] ?? Number.NEGATIVE_INFINITY))
    expect(Math.min(...lives)).toBeGreaterThan((accessTokenSeconds - 2 - 2) * 1000)
    const refreshes = tokenCalls.slice(callsBefore).filter((call) => call.startsWith('refresh_token'))
    expect(new Set(refreshes)).toEqual(new Set(['refresh_token grant.success']))
    for (const each of tabs) {
      expect(await each.read(`document.querySelectorAll('#log tbody .bad').length`)).toBe(0)
      expect(await each.read(text('#user-name'))).toBe('Alice Archer')
    }
  })

  it('signs out in every tab', async () => {
    const second = await engine.newTab()
    await second.goto(demo.appOrigin)
    await until(second, shown('#user-name'))
    await press(tab, '#sign-out')
    await until(second, shown('#welcome-sign-in'))
    const session = `fetch('/oauth-agent/session', { headers: { 'token-handler-version': '1' } }).then((r) => r.json())`
    expect(await second.read(session)).toEqual({ is_logged_in: false })
  })

  it('keeps the guarded names over https, for HTTP only', async () => {
    const seen: (string | undefined)[] = []
    const { certificate, privateKey } = createCertificate({ name: 'localhost', hosts: ['localhost'] })
    const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
      seen.push(request.headers.cookie)
      response.setHeader('set-cookie', [
        '__Host-Http-th-at=sealed; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict',
        '__Http-th-rt=sealed; Path=/oauth-agent; Max-Age=60; Secure; HttpOnly; SameSite=Strict',
      ])
      response.setHeader('content-type', 'text/html').end('<title>kept</title>')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const origin = `https://localhost:${(server.address() as AddressInfo).port}`
      await tab.goto(`${origin}/`)
      expect(await tab.read('document.cookie')).toBe('')
      seen.length = 0
      await tab.read(`fetch('/api').then((r) => r.status)`)
      await tab.read(`fetch('/oauth-agent/refresh').then((r) => r.status)`)
      expect(seen.map((cookie) => cookie?.split('; ').sort())).toEqual([
        ['__Host-Http-th-at=sealed'],
        ['__Host-Http-th-at=sealed', '__Http-th-rt=sealed'],
      ])
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

describe('WebKit without cookies.insecure_plain', () => {
  let engine: Engine
  let demo: Demo
  beforeAll(async () => {
    demo = await startDemo({ port: 0 })
    engine = await startWebKit()
  })
  afterAll(async () => {
    await engine?.close()
    await demo?.close()
  })

  it('is told why it cannot sign in on http://localhost, and what to do', async () => {
    const tab = await engine.newTab()
    await startSignIn(tab, demo)
    await until(tab, `${text('#notices')}.includes('npm start -- --plain-cookies')`)
  })
})
