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

describe('agent and proxy on a sibling host of the page', () => {
  let world: BrowserWorld
  let page: Page
  beforeAll(async () => {
    world = await startBrowserWorld({ siblingHost: true, accessTokenSeconds: 6, refreshAheadSeconds: 2 })
    page = await (await world.newContext()).newPage()
    await signIn(page, world.demo)
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  it('sign in, with cookies of the sibling alone', async () => {
    expect(await page.textContent('#user-name')).toBe('Alice Archer')
    expect(new URL(page.url()).hostname).toBe('www.app.localhost')
    const ours = (await page.context().cookies()).filter(({ name }) => name.startsWith('__Host-'))
    expect(new Set(ours.map(({ domain }) => domain))).toEqual(new Set(['api.app.localhost']))
    expect(await readableState(page)).toEqual(nothing)
  })

  it('answer calls, streams, uploads and WebSockets', async () => {
    await page.click('#load-orders')
    await page.waitForSelector('#order-list .amount')
    await page.click('#prices-toggle')
    await page.waitForSelector('#price-list li:nth-child(3)')
    await page.click('#prices-toggle')
    await page.fill('#chat input', 'Hello')
    await page.click('#chat form button')
    await page.waitForSelector('#chat-list li:nth-child(2)')
    await page.setInputFiles('#upload input', { name: 'x', mimeType: 'text/plain', buffer: Buffer.alloc(1000) })
    await page.click('#upload form button')
    await page.waitForSelector('#upload-result:not(:empty)')
  })

  it('refresh ahead of the end', async () => {
    await expect
      .poll(() => page.textContent('#session dl div:first-child dd'), { timeout: 20_000 })
      .toMatch(/^[2-9] times$/)
  })

  it('step up in a small window', async () => {
    await page.click('#transfer form button')
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#step-up-popup')])
    await fillSignIn(popup, 'alice', true)
    await page.waitForSelector('#transfer-result:not(:empty)')
  })

  it('sign out, back to the page', async () => {
    await signOut(page)
    expect(new URL(page.url()).hostname).toBe('www.app.localhost')
  })
})
