import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BrowserWorld, fillSignIn, signIn, startBrowserWorld, startSignIn } from '../support/browser-world.ts'

describe('the way back from the authorization server', () => {
  let world: BrowserWorld
  let context: BrowserContext
  beforeAll(async () => {
    world = await startBrowserWorld()
  })
  beforeEach(async () => {
    context = await world.newContext()
  })
  afterEach(async () => {
    await context.close()
    world.assertClean()
  })
  afterAll(() => world.close())

  const openAt = async (path: string): Promise<Page> => {
    const page = await context.newPage()
    await page.goto(world.demo.appOrigin + path)
    return page
  }
  /** The address with which the authorization server sends the browser back. */
  const recordReturn = (page: Page) => {
    const found: string[] = []
    page.on('request', (request) => {
      if (request.isNavigationRequest() && request.url().includes('/callback?')) found.push(request.url())
    })
    return found
  }

  it.each([
    ['first one first', [0, 1]],
    ['second one first', [1, 0]],
  ] as const)('works for two tabs that sign in at once, %s', async (_name, order) => {
    const tabs = [await openAt('/'), await openAt('/')]
    for (const tab of tabs) {
      await tab.click('#welcome-sign-in')
      await tab.waitForSelector('input[name=username]')
    }
    for (const index of order) {
      await fillSignIn(tabs[index]!, 'alice')
      await tabs[index]!.waitForSelector('#user-name')
    }
    for (const tab of tabs) {
      await tab.click('#load-orders')
      await tab.waitForSelector('#order-list .amount')
    }
  })

  it('may be bookmarked: whoever is signed in stays signed in', async () => {
    const page = await context.newPage()
    const returns = recordReturn(page)
    await signIn(page, world.demo)
    await page.goto(returns[0]!)
    await page.waitForSelector('#user-name')
    expect(page.url()).toBe(`${world.demo.appOrigin}/`)
    await page.reload()
    await page.waitForSelector('#user-name')
  })

  it('of another time says that it cannot be used, and leads on', async () => {
    const page = await openAt('/callback?code=old&state=old')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toContain('Please start again')
    expect(page.url()).toBe(`${world.demo.appOrigin}/`)
    await page.click('#welcome-sign-in')
    await fillSignIn(page, 'alice')
    await page.waitForSelector('#user-name')
  })

  it('with a made-up error says nothing that came in the address', async () => {
    const page = await openAt('/callback?error=call_us&error_description=Call%20555-0100&state=x')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('body')).not.toContain('555')
  })

  it('is silent where prompt=none finds nobody', async () => {
    const page = await openAt('/')
    await page.waitForSelector('#welcome-sign-in')
    const returns = recordReturn(page)
    // The page looks the same before it leaves and when it is back, so the way is waited for first.
    const returned = page.waitForURL(/\/callback\?/, { waitUntil: 'commit' })
    await startSignIn(page, { prompt: 'none' })
    await returned
    expect(returns[0]).toContain('error=login_required')
    await page.waitForURL(`${world.demo.appOrigin}/`)
    await page.waitForSelector('#welcome-sign-in')
    expect(await page.locator('.notice').count()).toBe(0)
  })

  it('signs in silently where the authorization server still knows the user', async () => {
    const page = await context.newPage()
    await signIn(page, world.demo)
    await context.clearCookies({ domain: 'localhost' })
    await page.goto(world.demo.appOrigin)
    await page.waitForSelector('#welcome-sign-in')
    await startSignIn(page, { prompt: 'none' })
    await page.waitForSelector('#user-name')
  })

  it('leads to the page where the sign-in began when it is cancelled, too', async () => {
    const page = await openAt('/?page=2')
    await page.click('#welcome-sign-in')
    await page.click('button[value=cancel]')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toBe('The sign-in was cancelled.')
    expect(page.url()).toBe(`${world.demo.appOrigin}/?page=2`)
  })

  it('is finished by loading it again where the network was away', async () => {
    const page = await openAt('/?page=2')
    await page.route('**/login/end', (route) => route.abort())
    await page.click('#welcome-sign-in')
    await fillSignIn(page, 'alice')
    await page.waitForSelector('.notice.bad')
    await page.unroute('**/login/end')
    await page.reload()
    await page.waitForSelector('#user-name')
    expect(page.url()).toBe(`${world.demo.appOrigin}/?page=2`)
  })

  it('leads to the page where the sign-in began', async () => {
    const page = await openAt('/?page=2')
    await page.click('#welcome-sign-in')
    await fillSignIn(page, 'alice')
    await page.waitForSelector('#user-name')
    expect(page.url()).toBe(`${world.demo.appOrigin}/?page=2`)
  })
})
