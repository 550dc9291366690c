import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { demoPassword } from '../../spa-example/openid-provider.ts'
import { type BrowserWorld, fillSignIn, signIn, startBrowserWorld } from '../support/browser-world.ts'

/** Pairs of text and background whose contrast is below WCAG 2.2 §1.4.3, as `text: ratio`. */
function poorContrast(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!
    const rgba = (color: string) => {
      canvas.clearRect(0, 0, 1, 1)
      canvas.fillStyle = color
      canvas.fillRect(0, 0, 1, 1)
      return [...canvas.getImageData(0, 0, 1, 1).data] as [number, number, number, number]
    }
    const luminance = (color: readonly number[]) => {
      const [red = 0, green = 0, blue = 0] = color.slice(0, 3).map((value) => {
        const part = value / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
    const backgroundOf = (start: Element): readonly number[] => {
      for (let node: Element | null = start; node !== null; node = node.parentElement) {
        const color = rgba(getComputedStyle(node).backgroundColor)
        if (color[3] === 255) return color
      }
      return [255, 255, 255]
    }
    const texts = [...document.querySelectorAll('body *')].filter(
      (node) =>
        node instanceof HTMLElement &&
        node.checkVisibility() &&
        !node.matches('[aria-disabled], .visually-hidden, .skip') &&
        [...node.childNodes].some(({ nodeType, textContent }) => nodeType === 3 && textContent?.trim()),
    )
    return texts.flatMap((node) => {
      const style = getComputedStyle(node)
      const [one, other] = [luminance(rgba(style.color)), luminance(backgroundOf(node))]
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
      const isLarge = parseFloat(style.fontSize) >= 24
      return ratio >= (isLarge ? 3 : 4.5) ? [] : [`${node.textContent?.slice(0, 30)}: ${ratio.toFixed(2)}`]
    })
  })
}

/** Controls without a name that a screen reader could say, or too small to be hit with a finger (§2.5.8). */
function poorControls(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('a, button, input, progress')].flatMap((control) => {
      if (!control.checkVisibility() || control.matches('.skip')) return []
      const labels = control instanceof HTMLInputElement ? [...(control.labels ?? [])] : []
      const name = control.getAttribute('aria-label') ?? control.textContent ?? ''
      const named = labels.length > 0 || name.trim() !== ''
      const { width, height } = control.getBoundingClientRect()
      const small = !control.matches('progress') && (width < 24 || height < 24)
      return named && !small ? [] : [control.outerHTML.slice(0, 80)]
    }),
  )
}

describe.each([
  ['wide and light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' as const }],
  ['narrow and dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' as const }],
])('the example on a screen that is %s', (_name, options) => {
  let world: BrowserWorld
  let page: Page
  beforeAll(async () => {
    world = await startBrowserWorld()
    page = await (await world.newContext(options)).newPage()
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())
  const check = async () => {
    expect(await poorContrast(page)).toEqual([])
    expect(await poorControls(page)).toEqual([])
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(await overflow()).toBeLessThanOrEqual(0)
    expect(await page.locator('h1, h2').first().isVisible()).toBe(true)
    expect(await page.getAttribute('html', 'lang')).toBe('en')
  }

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
