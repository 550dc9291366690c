import { env } from 'node:process'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BrowserWorld, plainFetch, signIn, startBrowserWorld } from '../support/browser-world.ts'

const tabCount = 10
/** TOKEN_HANDLER_LONG=1 runs the full two minutes. */
const seconds = env['TOKEN_HANDLER_LONG'] === '1' ? 120 : 30

interface Tally {
  good: number
  readonly bad: string[]
}

/** Makes a tab call its APIs in a mixed order until it is told to stop; counts what its log says. */
function startCalling(page: Page, every: number): Promise<void> {
  return page.evaluate((interval) => {
    const tally: Tally = { good: 0, bad: [] }
    Object.assign(window, { tally })
    const log = document.querySelector('#log tbody')
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) {
        for (const row of addedNodes as NodeListOf<HTMLElement>) {
          if (row.querySelector('.bad') === null) tally.good += 1
          else tally.bad.push(row.textContent ?? '')
        }
      }
    }).observe(log!, { childList: true })
    const buttons = ['load-orders', 'ask', 'load-weather', 'load-catalogue']
    let turn = Math.floor(Math.random() * buttons.length)
    const timer = setInterval(() => document.getElementById(buttons[turn++ % buttons.length]!)?.click(), interval)
    Object.assign(window, { stopCalling: () => clearInterval(timer) })
  }, every)
}

describe(`${tabCount} tabs of one profile, a rotating server with reuse detection, tokens of five seconds`, () => {
  let world: BrowserWorld
  let context: BrowserContext
  let tabs: Page[]
  beforeAll(async () => {
    world = await startBrowserWorld({ accessTokenSeconds: 5, refreshAheadSeconds: 1 })
  })
  beforeEach(async () => {
    context = await world.newContext()
    const first = await context.newPage()
    await signIn(first, world.demo)
    tabs = [first]
    while (tabs.length < tabCount) {
      const tab = await context.newPage()
      await tab.goto(world.demo.appOrigin)
      await tab.waitForSelector('#user-name')
      tabs.push(tab)
    }
  })
  afterEach(async () => {
    await context.close()
    world.assertClean()
  })
  afterAll(() => world.close())

  it(`make mixed calls for ${seconds} seconds: no call fails and nobody is signed out`, async () => {
    const start = world.tokenCalls.length
    const refreshes = () => world.tokenCalls.slice(start).filter(({ grantType }) => grantType === 'refresh_token')
    await Promise.all(tabs.map((tab) => startCalling(tab, 900)))
    const started = performance.now()
    const progress = () => ({
      isOver: performance.now() - started > seconds * 1000,
      isRotating: refreshes().length >= seconds / 6,
    })
    await expect.poll(progress, { timeout: seconds * 4000, interval: 500 }).toEqual({ isOver: true, isRotating: true })
    const tallies = await Promise.all(
      tabs.map((tab) =>
        tab.evaluate(() => {
          const { tally, stopCalling } = window as Window & { tally?: Tally; stopCalling?: () => void }
          stopCalling?.()
          return tally ?? { good: 0, bad: ['never started'] }
        }),
      ),
    )
    expect(tallies.flatMap(({ bad }) => bad)).toEqual([])
    expect(Math.min(...tallies.map(({ good }) => good))).toBeGreaterThan(3)
    expect(refreshes().filter(({ outcome }) => outcome !== 'grant.success')).toEqual([])
    for (const tab of tabs) expect(await tab.textContent('#user-name')).toBe('Alice Archer')
  })

  it('wake up together with an ended token, and need one token call', async () => {
    await context.route('**/oauth-agent/**', (route) => route.abort())
    const ended = async () =>
      (await plainFetch(tabs[0]!, '/api/orders', { 'token-handler-version': '1' })).body.includes(
        'access_token_expired',
      )
    await expect.poll(ended, { timeout: 20_000 }).toBe(true)
    const before = world.tokenCalls.length
    await context.unroute('**/oauth-agent/**')
    await Promise.all(tabs.map((tab) => tab.evaluate(() => document.getElementById('load-orders')?.click())))
    for (const tab of tabs) await tab.waitForSelector('#order-list .amount')
    const calls = world.tokenCalls.slice(before).filter(({ grantType }) => grantType === 'refresh_token')
    expect(calls[0]?.outcome).toBe('grant.success')
    // On a slow machine the next token ends before the last tab has its answer; never one call for each tab.
    expect(calls.length).toBeLessThanOrEqual(2)
    for (const tab of tabs) expect(await tab.textContent('#log tbody tr:first-child')).toContain('200')
  })

  it('all leave when one of them signs out while the others call', async () => {
    await Promise.all(tabs.map((tab) => startCalling(tab, 300)))
    const statuses = new Set<number>()
    context.on('response', (response) => statuses.add(response.status()))
    await tabs[0]!.click('#sign-out')
    for (const tab of tabs.slice(1)) await tab.waitForSelector('#welcome-sign-in')
    expect([...statuses].filter((status) => status >= 500)).toEqual([])
    const again = await context.newPage()
    await again.goto(world.demo.appOrigin)
    await again.waitForSelector('#welcome-sign-in')
    expect((await context.cookies()).filter(({ domain }) => domain === 'localhost')).toEqual([])
  })
})
