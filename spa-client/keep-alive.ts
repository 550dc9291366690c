import type { AgentError } from './agent.ts'
import type { Browser, Stop } from './browser.ts'
import type { Events } from './events.ts'
import { isNewer, isSameLogin, type Session } from './session.ts'

interface Parts {
  readonly browser: Browser
  readonly present: () => Session
  readonly refresh: () => Promise<unknown>
  /** Asks the agent how things stand. */
  readonly check: () => Promise<unknown>
  readonly warn: (event: Events['expiring']) => void
}

/** The timers of one page. */
export interface KeepAlive {
  /** Sets the timers anew; called whenever something was learned of the session. */
  plan(): void
  /** How often the user did something that the agent has not been told of. */
  activity(): number
  /** The agent was told of so much of it. */
  reported(count: number): void
}

const activityEvents = ['pointerdown', 'keydown', 'wheel', 'touchstart']
/** A session is called expiring this long before its end, or in the last quarter of a short one. */
const longestWarning = 60_000
/** Tabs spread their refreshes over this part of the time that is left, at most this long. */
const jitterPart = 0.1
const longestJitter = 10_000
/** A refresh that failed is tried again after this time, and never more often than twice within it. */
const retryAfter = 10_000

/**
 * Keeps the session of a page that is in use alive: refreshes ahead of expiry, warns before the end.
 *
 * A page that nobody looks at does not refresh by itself, and one that nobody touches does not prolong the session.
 */
export function createKeepAlive({ browser, present, refresh, check, warn }: Parts): KeepAlive {
  // A page that was just loaded is in use.
  let activity = 1
  let triedAt = -Infinity
  /** The time to refresh came while nobody was there. */
  let overdue = false
  /** From then on activity of the user prolongs the session at once. */
  let prolongFrom = Infinity
  let warning = { end: -Infinity, at: -Infinity, given: false }
  /** Of the session that was planned for. */
  let end = Infinity
  let refreshAt = Infinity
  let timers: Stop[] = []
  let stopWaiting: Stop | undefined

  const later = (time: number, run: () => void): Stop => {
    const stop = browser.after(time - browser.now(), run)
    timers.push(stop)
    return stop
  }
  // Attempts come from many sides; each waiting on its own would multiply while the agent is away.
  const dueAt = (time: number) => {
    stopWaiting?.()
    stopWaiting = later(time, due)
  }
  const retry = () => dueAt(browser.now() + retryAfter)

  const attempt = () => {
    const tried = present()
    if (!tried.isLoggedIn) return
    // A clock that was set back must not make the wait longer.
    if (Math.abs(browser.now() - triedAt) < retryAfter / 2) return retry()
    triedAt = browser.now()
    overdue = false
    refresh().then(
      () => (triedAt = -Infinity),
      (error: Partial<AgentError>) => {
        if (error.status !== 401) return retry()
        // A session that came in its place has its own plan.
        if (!isSameLogin(tried, present()) || isNewer(present(), tried)) return
        // There are no more tokens without the user, and some servers lock out who asks again and again.
        stopWaiting?.()
        overdue = true
      },
    )
  }
  const due = () => {
    if (browser.isVisible() || activity > 0) attempt()
    else overdue = true
  }
  const ask = () => void check().catch(() => undefined)
  const catchUp = () => {
    if (browser.now() >= end) ask()
    else if (overdue || browser.now() >= refreshAt) attempt()
  }

  for (const type of activityEvents) {
    browser.on(type, () => {
      activity++
      if (overdue || browser.now() >= prolongFrom) attempt()
    })
  }
  browser.on('visibilitychange', () => browser.isVisible() && catchUp())
  browser.on('online', catchUp)

  return {
    activity: () => activity,
    reported(count) {
      activity -= count
    },
    plan() {
      timers.forEach((stop) => stop())
      timers = []
      overdue = false
      prolongFrom = Infinity
      // Nobody's session has no such times.
      const { endsAt = Infinity, idleEndsAt = Infinity } = present()
      const now = browser.now()
      end = Math.min(endsAt, idleEndsAt)
      refreshAt = present().refreshAt ?? Infinity
      if (refreshAt < end) {
        const left = Math.max(refreshAt - now, 0)
        dueAt(refreshAt - browser.random() * Math.min(left * jitterPart, longestJitter))
      }
      if (end === Infinity) return
      // The same end, heard of again with whole seconds, is no news.
      if (Math.abs(end - warning.end) > 2000) {
        warning = { end, at: end - Math.min(longestWarning, (end - now) / 4), given: false }
      }
      const prolongable = idleEndsAt < endsAt
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
