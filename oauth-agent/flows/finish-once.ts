import { hash } from 'node:crypto'
import type { LoginContent, SessionCookies } from '../../shared/cookies/session.ts'
import type { SuccessorBox } from '../../shared/cookies/successor.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { ignoreUnavailable, type Store } from '../../shared/store/store.ts'
import { type Arrived, type CodeExchangeParts, finishLogin } from './code-exchange.ts'
import { createKeptSessions } from './kept-session.ts'
import { loginAttemptId } from './login-attempt.ts'
import { createSingleFlight, inTurn, outcomeSeconds } from './turn.ts'

/** What finishing attempts needs. */
export interface FinishOnceParts extends CodeExchangeParts {
  readonly store: Store
  /** Seals the session for requests that bring the same response. */
  readonly successorBox: SuccessorBox
}

/** A finished attempt; `joined` when another request had already brought the same response. */
export interface FinishedLogin {
  readonly cookies: SessionCookies
  readonly joined: boolean
}

/** Finishes an attempt; throws as `finishLogin` does, and `overloaded` when another replica takes too long with it. */
export type FinishOnce = (attempt: LoginContent, arrived: Arrived) => Promise<FinishedLogin>

/**
 * Creates the end of attempts, in which each response is used once, however often it comes and at whichever replica.
 *
 * Pages that run their start twice and impatient reloads send one code twice at the same time. The server takes the
 * second for theft and revokes what the first one gave (RFC 6749 §4.1.2): the user would seem signed in until the next
 * refresh.
 */
export function createFinishOnce(parts: FinishOnceParts): FinishOnce {
  const { store, successorBox } = parts
  const singleFlight = createSingleFlight<FinishedLogin>()
  const signedIn = createKeptSessions(store, successorBox, 'signed-in')

  return async (attempt, arrived) => {
    const ticket = ticketOf(attempt, arrived)
    return singleFlight(ticket, async () => {
      const find = () => signedIn.find(ticket)
      const outcome = await inTurn(parts, { key: `login:${ticket}`, find }, () => finish(attempt, arrived, ticket))
      if (outcome === undefined) throw new TokenHandlerError('overloaded', { fields: { retry_after: 1 } })
      return 'found' in outcome ? joining(outcome.found) : outcome.done
    })
  }

  async function finish(attempt: LoginContent, arrived: Arrived, ticket: string): Promise<FinishedLogin> {
    // A server that sees a code again revokes what it gave for it (RFC 6749 §4.1.2), and another tab that signed in at the
    // same time may have set the cookie of this attempt again.
    const used = `used:${loginAttemptId(attempt.state)}`
    if ((await store.get(used).catch(ignoreUnavailable)) !== undefined) {
      throw new TokenHandlerError('login_restart_required', { detail: { check: 'used' } })
    }
    const cookies = await finishLogin(parts, attempt, arrived)
    // The code is used up; nothing that fails here may cost the session that it became.
    await Promise.allSettled([
      signedIn.keep(ticket, cookies, outcomeSeconds),
      store.put(used, '1', parts.config.login.attemptSeconds),
    ])
    return { cookies, joined: false }
  }

  /** A sign-out that came in the meantime wins. */
  function joining(cookies: SessionCookies): FinishedLogin {
    if (!store.hasEnded(cookies.access)) return { cookies, joined: true }
    throw new TokenHandlerError('login_restart_required', { detail: { check: 'ended' } })
  }
}

/** Names a response to an attempt without revealing it: another code for the same attempt is another response. */
function ticketOf({ state, nonce }: LoginContent, { parameters, arrivedBy }: Arrived): string {
  return hash('sha256', JSON.stringify(['login', state, nonce, arrivedBy, ...parameters]), 'base64url')
}
