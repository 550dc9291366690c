import { hash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { AccessContent, RefreshContent, SessionCookies } from '../../shared/cookies/session.ts'
import type { SuccessorBox } from '../../shared/cookies/successor.ts'
import type { Store } from '../../shared/store/store.ts'
import { createKeptSessions } from './kept-session.ts'
import type { Session } from './session-state.ts'
import { outcomeSeconds } from './turn.ts'

/** What finding successors needs. */
export interface SuccessorsParts {
  readonly store: Pick<Store, 'get' | 'put'>
  readonly clock: Clock
  readonly successorBox: SuccessorBox
}

/** What became of refresh tokens that are spent. */
export interface Successors {
  /**
   * What the winner of a race got, or what came of it since: the answer to a late loser may be the last that its browser
   * hears, and must not take it back to a refresh token that is spent by now.
   */
  latest(ticket: string): Promise<SessionCookies | undefined>
  /** Keeps what came of `spent` for the losers; never throws, for nothing may cost the tokens just obtained. */
  keep(ticket: string, cookies: SessionCookies, spent: Session): Promise<void>
}

/** Answers of one race reach a browser within this time. */
const raceSeconds = 10

/** Creates the successors in `store`. */
export function createSuccessors({ store, clock, successorBox }: SuccessorsParts): Successors {
  const kept = createKeptSessions(store, successorBox, 'successor')

  return {
    async latest(ticket) {
      let latest = await kept.find(ticket)
      for (let next = latest; next?.refresh !== undefined; next = await kept.find(ticketOf(next.refresh))) latest = next
      return latest
    },
    async keep(ticket, cookies, spent) {
      // The store reports its own failures.
      await kept.keep(ticket, cookies, keptSeconds(clock, cookies.access, spent)).catch(() => {})
    },
  }
}

/**
 * Names a refresh token in locks and in the store without revealing it.
 *
 * Session and generation are part of it: a server that does not rotate gives the same token to all generations, and may
 * give it to every sign-in of a user; only those who still hold the old one of this session are losers of the race.
 */
export function ticketOf({ sessionId, generation, refreshToken }: RefreshContent): string {
  return hash('sha256', `${sessionId}.${generation}.${refreshToken}`, 'base64url')
}

/**
 * Longer where the tokens spent came from a refresh a moment ago: answers of both are then on their way to one browser,
 * and if it hears the older one last, it comes back with a spent token when that answer's access token expires.
 */
function keptSeconds(clock: Clock, obtained: AccessContent, { facts, access }: Session): number {
  const ageSeconds = obtained.accessTokenExpiresAt - (access?.accessTokenExpiresAt ?? 0)
  const isRace = facts.generation > 1 && ageSeconds < raceSeconds
  return outcomeSeconds + (isRace ? Math.max(0, obtained.accessTokenExpiresAt - clock.nowSeconds()) : 0)
}
