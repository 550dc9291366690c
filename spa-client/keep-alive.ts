import type { Browser, Stop } from './browser.ts'
import type { Events } from './events.ts'
import type { Session } from './session.ts'

interface Parts {
  readonly browser: Browser
  readonly present: () => Session
  readonly refresh: () => Promise<unknown>
  /** Asks the agent how things stand. */
  readonly check: () => Promise<unknown>
  readonly warn: (event: Events['expiring']) => void
}

export interface KeepAlive {
  /** Sets the timers anew; called whenever something was learned of the session. */
  plan(): void
  hasActivity(): boolean
  activityReported(): void
}

/** How long before its end a session is called expiring. */
const warning = 60_000
/** Tabs spread their refreshes over this part of the time that is left, at most this long. */
const jitterPart = 0.1
const longestJitter = 10_000

/**
 * Keeps the session of a page that is in use alive: refreshes ahead of expiry, warns before the end.
 *
 * A page that nobody looks at does not refresh by itself, and one that nobody touches does not prolong the session.
 */
export function createKeepAlive({ browser, present, refresh, check, warn }: Parts): KeepAlive {
  let activeAt = browser.now()
  let reportedAt = -Infinity
  let overdue = false
  let timers: Stop[] = []

  const hasActivity = () => activeAt > reportedAt
  const quietly = (work: () => Promise<unknown>) => void work().catch(() => undefined)
  const due = () => {
    if (browser.isVisible() || hasActivity()) quietly(refresh)
    else overdue = true
  }
  const catchUp = () => {
    const session = present()
    if (!session.isLoggedIn) return
    const late = browser.now() >= Math.min(session.refreshAt ?? Infinity, session.accessTokenExpiresAt ?? Infinity)
    if (overdue || late) quietly(refresh)
    overdue = false
  }

  browser.onActivity(() => {
    activeAt = browser.now()
    const { isLoggedIn, idleEndsAt } = present()
    const idling = isLoggedIn && idleEndsAt !== undefined && idleEndsAt - activeAt < warning
    if (overdue || idling) quietly(refresh)
    overdue = false
  })
  browser.onVisible(catchUp)
  browser.onOnline(catchUp)

  return {
    hasActivity,
    activityReported: () => {
      reportedAt = browser.now()
    },
    plan() {
      for (const stop of timers) stop()
      timers = []
      overdue = false
      const { isLoggedIn, refreshAt, endsAt = Infinity, idleEndsAt = Infinity } = present()
      if (!isLoggedIn) return
      const now = browser.now()
      if (refreshAt !== undefined && refreshAt < Math.min(endsAt, idleEndsAt)) {
        const left = refreshAt - now
        const jitter = browser.random() * Math.min(Math.max(left, 0) * jitterPart, longestJitter)
        timers.push(browser.after(left - jitter, due))
      }
      const end = Math.min(endsAt, idleEndsAt)
      if (end === Infinity) return
      const tell = () => warn({ endsAt: end, prolongable: idleEndsAt < endsAt })
      timers.push(browser.after(end - now - warning, tell))
      timers.push(browser.after(end - now + 1000, () => quietly(check)))
    },
  }
}
