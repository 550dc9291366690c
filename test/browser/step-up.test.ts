import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrowserWorld, fillSignIn, signIn, startBrowserWorld } from '../support/browser-world.ts'
import { resolvable } from '../support/resolvable.ts'

describe('step-up', () => {
  let world: BrowserWorld
  let page: Page
  beforeAll(async () => {
    world = await startBrowserWorld()
  })
  afterEach(async () => {
    await page.context().close()
    world.assertClean()
  })
  afterAll(() => world.close())
  const open = async () => {
    page = await (await world.newContext()).newPage()
    await signIn(page, world.demo)
  }
  const transfer = async (to: string) => {
    await page.fill('#transfer input[name=to]', to)
    await page.click('#transfer form button')
  }
  const openPopup = async () => {
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#step-up-popup')])
    await popup.waitForSelector('input[name=code]')
    return popup
  }

  it('happens in a small window, and the call goes out as it was written', async () => {
    await open()
    await page.fill('#orders input[name=item]', 'half written')
    await transfer('Roasters')
    const popup = await openPopup()
    await fillSignIn(popup, 'alice', true)
    await page.waitForSelector('#transfer-result:not(:empty)')
    expect(await page.textContent('#transfer-result')).toContain('250 sent to Roasters')
    await expect.poll(() => popup.isClosed()).toBe(true)
    expect(await page.inputValue('#orders input[name=item]')).toBe('half written')
    await page.waitForSelector('#step-up', { state: 'detached' })
  })

  it('is needed once', async () => {
    await open()
    await transfer('Roasters')
    await fillSignIn(await openPopup(), 'alice', true)
    await page.waitForSelector('#transfer-result:not(:empty)')
    await transfer('Growers')
    await expect.poll(() => page.textContent('#transfer-result')).toContain('Growers')
    expect(await page.textContent('#session')).toContain('two factors')
  })

  it('is not undone by a refresh that is answered late', async () => {
    await open()
    const held = resolvable()
    await page.route('**/oauth-agent/refresh', async (route) => {
      const response = await route.fetch()
      await held.promise
      await route.fulfill({ response })
    })
    await Promise.all([page.waitForRequest('**/oauth-agent/refresh'), page.click('#refresh')])
    await transfer('Roasters')
    await fillSignIn(await openPopup(), 'alice', true)
    const waitsOrIsThrough = async () => {
      const { pending = [] } = await page.evaluate(() => navigator.locks.query())
      return pending.length > 0 || (await page.textContent('#transfer-result')) !== ''
    }
    await expect.poll(waitsOrIsThrough).toBe(true)
    const answered = page.waitForResponse('**/oauth-agent/refresh')
    held.resolve()
    await answered
    await expect.poll(() => page.textContent('#transfer-result')).toContain('Roasters')
    await transfer('Growers')
    await expect.poll(() => page.textContent('#transfer-result')).toContain('Growers')
  })

  it('can be declined', async () => {
    await open()
    await transfer('Roasters')
    await page.click('#step-up-decline')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toBe('This needs a stronger sign-in.')
    expect(await page.textContent('#user-name')).toBe('Alice Archer')
  })

  it('that is cancelled leaves the session as it was', async () => {
    await open()
    await transfer('Roasters')
    const popup = await openPopup()
    await popup.click('button[value=cancel]')
    await expect.poll(() => popup.isClosed()).toBe(true)
    await page.waitForSelector('#step-up [role=alert]:not(:empty)')
    await page.click('#step-up-decline')
    await page.click('#load-orders')
    await page.waitForSelector('#order-list .amount')
  })

  it('by somebody else sends nothing of what the first user wrote', async () => {
    await open()
    await transfer('Roasters')
    await fillSignIn(await openPopup(), 'bob', true)
    await page.waitForSelector('#step-up [role=alert]:not(:empty)')
    await page.click('#step-up-decline')
    await page.waitForSelector('.notice.bad')
    // The provider has one user at a time: for Bob it ends the session of Alice, of which the page may know already.
    const shown = (await page.textContent('body')) ?? ''
    expect(shown).not.toContain('Bob')
    expect(shown).not.toContain('sent to')
  })
})
