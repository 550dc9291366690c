import { AgentError, type CallAgent } from './agent.ts'
import { isEnding } from './api-fetch.ts'
import type { Browser } from './browser.ts'
import type { KeepAlive } from './keep-alive.ts'
import { isNewer, isSameLogin, parseSession, type Session } from './session.ts'

/** Runs `work` while no other tab runs any. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

interface Parts {
  readonly browser: Browser
  readonly callAgent: CallAgent
  readonly present: () => Session
  readonly inTurn: InTurn
  /** Asks the agent how things stand. */
  readonly check: () => Promise<Session>
  /** Takes over what was learned. */
  readonly adopt: (session: Session) => void
  readonly keepAlive: Pick<KeepAlive, 'activity' | 'reported'>
}

/** Longer waits are left to the caller. */
const longestRetry = 5
const maxTries = 3

/** How long a tab waits for another one before it goes on without the lock; the agent sorts out the race. */
const lockPatience = 20_000

/** Turns of the tabs of one browser to replace the cookies; a tab that waits for too long goes out of turn. */
export function createInTurn(browser: Browser, lockName: string): InTurn {
  return async <T>(work: () => Promise<T>) => {
    let begun: Promise<T> | undefined
    const begin = () => (begun = work())
    await browser.inTurn(lockName, AbortSignal.timeout(lockPatience), begin).catch(() => undefined)
    return begun ?? work()
  }
}

/**
 * Refreshes the tokens once for all tabs, and returns the session as it is then.
 *
 * Whoever gets the lock first asks the agent which generation is current: another tab may have refreshed meanwhile.
 * The returned function throws `AgentError`, or the `TypeError` of fetch when the network is down.
 */
export function createRefresh(parts: Parts): (seen: Session) => Promise<Session> {
  const { browser, callAgent, keepAlive } = parts
  let flight: Promise<Session> | undefined
  let refusedAt = 0
  /** Always one that says when to try again. */
  let refusal: AgentError | undefined

  const wait = (seconds: number) => new Promise<void>((resolve) => browser.after(seconds * 1000, resolve))

  const refreshAtAgent = async (current: Session): Promise<Session> => {
    for (let attempt = 1; ; attempt++) {
      const activity = keepAlive.activity()
      try {
        const answer = await callAgent('/refresh', activity > 0 ? {} : { activity: 'background' })
        keepAlive.reported(activity)
        return parseSession(answer, browser.now(), current)
      } catch (error) {
        if (!(error instanceof AgentError) || error.retryAfter === undefined) throw error
        if (attempt === maxTries || error.retryAfter > longestRetry) {
          refusedAt = browser.now()
          refusal = error
          throw error
        }
        await wait(error.retryAfter)
      }
    }
  }

  const underLock = async (seen: Session): Promise<Session> => {
    const current = await parts.check()
    const overtaken = !isSameLogin(current, seen) || isNewer(current, seen)
    if (!current.isLoggedIn || (overtaken && !isEnding(current, browser))) return current
    try {
      const refreshed = await refreshAtAgent(current)
      // Somebody signed in meanwhile: the answer is of the session before, or of the new one, but has no claims.
      if (!isSameLogin(refreshed, parts.present())) return await parts.check()
      parts.adopt(refreshed)
      return refreshed
    } catch (error) {
      // The agent knows best whether this was the end of the session.
      if (error instanceof AgentError && error.status === 401) await parts.check()
      throw error
    }
  }

  const run = async (seen: Session): Promise<Session> => {
    // A clock that was set back must not make the wait longer.
    if (refusal && Math.abs(browser.now() - refusedAt) < refusal.retryAfter! * 1000) throw refusal
    refusal = undefined
    return parts.inTurn(() => underLock(seen))
  }

  return (seen) =>
    (flight ??= run(seen).finally(() => {
      flight = undefined
    }))
}
