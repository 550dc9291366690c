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
  /** The agent was told of everything up to this time. */
  activityReported(at: number): void
}

/** A session is called expiring this long before its end, or in the last quarter of a short one. */
const longestWarning = 60_000
/** Tabs spread their refreshes over this part of the time that is left, at most this long. */
const jitterPart = 0.1
const longestJitter = 10_000
/** A refresh that failed is tried again after this time, and never more often. */
const retryAfter = 10_000

/**
 * Keeps the session of a page that is in use alive: refreshes ahead of expiry, warns before the end.
 *
 * A page that nobody looks at does not refresh by itself, and one that nobody touches does not prolong the session.
 */
export function createKeepAlive({ browser, present, refresh, check, warn }: Parts): KeepAlive {
  let activeAt = browser.now()
  let reportedAt = -Infinity
  let triedAt = -Infinity
  /** The time to refresh came while nobody was there. */
  let overdue = false
  /** From then on activity of the user prolongs the session at once. */
  let prolongFrom = Infinity
  let warning = { end: -Infinity, at: -Infinity, given: false }
  let timers: Stop[] = []

  const hasActivity = () => activeAt > reportedAt
  const later = (time: number, run: () => void) => timers.push(browser.after(time - browser.now(), run))

  const attempt = () => {
    if (!present().isLoggedIn || browser.now() - triedAt < retryAfter / 2) return
    triedAt = browser.now()
    overdue = false
    refresh().then(
      () => (triedAt = -Infinity),
      () => later(browser.now() + retryAfter, due),
    )
  }
  const due = () => {
    if (browser.isVisible() || hasActivity()) attempt()
    else overdue = true
  }
  const ask = () => void check().catch(() => undefined)
  const catchUp = () => {
    const { refreshAt = Infinity, endsAt = Infinity, idleEndsAt = Infinity } = present()
    if (browser.now() >= Math.min(endsAt, idleEndsAt)) ask()
    else if (overdue || browser.now() >= refreshAt) attempt()
  }

  browser.onActivity(() => {
    activeAt = browser.now()
    if (overdue || activeAt >= prolongFrom) attempt()
  })
  browser.onVisible(catchUp)
  browser.onOnline(catchUp)

  return {
    hasActivity,
    activityReported(at) {
      reportedAt = at
    },
    plan() {
      for (const stop of timers) stop()
      timers = []
      overdue = false
      prolongFrom = Infinity
      const { isLoggedIn, refreshAt = Infinity, endsAt = Infinity, idleEndsAt = Infinity } = present()
      if (!isLoggedIn) return
      const now = browser.now()
      const end = Math.min(endsAt, idleEndsAt)
      if (refreshAt < end) {
        const left = Math.max(refreshAt - now, 0)
        later(refreshAt - browser.random() * Math.min(left * jitterPart, longestJitter), due)
      }
      if (end === Infinity) return
      const prolongable = idleEndsAt < endsAt
      // The same end, heard of again with whole seconds, is no news.
      if (Math.abs(end - warning.end) > 2000) {
        warning = { end, at: end - Math.min(longestWarning, (end - now) / 4), given: false }
      }
      if (prolongable) prolongFrom = warning.at
      if (!warning.given) {
        later(warning.at, () => {
          warning.given = true
          warn({ endsAt: end, prolongable })
        })
      }
      later(end + 1000, ask)
    },
  }
}
