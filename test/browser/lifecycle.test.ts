import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrowserWorld, fillSignIn, signIn, signOut, startBrowserWorld } from '../support/browser-world.ts'

describe('a page that sleeps, loses the network, or waits long for answers', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    world = await startBrowserWorld({ accessTokenSeconds: 6, refreshAheadSeconds: 1 })
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())
  const open = async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    return { context, page }
  }
  const loadOrders = async (page: Page) => {
    await page.click('#load-orders')
    await page.waitForSelector('#order-list .amount')
  }

  it('wakes up after its access token has ended, and goes on', async () => {
    const { context, page } = await open()
    // No timer and no answer reaches a page that is kept busy, as in sleep.
    await page.evaluate(() => {
      for (;;) {
        const request = new XMLHttpRequest()
        request.open('GET', '/api/orders', false)
        request.setRequestHeader('token-handler-version', '1')
        request.send()
        if (request.responseText.includes('access_token_expired')) return
      }
    })
    await loadOrders(page)
    expect(await page.textContent('#log tbody tr:first-child')).toContain('200')
    await expect.poll(() => page.textContent('#countdown'), { timeout: 10_000 }).not.toBe('0 s')
    await context.close()
  })

  it('is offline without being signed out, and goes on when the network is back', async () => {
    const { context, page } = await open()
    await context.setOffline(true)
    await page.click('#load-orders')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toBe('There is no connection at the moment.')
    expect(await page.isVisible('#user-name')).toBe(true)
    await expect.poll(() => page.textContent('#countdown'), { timeout: 20_000 }).toBe('0 s')
    await context.setOffline(false)
    await expect.poll(() => page.textContent('#countdown'), { timeout: 20_000 }).not.toBe('0 s')
    await loadOrders(page)
    await context.close()
  })

  it('signs in and refreshes over a slow network', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    const devtools = await context.newCDPSession(page)
    const slow = { offline: false, latency: 600, downloadThroughput: 50_000, uploadThroughput: 20_000 }
    await devtools.send('Network.enable')
    await devtools.send('Network.emulateNetworkConditions', slow)
    await signIn(page, world.demo)
    await expect
      .poll(() => page.textContent('#session dl div:first-child dd'), { timeout: 30_000 })
      .toMatch(/^[1-9] times?$/)
    await loadOrders(page)
    expect(await page.locator('.notice.bad').count()).toBe(0)
    await context.close()
  })
})

describe('the back/forward cache', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    world = await startBrowserWorld({ pageCaching: 'no-cache', chromium: { backForwardCache: true } })
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  const markPage = (page: Page) =>
    page.evaluate(() => {
      Object.assign(window, { mark: 'same page' })
      addEventListener('pageshow', ({ persisted }) => Object.assign(window, { restored: persisted }))
      // What the page shows at the moment it is shown again.
      const shown = document.body.appendChild(document.createElement('p'))
      Object.assign(shown, { textContent: 'Visible by a rule of its own', style: 'visibility: visible' })
      addEventListener('pageshow', () =>
        Object.assign(window, {
          visibility: document.documentElement.style.visibility,
          isSeen: shown.checkVisibility({ opacityProperty: true, visibilityProperty: true }),
        }),
      )
    })
  const facts = (page: Page) =>
    page.evaluate(() => {
      const { mark, restored, visibility, isSeen } = window as Window & {
        mark?: string
        restored?: boolean
        visibility?: string
        isSeen?: boolean
      }
      return { mark, restored, visibility, isSeen }
    })

  it('gives a page back that asks before it shows anything', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    await markPage(page)
    await page.goto('about:blank')
    await page.goBack({ waitUntil: 'commit' })
    await page.waitForSelector('#user-name')
    expect(await facts(page)).toEqual({ mark: 'same page', restored: true, visibility: 'hidden', isSeen: false })
    await expect.poll(() => page.evaluate(() => document.documentElement.style.cssText)).toBe('')
    await context.close()
  })

  it('gives a page back whose sign-in can be started again', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await page.goto(world.demo.appOrigin)
    await page.waitForSelector('#welcome-sign-in')
    await markPage(page)
    for (const button of ['#welcome-sign-in', '#sign-in', '#welcome-sign-in']) {
      await page.click(button)
      await page.waitForSelector('input[name=username]')
      await page.goBack({ waitUntil: 'commit' })
      await page.waitForSelector(`${button}:not([aria-disabled])`)
      expect((await facts(page)).mark).toBe('same page')
    }
    await context.close()
  })

  it('shows nothing of a session that was ended meanwhile', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    await markPage(page)
    await page.goto('about:blank')
    const other = await context.newPage()
    await other.goto(world.demo.appOrigin)
    await other.waitForSelector('#user-name')
    await signOut(other)
    await page.goBack({ waitUntil: 'commit' })
    await page.waitForSelector('#welcome-sign-in')
    expect(await page.isVisible('#user-name')).toBe(false)
    await context.close()
  })
})

describe('the idle limit', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    world = await startBrowserWorld({ idleSeconds: 16, accessTokenSeconds: 3, refreshAheadSeconds: 1 })
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())
  const open = async () => {
    const page = await (await world.newContext()).newPage()
    await signIn(page, world.demo)
    return page
  }

  it('ends a session whose page goes on calling while nobody is there', async () => {
    const page = await open()
    // A click made by a script is no activity of the user.
    await page.evaluate(() => setInterval(() => document.getElementById('load-orders')?.click(), 500))
    await page.getByText('Your session is over').first().waitFor({ timeout: 60_000 })
    const refreshes = world.tokenCalls.filter(({ grantType }) => grantType === 'refresh_token')
    expect(refreshes.length).toBeGreaterThan(0)
    await page.context().close()
  })

  it('does not end one whose user does something now and then', async () => {
    const page = await open()
    const typeAndCount = async () => {
      await page.keyboard.press('Shift')
      return Number.parseInt((await page.textContent('#session dl div:first-child dd')) ?? '', 10)
    }
    // Ten lives of an access token, of which the last second is not used, are longer than the idle limit.
    await expect.poll(typeAndCount, { timeout: 120_000, interval: 500 }).toBeGreaterThanOrEqual(10)
    expect(await page.isVisible('#user-name')).toBe(true)
    await page.context().close()
  })
})

describe('the limit of a session', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    world = await startBrowserWorld({ absoluteSeconds: 15, idleSeconds: 15, accessTokenSeconds: 60 })
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  it('reached while a form is half filled costs a sign-in, and nothing of the form', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    await page.fill('#orders input[name=item]', 'A long text that nobody wants to write twice')
    await page.fill('#orders input[name=quantity]', '7')
    await page.getByText('Your session is over').first().waitFor({ timeout: 40_000 })
    await page.click('#orders form button')
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#step-up-popup')])
    // The authorization server may still know the user; then nothing is asked.
    await Promise.race([popup.waitForEvent('close'), fillSignIn(popup, 'alice').catch(() => undefined)])
    await page.waitForSelector('#order-list li:nth-child(3)')
    expect(await page.textContent('#order-list li:nth-child(3)')).toBe(
      'A long text that nobody wants to write twice× 7',
    )
    await context.close()
  })
})
