import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrowserWorld, plainFetch, signIn, startBrowserWorld } from '../support/browser-world.ts'

const header = { 'token-handler-version': '1' }

describe('an access token that ends', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    world = await startBrowserWorld({ accessTokenSeconds: 8, refreshAheadSeconds: 1 })
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())
  const refreshes = () => world.tokenCalls.filter(({ grantType }) => grantType === 'refresh_token')

  /** Signed in, with an access token that has come to its end. */
  async function signedInUntilExpiry() {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    // Nothing runs ahead while the agent cannot be reached.
    await page.route('**/oauth-agent/**', (route) => route.abort())
    await expect
      .poll(async () => (await plainFetch(page, '/api/orders', header)).body, { timeout: 30_000 })
      .toContain('access_token_expired')
    await page.unroute('**/oauth-agent/**')
    return { context, page }
  }

  it('is refreshed ahead of its end, and every tab knows', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    const second = await context.newPage()
    await second.goto(world.demo.appOrigin)
    await second.waitForSelector('#user-name')
    const shown = () => Promise.all([page, second].map((tab) => tab.textContent('#session dl div:first-child dd')))
    await expect.poll(shown, { timeout: 40_000 }).toEqual(['2 times', '2 times'])
    expect(refreshes().every(({ outcome }) => outcome === 'grant.success')).toBe(true)
    await context.close()
  })

  it('is refreshed by a call that comes too late, which is then repeated', async () => {
    const { context, page } = await signedInUntilExpiry()
    await page.click('#load-orders')
    await page.waitForSelector('#order-list .amount')
    expect(await page.textContent('#log tbody tr:first-child')).toContain('200')
    await context.close()
  })

  it('needs one token call however many calls wait for it', async () => {
    const { context, page } = await signedInUntilExpiry()
    const before = refreshes().length
    await page.evaluate(() => {
      for (const id of ['load-orders', 'ask', 'load-weather']) document.getElementById(id)?.click()
    })
    await page.waitForSelector('#order-list .amount')
    await page.waitForSelector('#weather-result:not(:empty)')
    expect(refreshes().length - before).toBe(1)
    await context.close()
  })
})
