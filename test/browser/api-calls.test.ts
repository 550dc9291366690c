import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrowserWorld, plainFetch, signIn, signOut, startBrowserWorld } from '../support/browser-world.ts'
import { resolvable } from '../support/resolvable.ts'

describe('calling APIs', () => {
  let world: BrowserWorld
  let page: Page
  beforeAll(async () => {
    world = await startBrowserWorld()
    page = await (await world.newContext()).newPage()
    await signIn(page, world.demo)
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  it('reads with GET', async () => {
    await page.click('#load-orders')
    await page.waitForSelector('#order-list .amount')
    expect(await page.locator('#order-list li').count()).toBe(2)
  })

  it('writes with POST', async () => {
    await page.fill('#orders input[name=item]', 'Cups')
    await page.click('#orders form button')
    await page.waitForSelector('#order-list li:nth-child(3)')
    expect(await page.textContent('#order-list li:nth-child(3)')).toBe('Cups× 1')
  })

  it('takes an answer that breaks off for none', async () => {
    await page.evaluate(() => {
      const { fetch } = window
      window.fetch = () => {
        window.fetch = fetch
        const cut = new ReadableStream({ start: (controller) => controller.error(new TypeError('broken off')) })
        return Promise.resolve(new Response(cut))
      }
    })
    const orders = await page.textContent('#order-list')
    await page.click('#load-orders')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('#order-list')).toBe(orders)
  })

  it('follows server-sent events with the EventSource of the browser', async () => {
    await page.click('#prices-toggle')
    await page.waitForSelector('#price-list li:nth-child(3)')
    const price = () => page.textContent('#price-list .amount')
    const first = await price()
    await expect.poll(price, { timeout: 10_000 }).not.toBe(first)
    await page.click('#prices-toggle')
  })

  it('opens no stream for a page that was replaced while its token was refreshed', async () => {
    const context = await world.newContext()
    const tab = await context.newPage()
    await signIn(tab, world.demo)
    const other = await context.newPage()
    await other.goto(world.demo.appOrigin)
    const asked: string[] = []
    tab.on('request', (request) => asked.push(new URL(request.url()).pathname))
    const held = resolvable()
    await tab.route('**/oauth-agent/session', async (route) => {
      await held.promise
      await route.continue()
    })
    await tab.evaluate(() => {
      const late = Date.now() + 3_600_000
      Date.now = () => late
    })
    const asks = tab.waitForRequest('**/oauth-agent/session')
    await tab.click('#prices-toggle')
    await asks
    await signOut(other)
    await tab.waitForSelector('#welcome-sign-in')
    const answered = tab.waitForResponse('**/oauth-agent/session')
    held.resolve()
    await answered
    await tab.click('#load-catalogue')
    await tab.waitForResponse('**/api/catalogue')
    expect(asked).not.toContain('/api/prices')
    await context.close()
  })

  it('talks over a WebSocket', async () => {
    await page.fill('#chat input', 'Good morning')
    await page.click('#chat form button')
    await page.waitForSelector('#chat-list li:nth-child(2)')
    expect(await page.textContent('#chat-list')).toBe('You are Alice.Alice Good morning')
  })

  it('uploads with progress', async () => {
    const buffer = Buffer.alloc(3_000_000, 'x')
    await page.setInputFiles('#upload input', { name: 'x.bin', mimeType: 'application/octet-stream', buffer })
    await page.click('#upload form button')
    await page.waitForSelector('#upload-result:not(:empty)')
    expect(await page.textContent('#upload-result')).toContain('3000000 bytes arrived')
  })

  it('uses a key that the page never sees for the third-party API', async () => {
    await page.click('#load-weather')
    await page.waitForSelector('#weather-result:not(:empty)')
    expect(await page.textContent('#api-received')).toContain('api key')
  })

  it('gives another company a token of its own', async () => {
    await page.click('#load-invoices')
    await page.waitForSelector('#invoice-list .amount')
    expect(await page.textContent('#api-received')).toContain('Audiencehttps://partner.example.comScopeinvoices')
  })

  it('asks the OpenID Provider for the profile', async () => {
    await page.click('#load-profile')
    await page.waitForSelector('#profile-list .amount')
    expect(await page.textContent('#profile-list')).toContain('Alice Archer')
  })

  it('shows what the API received and what the browser can see', async () => {
    await page.click('#ask')
    await expect.poll(() => page.textContent('#api-received')).toContain('access token of the user')
    expect(await page.textContent('#api-received')).toContain('Cookiesnone')
    expect(await page.textContent('#browser-sees')).toContain('document.cookieempty')
  })

  it('CK-12 leaves nothing in any place that scripts can read', async () => {
    const found = await page.evaluate(async () => ({
      cookies: [document.cookie, ...(await cookieStore.getAll())],
      storage: [...Object.entries(localStorage), ...Object.entries(sessionStorage)],
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      workers: (await navigator.serviceWorker.getRegistrations()).length,
      window: window.name,
      history: history.state as unknown,
    }))
    const nothing = { cookies: [''], storage: [], databases: [], caches: [], workers: 0, window: '', history: null }
    expect(found).toEqual(nothing)
    // The session is there all the same.
    const names = (await page.context().cookies()).map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['__Host-Http-th-at', '__Host-Http-th-rt', '__Host-Http-th-id']))
  })

  it('is refused without our header, even with the cookies', async () => {
    const { status, body } = await plainFetch(page, '/api/orders')
    expect([status, JSON.parse(body)]).toMatchObject([403, { error_code: 'header_missing' }])
  })

  it('gives visitors the catalogue and nothing else', async () => {
    const visitor = await (await world.newContext()).newPage()
    await visitor.goto(world.demo.appOrigin)
    await visitor.click('#load-catalogue')
    await visitor.waitForSelector('#catalogue-list .amount')
    expect(await visitor.textContent('#api-received')).toContain('access token of the application')
    const orders = await plainFetch(visitor, '/api/orders', { 'token-handler-version': '1' })
    expect([orders.status, JSON.parse(orders.body)]).toMatchObject([401, { error_code: 'session_missing' }])
    await visitor.context().close()
  })
})
