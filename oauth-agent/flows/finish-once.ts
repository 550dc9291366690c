import { hash } from 'node:crypto'
import type { LoginContent, SessionCookies } from '../../shared/cookies/session.ts'
import type { SuccessorBox } from '../../shared/cookies/successor.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Store } from '../../shared/store/store.ts'
import { type Arrived, type CodeExchangeParts, finishLogin } from './code-exchange.ts'
import { endTurn, ignoreUnavailable, longestWaitMs, takeTurn } from './turn.ts'

/** What finishing attempts needs. */
export interface FinishOnceParts extends CodeExchangeParts {
  readonly store: Store
  /** Seals the session for requests that bring the same response. */
  readonly successors: SuccessorBox
}

/** A finished attempt; `joined` when another request had already brought the same response. */
export interface FinishedLogin {
  readonly cookies: SessionCookies
  readonly joined: boolean
}

/** Finishes an attempt; throws as `finishLogin` does, and `overloaded` when another replica takes too long with it. */
export type FinishOnce = (attempt: LoginContent, arrived: Arrived) => Promise<FinishedLogin>

/** How long the same response finds the session that it became, until its browser has the cookies. */
const keptSeconds = 30

/**
 * Creates the end of attempts, in which each response is used once, however often it comes and at whichever replica.
 *
 * Pages that run their start twice and impatient reloads send one code twice at the same time. The server takes the
 * second for theft and revokes what the first one gave (RFC 6749 §4.1.2): the user would seem signed in until the next
 * refresh.
 */
export function createFinishOnce(parts: FinishOnceParts): FinishOnce {
  const { store, successors, config } = parts
  const flights = new Map<string, Promise<FinishedLogin>>()

  return async (attempt, arrived) => {
    const ticket = ticketOf(attempt, arrived)
    const present = flights.get(ticket)
    if (present !== undefined) return { ...(await present), joined: true }
    const flight = lead(ticket, attempt, arrived).finally(() => flights.delete(ticket))
    flights.set(ticket, flight)
    return flight
  }

  async function lead(ticket: string, attempt: LoginContent, arrived: Arrived): Promise<FinishedLogin> {
    const found = () => keptFor(ticket)
    // Long enough for metadata, the code and the keys, each at its slowest.
    const holdMs = 4 * config.authorizationServer.timeoutMs + longestWaitMs
    const taken = await takeTurn(parts, { key: `login:${ticket}`, holdMs, found })
    if (taken === undefined) throw new TokenHandlerError('overloaded', { fields: { retry_after: 1 } })
    if ('found' in taken) return joining(taken.found)
    try {
      // The replica whose turn it was may have finished in between.
      const earlier = await found()
      if (earlier !== undefined) return joining(earlier)
      const cookies = await finishLogin(parts, attempt, arrived)
      // The code is used up; nothing that fails here may cost the session that it became.
      await store.put(keyOf(ticket), successors.seal(ticket, cookies), keptSeconds).catch(() => {})
      return { cookies, joined: false }
    } finally {
      await endTurn(taken.turn)
    }
  }

  async function keptFor(ticket: string): Promise<SessionCookies | undefined> {
    const value = await store.get(keyOf(ticket)).catch(ignoreUnavailable)
    return value === undefined ? undefined : successors.open(ticket, value)
  }

  /** A sign-out that came in the meantime wins. */
  function joining(cookies: SessionCookies): FinishedLogin {
    if (!store.hasEnded(cookies.access)) return { cookies, joined: true }
    throw new TokenHandlerError('login_restart_required', { detail: { check: 'ended' } })
  }
}

function keyOf(ticket: string): string {
  return `signed-in:${ticket}`
}

/** Names a response to an attempt without revealing it: another code for the same attempt is another response. */
function ticketOf({ state, nonce }: LoginContent, { parameters, arrivedBy }: Arrived): string {
  return hash('sha256', JSON.stringify(['login', state, nonce, arrivedBy, ...parameters]), 'base64url')
}
