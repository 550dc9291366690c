import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrowserWorld, fillSignIn, signIn, startBrowserWorld } from '../support/browser-world.ts'

describe('an authorization server that is away', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    world = await startBrowserWorld()
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  it('at the very start makes signing in wait, and all recovers by itself', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await world.demo.provider.goOffline()
    await page.goto(world.demo.appOrigin)
    const answer = page.waitForResponse((response) => response.url().endsWith('/oauth-agent/login/start'))
    await page.click('#welcome-sign-in')
    expect((await answer).status()).toBe(503)
    expect(Number((await answer).headers()['retry-after'])).toBeGreaterThan(0)
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toContain('cannot be reached')
    await world.demo.provider.goOnline()
    const again = async () => {
      if (page.url().startsWith(world.demo.appOrigin)) await page.click('#welcome-sign-in').catch(() => undefined)
      return page.locator('input[name=username]').count()
    }
    await expect.poll(again, { timeout: 120_000, interval: 1000 }).toBe(1)
    await fillSignIn(page, 'alice')
    await page.waitForSelector('#user-name')
    await context.close()
  })

  it('between sign-in page and return leaves the visitor where they were, with a sentence', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await page.goto(world.demo.appOrigin)
    await page.route('**/oauth-agent/login/end', async (route) => {
      await world.demo.provider.goOffline()
      await route.continue()
    })
    await page.click('#welcome-sign-in')
    const answer = page.waitForResponse((response) => response.url().endsWith('/oauth-agent/login/end'))
    await fillSignIn(page, 'alice')
    try {
      expect((await answer).status()).toBe(503)
      await page.waitForSelector('.notice.bad')
      expect(await page.isVisible('#welcome-sign-in')).toBe(true)
    } finally {
      await world.demo.provider.goOnline()
    }
    await context.close()
  })

  it('keeps nobody out who is signed in', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    // Without cookies each time: an attempt that ends half-way is known to the provider, which then asks nothing.
    const fromTheStart = () => context.clearCookies().then(() => signIn(page, world.demo))
    await expect
      .poll(() => fromTheStart().then(String, () => 'not yet'), { timeout: 120_000, interval: 1000 })
      .toBe('undefined')
    await world.demo.provider.goOffline()
    try {
      await page.reload()
      await page.waitForSelector('#user-name')
      await page.click('#load-orders')
      await page.waitForSelector('#order-list .amount')
      await page.click('#refresh')
      await page.waitForSelector('.notice.bad')
      expect(await page.textContent('.notice.bad')).toContain('You stay signed in')
    } finally {
      await world.demo.provider.goOnline()
    }
    const refresh = async () => {
      await page.click('#refresh')
      return page.locator('.notice.good').count()
    }
    await expect.poll(refresh, { timeout: 120_000, interval: 1000 }).toBeGreaterThan(0)
    await context.close()
  })
})
