import { setTimeout as pace } from 'node:timers/promises'
import type { Answer, Browser } from './browser.ts'

/** What browsers have met. */
export interface Tally {
  calls: number
  /** Calls that ended without an answer of the API. */
  lost: number
  /** Answers with a status from 500 that are not a documented request to wait. */
  serverErrors: number
  /** 503 with retry_after: the session is kept, the browser tries again. */
  askedToWait: number
  signedOut: number
  /** Answers that named another person. */
  wrongUser: number
  /** Orders that the API has confirmed. */
  readonly orders: string[]
  /** Other statuses and failures, as often as they came. */
  readonly surprises: Map<string, number>
}

export interface Load {
  readonly tally: Tally
  /** Expiries of access tokens so far: every generation of every session but the first. */
  expiries(): number
  stop(): Promise<void>
}

export interface LoadOptions {
  readonly browsers: readonly Browser[]
  readonly tabs: number
  /** Between two calls of one tab, in milliseconds. */
  readonly paceMs: number
  /** `tabs` means that the tabs of a browser refresh one after the other, as the client library makes them. */
  readonly lock: 'none' | 'tabs'
}

let orderCount = 0

/** Lets every tab of every browser call the API until it is stopped. */
export function startLoad({ browsers, tabs, paceMs, lock }: LoadOptions): Load {
  const tally: Tally = {
    calls: 0,
    lost: 0,
    serverErrors: 0,
    askedToWait: 0,
    signedOut: 0,
    wrongUser: 0,
    orders: [],
    surprises: new Map(),
  }
  const generations = new Map<Browser, { first: number; last: number }>()
  const turns = new Map<Browser, Promise<void>>()
  const over = new Set<Browser>()
  let stopped = false

  function note(surprise: string): void {
    tally.surprises.set(surprise, (tally.surprises.get(surprise) ?? 0) + 1)
  }

  async function exchange(browser: Browser, method: string, path: string, body?: string): Promise<Answer | undefined> {
    try {
      const answer = await browser.fetch(method, path, body)
      const code = answer.status < 400 ? undefined : codeOf(answer)
      if (answer.status === 503 && answer.text.includes('"retry_after"')) tally.askedToWait += 1
      else if (answer.status >= 500) tally.serverErrors += 1
      if (code !== undefined && code !== 'access_token_expired') note(`${method} ${path} ${answer.status} ${code}`)
      return answer
    } catch (failure) {
      note(`${method} ${path} ${failure instanceof Error && 'code' in failure ? String(failure.code) : 'failed'}`)
      return undefined
    }
  }

  /** True when the browser holds a session afterwards. */
  async function refresh(browser: Browser): Promise<boolean> {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const answer = await exchange(browser, 'POST', '/oauth-agent/refresh')
      if (answer?.status === 200) {
        const { session } = JSON.parse(answer.text) as { session: { generation: number } }
        const known = generations.get(browser) ?? { first: session.generation - 1, last: 0 }
        generations.set(browser, { ...known, last: Math.max(known.last, session.generation) })
        return true
      }
      if (answer?.status === 401) return false
      await pace(1000)
    }
    return true
  }

  /** One tab after the other; whoever finds the cookies changed has nothing left to do. */
  async function refreshInTurn(browser: Browser, seen: string | undefined): Promise<boolean> {
    const before = turns.get(browser) ?? Promise.resolve()
    let done = () => {}
    turns.set(
      browser,
      new Promise<void>((resolve) => {
        done = resolve
      }),
    )
    await before
    try {
      return cookiesOf(browser) === seen ? await refresh(browser) : true
    } finally {
      done()
    }
  }

  async function call(browser: Browser, post: boolean): Promise<void> {
    tally.calls += 1
    const order = post ? `order-${(orderCount += 1)}` : undefined
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const seen = cookiesOf(browser)
      const answer = await exchange(browser, post ? 'POST' : 'GET', '/api/orders', order)
      if (answer?.status === 200) {
        const { subject } = JSON.parse(answer.text) as { subject?: string }
        if (subject !== browser.user) tally.wrongUser += 1
        if (order !== undefined) tally.orders.push(order)
        return
      }
      if (answer?.status !== 401 || over.has(browser)) break
      const expired = codeOf(answer) === 'access_token_expired'
      const kept = expired && (lock === 'none' ? await refresh(browser) : await refreshInTurn(browser, seen))
      if (!kept && !over.has(browser)) {
        over.add(browser)
        tally.signedOut += 1
      }
      if (!kept) return
    }
    tally.lost += 1
  }

  const running = browsers.flatMap((browser, index) =>
    Array.from({ length: tabs }, async (_, tab) => {
      await pace(((index * tabs + tab) * 37) % paceMs)
      for (let turn = 0; !stopped && !over.has(browser); turn += 1) {
        await call(browser, (turn + tab) % 5 === 0)
        await pace(paceMs)
      }
    }),
  )

  return {
    tally,
    expiries: () => [...generations.values()].reduce((sum, { first, last }) => sum + last - first, 0),
    async stop() {
      stopped = true
      await Promise.all(running)
    },
  }
}

function cookiesOf(browser: Browser): string | undefined {
  return browser.jar.header(browser.host, '/', 'same-site')
}

function codeOf({ text }: Answer): string {
  return /"error_code":"(\w+)"/.exec(text)?.[1] ?? 'no code'
}
