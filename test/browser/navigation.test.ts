import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { fillSignIn } from '../support/browser-world.ts'
import { launchChromium } from '../support/chromium.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

const text = 'the orders of whoever is signed in'

/** An app of plain pages: /orders is let through with a session only, and only to a navigation of our own origin. */
describe.each(['query', 'form_post'])('sign-in by plain navigation, with the response as %s', (mode) => {
  let browser: Browser
  let app: Upstream
  let world: ProviderWorld
  const contexts: BrowserContext[] = []
  beforeAll(async () => {
    browser = await launchChromium()
    app = await startUpstream()
    app.behave((socket) => {
      const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\nConnection: close`
      socket.end(`${head}\r\n\r\n${text}`)
    })
    world = await startProviderWorld({
      settings: `
login: { navigation: { enabled: true, response_mode: ${mode} } }
proxy: { routes: [{ path: /orders, upstream: "${app.origin}", headerless: [download] }] }
`,
    })
  })
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close()
  })
  afterAll(async () => {
    await browser.close()
    await world.close()
    await app.close()
  })

  async function openTab(): Promise<Page> {
    const context = await browser.newContext()
    contexts.push(context)
    const page = await context.newPage()
    page.setDefaultTimeout(30_000)
    return page
  }
  const login = () => `${world.publicOrigin}/oauth-agent/login?return_to=/orders`
  const landed = async (page: Page) => {
    await page.waitForURL(`${world.publicOrigin}/orders`)
    expect(await page.textContent('body')).toBe(text)
  }

  async function signedIn(): Promise<Page> {
    const page = await openTab()
    await page.goto(login())
    await fillSignIn(page, 'alice')
    await landed(page)
    return page
  }

  it('C33 a response in the fragment does not stay in the address', async () => {
    const page = await openTab()
    await page.goto(`${world.publicOrigin}/oauth-agent/callback#code=c&state=s`)
    await page.waitForLoadState()
    expect(page.url()).not.toContain('code=c')
  })

  it('ends on a page that needs the session: its Strict cookies are sent (CK-9, CK-11)', async () => {
    const page = await signedIn()
    const cookies = await page.context().cookies(world.publicOrigin)
    expect(cookies.map(({ name, sameSite }) => [name, sameSite]).sort()).toEqual([
      ['__Host-Http-th-at', 'Strict'],
      ['__Host-Http-th-id', 'Strict'],
      ['__Host-Http-th-rt', 'Strict'],
    ])
    // Nothing of the response is left in the address or the history entry.
    expect(page.url()).toBe(`${world.publicOrigin}/orders`)
    expect(await page.evaluate(() => document.referrer)).toBe('')
  })

  it('asks first when another site sends the user, and goes on by a click (FM-7)', async () => {
    const page = await openTab()
    await page.goto(`${world.provider.issuer}/.well-known/openid-configuration`)
    await page.evaluate((url) => location.assign(url), login())
    await page.waitForSelector('h1:text("Sign in")')
    await page.click('a')
    await fillSignIn(page, 'alice')
    await landed(page)
    // The second time the provider knows the user: no page of its own, the same way back.
    await page.goto(login())
    await landed(page)
  })

  it('cannot be started or ended in a frame (FM-3)', async () => {
    const page = await openTab()
    await page.goto(`${world.provider.issuer}/.well-known/openid-configuration`)
    for (const path of ['/login', '/logout', '/callback?code=x&state=y']) {
      if (mode === 'form_post' && path.startsWith('/callback')) continue
      const url = `${world.publicOrigin}/oauth-agent${path}`
      const answered = page.waitForResponse(url)
      await page.evaluate((source) => {
        const frame = document.createElement('iframe')
        frame.src = source
        document.body.append(frame)
      }, url)
      expect([path, (await answered).status()]).toEqual([path, 403])
    }
  })

  it('signs out by the button of a page of ours, and then the page is closed', async () => {
    const page = await signedIn()
    await page.goto(`${world.publicOrigin}/oauth-agent/logout`)
    await page.click('button')
    await page.click('button[name=logout]')
    await page.waitForURL(`${world.publicOrigin}/?state=*`)
    expect(await page.context().cookies(world.publicOrigin)).toEqual([])
    const answer = await page.goto(`${world.publicOrigin}/orders`)
    expect(answer?.status()).toBeGreaterThanOrEqual(400)
  })
})
