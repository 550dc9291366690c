import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { demoPassword } from '../../spa-example/openid-provider.ts'
import { checkReadable } from '../support/accessibility.ts'
import { type BrowserWorld, fillSignIn, signIn, startBrowserWorld } from '../support/browser-world.ts'
import { launchChromium } from '../support/chromium.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'

const screens = (['light', 'dark'] as const).flatMap((colorScheme) => [
  [`wide and ${colorScheme}`, { viewport: { width: 1280, height: 900 }, colorScheme }] as const,
  [`narrow and ${colorScheme}`, { viewport: { width: 360, height: 740 }, colorScheme }] as const,
])

describe.each(screens)('the example on a screen that is %s', (_name, options) => {
  let world: BrowserWorld
  let page: Page
  beforeAll(async () => {
    world = await startBrowserWorld()
    page = await (await world.newContext(options)).newPage()
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())
  const check = () => checkReadable(page)

  it('can be read and used by a visitor', async () => {
    await page.goto(world.demo.appOrigin)
    await page.waitForSelector('#welcome-sign-in')
    await page.click('#load-catalogue')
    await page.waitForSelector('#catalogue-list .amount')
    await check()
  })

  it('has a sign-in page that can be read', async () => {
    await page.click('#welcome-sign-in')
    await page.fill('input[name=username]', 'alice')
    await page.fill('input[name=password]', 'wrong')
    await page.click('button[value=sign-in]')
    await page.waitForSelector('[role=alert]')
    await check()
  })

  it('can be read and used by somebody who is signed in, with everything open', async () => {
    await signIn(page, world.demo)
    for (const id of ['load-orders', 'load-invoices', 'load-profile', 'load-weather', 'prices-toggle', 'ask']) {
      await page.click(`#${id}`)
    }
    await page.waitForSelector('#price-list .amount')
    await page.waitForSelector('#profile-list .amount')
    await page.click('#refresh')
    await page.waitForSelector('.notice.good')
    await check()
  })

  it('has a dialog that takes the focus, and gives way to Escape', async () => {
    await page.click('#transfer form button')
    await page.waitForSelector('#step-up')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('step-up-popup')
    await check()
    await page.keyboard.press('Escape')
    await page.waitForSelector('#step-up', { state: 'detached' })
    await page.waitForSelector('.notice.bad')
  })
})

describe('the pages of the agent', () => {
  let world: ProviderWorld
  let browser: Browser
  let page: Page
  beforeAll(async () => {
    world = await startProviderWorld({ settings: 'login: { navigation: { enabled: true } }' })
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser.close()
    await world.close()
  })

  describe.each(screens)('on a screen that is %s', (_name, options) => {
    beforeAll(async () => {
      page = await browser.newPage(options)
    })
    afterAll(() => page.close())
    const at = (path: string) => `${world.publicOrigin}/oauth-agent${path}`

    it('can be read where a sign-in failed', async () => {
      await page.goto(at('/callback?code=c&state=s'))
      await page.waitForSelector('h1:text("This did not work")')
      await checkReadable(page)
    })

    it('can be read where the user is asked first', async () => {
      await page.goto(`${world.provider.issuer}/.well-known/openid-configuration`)
      await page.evaluate((url) => location.assign(url), at('/login'))
      await page.waitForSelector('h1:text("Sign in")')
      await checkReadable(page)
    })

    it('can be read where the user signs out', async () => {
      await page.goto(at('/logout'))
      await page.waitForSelector('button:text("Sign out")')
      await checkReadable(page)
    })
  })
})

describe('the keyboard alone', () => {
  let world: BrowserWorld
  let page: Page
  beforeAll(async () => {
    world = await startBrowserWorld()
    page = await (await world.newContext()).newPage()
  })
  afterAll(() => world.close())
  /** Presses Tab until the control has the focus. */
  const tabTo = async (selector: string) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press('Tab')
      if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector)) return
    }
    throw new Error(`Tab never reaches ${selector}`)
  }

  it('is enough to sign in, order and sign out', async () => {
    await page.goto(world.demo.appOrigin)
    await page.waitForSelector('#welcome-sign-in')
    await tabTo('#welcome-sign-in')
    await page.keyboard.press('Enter')
    await page.waitForSelector('input[name=username]')
    await page.keyboard.type('alice')
    await page.keyboard.press('Tab')
    await page.keyboard.type(demoPassword)
    await page.keyboard.press('Enter')
    await page.waitForSelector('#user-name')
    await tabTo('#orders input[name=item]')
    await page.keyboard.type('Cups')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#order-list li:nth-child(3)')
    const outline = () => page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)
    await tabTo('#load-orders')
    expect(await outline()).toBe('solid')
    for (let presses = 0; presses < 40; presses += 1) await page.keyboard.press('Shift+Tab')
    await tabTo('#sign-out')
    await page.keyboard.press('Enter')
    await page.waitForSelector('button[name=logout]')
  })

  describe('keeps its place', () => {
    const focused = () =>
      page.evaluate(
        () => document.activeElement?.id || document.activeElement?.textContent || document.activeElement?.tagName,
      )
    const pressing = async (selector: string) => {
      await page.focus(selector)
      await page.keyboard.press('Enter')
    }
    beforeAll(async () => {
      page = await (await world.newContext()).newPage()
    })

    it('in what comes instead, when a sign-in in a small window has changed the page', async () => {
      await page.goto(world.demo.appOrigin)
      await page.waitForSelector('#popup-sign-in')
      const [popup] = await Promise.all([page.waitForEvent('popup'), pressing('#popup-sign-in')])
      await popup.waitForSelector('input[name=username]')
      await fillSignIn(popup, 'alice')
      await page.waitForSelector('#user-name')
      expect(await focused()).toBe('main')
      expect(await page.locator('main h1').count()).toBe(1)
    })

    it('on the button whose work is done', async () => {
      await pressing('#load-orders')
      await page.waitForSelector('#order-list li')
      expect(await focused()).toBe('load-orders')
      await page.waitForSelector('#load-orders:not([aria-disabled])')
    })

    it('on a button that is busy, which does nothing meanwhile', async () => {
      let calls = 0
      await page.route('**/api/orders', async (route) => {
        calls += 1
        await page.keyboard.press('Enter')
        await route.continue()
      })
      await pressing('#load-orders')
      await page.waitForSelector('#load-orders:not([aria-disabled])')
      await page.unroute('**/api/orders')
      expect([calls, await focused()]).toEqual([1, 'load-orders'])
    })

    it('on the button that asked, when the dialog is left', async () => {
      await pressing('#transfer form button')
      await page.waitForSelector('#step-up')
      await page.keyboard.press('Escape')
      await page.waitForSelector('#step-up', { state: 'detached' })
      expect(await focused()).toBe('Transfer')
    })
  })
})
