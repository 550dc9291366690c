import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrowserWorld, fillSignIn, signIn, startBrowserWorld } from '../support/browser-world.ts'

/** Bytes that no encoding makes shorter. */
function incompressible(characters: number): string {
  let text = ''
  while (text.length < characters) text += crypto.randomUUID()
  return text.slice(0, characters)
}

const sizes: Readonly<Record<string, number>> = { 'u-1001': 4100, 'u-1002': 12_000 }

describe('large access tokens', () => {
  let world: BrowserWorld
  beforeAll(async () => {
    const accessTokenClaims = (subject: string | undefined) => ({ ballast: incompressible(sizes[subject ?? ''] ?? 0) })
    world = await startBrowserWorld({ provider: { accessTokenClaims } })
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  it('of 6 KB travel in several cookies and work', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await signIn(page, world.demo)
    const names = (await context.cookies()).map(({ name }) => name)
    expect(names).toContain('__Host-Http-th-at.1')
    await page.click('#ask')
    await page.waitForSelector('#api-received dd')
    const length = Number(/Length(\d+) characters/.exec((await page.textContent('#api-received')) ?? '')?.[1])
    expect(length).toBeGreaterThan(6000)
    await page.click('#refresh')
    await page.waitForSelector('.notice.good')
    await page.click('#load-orders')
    await page.waitForSelector('#order-list .amount')
    await context.close()
  })

  it('that cannot fit are reported with their sizes, and nobody is half signed in', async () => {
    const context = await world.newContext()
    const page = await context.newPage()
    await page.goto(world.demo.appOrigin)
    await page.click('#welcome-sign-in')
    await fillSignIn(page, 'bob')
    await page.waitForSelector('.notice.bad')
    expect(await page.textContent('.notice.bad')).toMatch(/token_too_large.*\d{4,}/)
    expect((await context.cookies()).filter(({ name }) => name.startsWith('__Host-'))).toEqual([])
    await context.close()
  })
})
