import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type BrowserWorld,
  fillSignIn,
  nothing,
  readableState,
  signIn,
  signOut,
  startBrowserWorld,
} from '../support/browser-world.ts'

describe('signing in and out', () => {
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
    return page
  }

  it('goes to another site and comes back with a session', async () => {
    await open()
    const sites: (string | undefined)[] = []
    page.on('request', async (request) => {
      if (request.isNavigationRequest()) sites.push(new URL(request.url()).hostname)
    })
    await signIn(page, world.demo)
    expect(await page.textContent('#user-name')).toBe('Alice Archer')
    expect(new Set(sites)).toEqual(new Set(['localhost', '127.0.0.1']))
    expect(page.url()).toBe(`${world.demo.appOrigin}/`)
  })

  it('comes back to query and fragment of the page it left', async () => {
    await open()
    const address = `${world.demo.appOrigin}/?shop=2#/orders/7?open=a%20b`
    await page.goto(address)
    await page.click('#welcome-sign-in')
    await fillSignIn(page, 'alice')
    await page.waitForSelector('#user-name')
    expect(page.url()).toBe(address)
  })

  it('leaves nothing for scripts to find', async () => {
    await open()
    await signIn(page, world.demo)
    expect(await readableState(page)).toEqual(nothing)
  })

  it('keeps everything in cookies that only HTTP to this host carries', async () => {
    await open()
    await signIn(page, world.demo)
    const cookies = (await page.context().cookies()).filter(({ domain }) => domain === 'localhost')
    expect(cookies.map(({ name }) => name).sort()).toEqual([
      '__Host-Http-th-at',
      '__Host-Http-th-id',
      '__Host-Http-th-rt',
    ])
    for (const cookie of cookies)
      expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Strict', path: '/' })
  })

  it('survives a reload and a second tab', async () => {
    await open()
    await signIn(page, world.demo)
    await page.reload()
    await page.waitForSelector('#user-name')
    const second = await page.context().newPage()
    await second.goto(world.demo.appOrigin)
    await second.waitForSelector('#user-name')
    expect(await second.textContent('#user-name')).toBe('Alice Archer')
  })

  it('signs out everywhere, and the back button shows nothing of it', async () => {
    await open()
    await signIn(page, world.demo)
    const second = await page.context().newPage()
    await second.goto(world.demo.appOrigin)
    await second.waitForSelector('#user-name')
    await signOut(page)
    await second.waitForSelector('#welcome-sign-in')
    expect((await page.context().cookies()).filter(({ domain }) => domain === 'localhost')).toEqual([])
    for (const _ of [1, 2, 3]) {
      await page.goBack().catch(() => undefined)
      if (!page.url().startsWith(world.demo.appOrigin)) continue
      await page.waitForSelector('#welcome-sign-in')
      expect(await page.isVisible('#user-name')).toBe(false)
    }
  })

  it('ends when the user signs out at the authorization server (back-channel logout)', async () => {
    await open()
    await signIn(page, world.demo)
    const elsewhere = await page.context().newPage()
    await elsewhere.goto(`${world.demo.issuer}/session/end`)
    await elsewhere.click('button[name=logout]')
    await elsewhere.getByText('You can close this window').waitFor()
    await page.click('#load-orders')
    await page.waitForSelector('#step-up')
    expect(await page.textContent('#step-up')).toContain('Your session is over')
    expect(await page.isVisible('#user-name')).toBe(false)
  })

  it('asks again after sign-out, and a second user gets their own session', async () => {
    await open()
    await signIn(page, world.demo)
    await signOut(page)
    await signIn(page, world.demo, 'bob')
    expect(await page.textContent('#user-name')).toBe('Bob Baker')
  })

  it('says so when the user cancels', async () => {
    await open()
    await page.goto(world.demo.appOrigin)
    await page.click('#welcome-sign-in')
    await page.click('button[value=cancel]')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toBe('The sign-in was cancelled.')
    expect(await page.isVisible('#welcome-sign-in')).toBe(true)
    expect(page.url()).toBe(`${world.demo.appOrigin}/`)
  })

  it('signs in in a small window while the page stays', async () => {
    await open()
    await page.goto(world.demo.appOrigin)
    await page.evaluate(() => document.body.setAttribute('data-same-page', 'yes'))
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#popup-sign-in')])
    await fillSignIn(popup, 'alice')
    await page.waitForSelector('#user-name')
    await expect.poll(() => popup.isClosed()).toBe(true)
    expect(await page.getAttribute('body', 'data-same-page')).toBe('yes')
  })
})
