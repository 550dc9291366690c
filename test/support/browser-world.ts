import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { type Demo, type DemoOptions, startDemo } from '../../spa-example/demo.ts'
import { demoCode, demoPassword } from '../../spa-example/openid-provider.ts'
import { type ChromiumOptions, launchChromium } from './chromium.ts'

/** A JWT, or what looks like the beginning of one. */
const tokenPattern = /eyJ[\w-]{8,}\.eyJ[\w-]{8,}/

/** The demo and a real Chromium; every page is watched for tokens and for errors of scripts. */
export interface BrowserWorld {
  readonly demo: Demo
  readonly browser: Browser
  /** Token calls that the authorization server answered, by grant type and outcome. */
  readonly tokenCalls: { readonly grantType: string | undefined; readonly outcome: string }[]
  newContext(options?: BrowserContextOptions): Promise<BrowserContext>
  /** Fails if any page saw a token or a script failed. */
  assertClean(): void
  close(): Promise<void>
}

interface WorldOptions extends DemoOptions {
  readonly chromium?: ChromiumOptions
}

/** Starts the demo on free ports, and Chromium. */
export async function startBrowserWorld({ chromium, ...options }: WorldOptions = {}): Promise<BrowserWorld> {
  const tokenCalls: { grantType: string | undefined; outcome: string }[] = []
  const provider: DemoOptions['provider'] = {
    ...options.provider,
    onEvent: (outcome, grantType) => tokenCalls.push({ grantType, outcome }),
  }
  const demo = await startDemo({ accessTokenSeconds: 300, ...options, port: 0, provider })
  const browser = await launchChromium(chromium)
  const found: string[] = []
  const pending = new Set<Promise<void>>()

  const watch = (page: Page): void => {
    page.setDefaultTimeout(30_000)
    page.on('pageerror', (error) => found.push(`script failed: ${error.message}`))
    page.on('console', (message) => {
      if (tokenPattern.test(message.text())) found.push('a token was printed')
    })
    page.on('request', (request) => {
      if (tokenPattern.test(request.url())) found.push(`a token in a URL of ${new URL(request.url()).pathname}`)
    })
    page.on('response', (response) => {
      const { origin, pathname } = new URL(response.url())
      if (origin !== demo.appOrigin || response.headers()['content-type'] === 'text/event-stream') return
      const read = response
        .text()
        .then((text) => {
          if (tokenPattern.test(text)) found.push(`a token in the answer of ${pathname}`)
        })
        // A page that has been left no longer holds its answers.
        .catch(() => undefined)
      pending.add(read)
      void read.finally(() => pending.delete(read))
    })
  }

  return {
    demo,
    browser,
    tokenCalls,
    async newContext(contextOptions = {}) {
      const context = await browser.newContext(contextOptions)
      context.on('page', watch)
      return context
    },
    assertClean() {
      expect(found).toEqual([])
    },
    async close() {
      await Promise.all(pending)
      await browser.close()
      await demo.close()
    },
  }
}

/** Fills the sign-in page of the OpenID Provider. */
export async function fillSignIn(page: Page, username: string, withCode = false): Promise<void> {
  await page.fill('input[name=username]', username)
  await page.fill('input[name=password]', demoPassword)
  if (withCode) await page.fill('input[name=code]', demoCode)
  await page.click('button[value=sign-in]')
}

/** Opens the app and signs in. */
export async function signIn(page: Page, demo: Demo, username = 'alice'): Promise<void> {
  await page.goto(demo.appOrigin)
  await page.click('#welcome-sign-in')
  await fillSignIn(page, username)
  await page.waitForSelector('#user-name')
}

/** Signs out at the app and at the OpenID Provider, which asks. */
export async function signOut(page: Page): Promise<void> {
  await page.click('#sign-out')
  await page.click('button[name=logout]')
  await page.waitForSelector('#welcome-sign-in')
}

/** Starts a sign-in with parameters that the page offers no button for; ends with the answer of the page that follows. */
export async function startSignIn(page: Page, parameters: Readonly<Record<string, string>>): Promise<void> {
  await page.evaluate(async (fields) => {
    const response = await fetch('/oauth-agent/login/start', {
      method: 'POST',
      headers: { 'token-handler-version': '1' },
      body: new URLSearchParams(fields),
    })
    const { authorization_url: url } = (await response.json()) as { authorization_url: string }
    location.assign(url)
  }, parameters)
}

/** What a script of the page can find of cookies and storages; empty lists and texts where there is nothing. */
export function readableState(page: Page) {
  return page.evaluate(async () => ({
    cookie: document.cookie,
    localStorage: Object.keys(localStorage),
    sessionStorage: Object.keys(sessionStorage),
    databases: (await indexedDB.databases()).map(({ name }) => name),
    caches: await caches.keys(),
    serviceWorkers: (await navigator.serviceWorker.getRegistrations()).length,
  }))
}

/** The readable state of a page that stores nothing. */
export const nothing = {
  cookie: '',
  localStorage: [],
  sessionStorage: [],
  databases: [],
  caches: [],
  serviceWorkers: 0,
}

/** Calls an API from the page with the bare fetch of the browser. */
export function plainFetch(page: Page, path: string, headers: Readonly<Record<string, string>> = {}) {
  return page.evaluate(
    async ([url, fields]) => {
      const response = await fetch(url, { headers: fields })
      return { status: response.status, body: await response.text() }
    },
    [path, headers] as const,
  )
}
