import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { bundleClient } from '../../deploy/client-package.ts'
import { type BrowserWorld, signIn, startBrowserWorld, startSignIn } from '../support/browser-world.ts'

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

  /** Puts a page beside the agent of the demo. */
  async function serve(target: Page, html: string, scripts: Readonly<Record<string, string>>, policy: string) {
    const shown = { contentType: 'text/html', body: html, headers: { 'content-security-policy': policy } }
    await target.route(/\/(plain\.html|callback)(\?|$)/, (route) => route.fulfill(shown))
    for (const [path, body] of Object.entries({ ...scripts, '/token-handler.min.js': client })) {
      const answer = { contentType: 'text/javascript', body }
      await target.route(world.demo.appOrigin + path, (route) => route.fulfill(answer))
    }
  }
  /** Opens such a page; gives what the browser complains of. */
  async function open(html: string, script: string, policy: string): Promise<readonly string[]> {
    const complaints: string[] = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    await serve(page, html, { '/app.js': script }, policy)
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

  const html = '<script type="module" src="/app.js"></script>'

  it('works under a policy that allows no inline script, by its path', async () => {
    await open(html, app('/token-handler.min.js'), "default-src 'self'")
    await expect.poll(() => page.title()).toBe('Alice Archer')
  })

  /** A page in a profile of its own, closed at the end: before that, the driver goes on waiting for what a worker reads. */
  const openPage = async () => {
    const context = await world.newContext()
    onTestFinished(() => context.close())
    return context.newPage()
  }

  it('calls APIs from a worker, too', async () => {
    const target = await openPage()
    await signIn(target, world.demo)
    const scripts = {
      '/app.js': `
        const worker = new Worker('/worker.js', { type: 'module' })
        worker.onmessage = ({ data }) => (document.title = data)`,
      '/worker.js': `
        import { createTokenHandler } from '/token-handler.min.js'
        const tokenHandler = createTokenHandler()
        const { claims } = await tokenHandler.check()
        const orders = await tokenHandler.fetch('api/orders')
        postMessage(claims.name + ' ' + orders.status)`,
    }
    await serve(target, html, scripts, "default-src 'self'")
    await target.goto(`${world.demo.appOrigin}/plain.html`)
    await expect.poll(() => target.title()).toBe('Alice Archer 200')
  })

  const here = '/plain.html?page=2'
  it.each([
    ['cancelled', {}, ['access_denied', here]],
    ['silent, and finds nobody', { prompt: 'none' }, [here, here]],
  ])('twice in one page that comes back from a sign-in that is %s', async (_name, parameters, expected) => {
    const target = await openPage()
    await target.goto(world.demo.appOrigin)
    // The page of the demo does not get to end the sign-in; its address does, once it shows another page.
    await target.route('**/login/end', (route) => route.abort())
    const returned = target.waitForRequest((request) => request.url().includes('/callback?'))
    const tried = target.waitForEvent('requestfailed', (request) => request.url().endsWith('/login/end'))
    await startSignIn(target, { ...parameters, return_to: here })
    if (Object.keys(parameters).length === 0) await target.click('button[value=cancel]')
    const address = (await returned).url()
    await tried
    await target.unroute('**/login/end')
    const twice = `
      import { createTokenHandler } from '/token-handler.min.js'
      const outcomes = [createTokenHandler(), createTokenHandler()].map((client) =>
        client.onPageLoad().then(({ returnTo }) => returnTo, ({ code }) => code))
      document.title = JSON.stringify(await Promise.all(outcomes))`
    await serve(target, html, { '/app.js': twice }, "default-src 'self'")
    await target.goto(address)
    await expect.poll(() => target.title()).toBe(JSON.stringify(expected))
    expect(target.url()).toBe(world.demo.appOrigin + here)
  })
})
