import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { bundleClient } from '../../deploy/client-package.ts'
import { type BrowserWorld, signIn, startBrowserWorld } from '../support/browser-world.ts'

const readme = readFileSync(fileURLToPath(new URL('../../spa-client/README.md', import.meta.url)), 'utf8')
const snippet = /```html\n([^]*?)```/.exec(readme)?.[1] ?? ''
const app = (from: string) => `
  import { createTokenHandler } from '${from}'
  const { claims } = await createTokenHandler().onPageLoad()
  document.title = String(claims.name)`

describe('the client as one file, in a page without a bundler', () => {
  let world: BrowserWorld
  let page: Page
  let client: string
  beforeAll(async () => {
    client = await bundleClient()
    world = await startBrowserWorld()
    page = await (await world.newContext()).newPage()
    await signIn(page, world.demo)
  })
  afterEach(() => world.assertClean())
  afterAll(() => world.close())

  /** Puts a page beside the agent of the demo, and opens it; gives what the browser complains of. */
  async function open(html: string, script: string, policy: string): Promise<readonly string[]> {
    const complaints: string[] = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    const files = {
      '/plain.html': { contentType: 'text/html', body: html, headers: { 'content-security-policy': policy } },
      '/app.js': { contentType: 'text/javascript', body: script },
      '/token-handler.min.js': { contentType: 'text/javascript', body: client },
    }
    for (const [path, answer] of Object.entries(files)) {
      await page.route(world.demo.appOrigin + path, (route) => route.fulfill(answer))
    }
    await page.goto(`${world.demo.appOrigin}/plain.html`)
    return complaints
  }
  const pinned = (content: string) => snippet.replace('sha384-…', `sha384-${hash('sha384', content, 'base64')}`)
  const withMap = "default-src 'self'; script-src 'self' 'unsafe-inline'"

  it('knows who is signed in, by its name and with its integrity', async () => {
    await open(pinned(client), app('token-handler-client'), withMap)
    await expect.poll(() => page.title()).toBe('Alice Archer')
  })

  it('does not run where it is another than the pinned one', async () => {
    const complaints = await open(pinned(`${client} `), app('token-handler-client'), withMap)
    await expect.poll(() => complaints.join()).toContain('integrity')
    expect(await page.title()).toBe('')
  })

  it('works under a policy that allows no inline script, by its path', async () => {
    const html = '<script type="module" src="/app.js"></script>'
    await open(html, app('/token-handler.min.js'), "default-src 'self'")
    await expect.poll(() => page.title()).toBe('Alice Archer')
  })
})
