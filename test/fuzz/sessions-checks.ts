import { decodeJwt } from 'jose'
import { loginAttemptId } from '../../oauth-agent/flows/login-attempt.ts'
import { loginIds } from '../../shared/cookies/open.ts'
import { browserAfter } from '../support/installation.ts'
import type { Page, PageAnswer } from '../support/page.ts'
import type { Judged, SessionsModel } from './sessions-model.ts'
import { absoluteSeconds, attemptSeconds, idleSeconds, type SessionsWorld } from './sessions-world.ts'
import { promise } from './target.ts'

/** A pushed request and a code are of use for a minute. */
const freshSeconds = 50

/** An attempt to sign in, as its tab knows it. */
export interface Attempt {
  readonly by: 'page' | 'navigation'
  readonly url: string
  readonly startedAt: number
  /** Only the user of a session may come back. */
  readonly isBound: boolean
  query?: URLSearchParams
  isUsed?: boolean
}

/** A browser, and what is known of who uses it. */
export interface Browser {
  readonly page: Page
  readonly attempts: Attempt[]
  /** The user who signed in last, until they sign out. */
  who?: string | undefined
  /** The session that must be alive here, unless its end was reported. */
  session?: string | undefined
  /** Sign-ins and sign-outs so far. */
  changes: number
  /** Since the last sign-in cookies were moved by hand, or another session may still put its own over them. */
  tampered: boolean
}

/** What an answer means to the model; gives what it changes in a browser that hears of it. */
export type Settle = (answer: PageAnswer, presented: Judged) => (() => void) | undefined

/** A request of a browser, and how it goes. */
export interface Moment {
  readonly browser: Browser
  readonly replica: number
  /** The browser hears the answer later. */
  readonly isLate: boolean
  readonly isLost: boolean
  /** The authorization server is away, or was a moment ago. */
  readonly isAway: () => boolean
}

/** What must hold after each step of a program. */
export interface SessionsChecks {
  /** Asks proxy and agent of both replicas about the cookies of a browser, without changing anything in it. */
  look(browser: Browser): Promise<void>
  /** Of the end of this attempt, which is about to be sent. */
  end(moment: Moment, attempt: Attempt, query: URLSearchParams): Settle
  refresh(moment: Moment, action: 'refresh' | 'background'): Settle
  logout(moment: Moment): Settle
}

/** Creates the checks of one program. */
export function createSessionsChecks(world: SessionsWorld, model: SessionsModel): SessionsChecks {
  const { upstream, clock, reader, catalogue, cookiesOf, copyOf, sharedStore } = world

  return {
    async look(browser: Browser): Promise<void> {
      for (const replica of [0, 1]) {
        const page = copyOf(browser.page)
        const headers = { 'x-replica': String(replica) }
        const { kind, access, facts } = model.judge(cookiesOf(page), replica)
        const refusal = model.refusal(cookiesOf(page), replica)
        const isOwn = !browser.tampered && sharedStore

        upstream.seen.length = 0
        const code = (await page.call('GET', '/api/orders', { headers })).headers['token-handler-error']
        promise(code === refusal, `the proxy says ${code} and not ${refusal}`)
        promise(
          upstream.seen.length === (refusal === undefined ? 1 : 0),
          'the API was asked although the proxy refused',
        )
        const token = upstream.seen[0]?.values('authorization')[0]?.replace('Bearer ', '')
        const user = token === undefined ? undefined : decodeJwt(token).sub
        promise(token === undefined || (token === access?.accessToken && user === access.subject), 'a token of another')
        promise(
          !isOwn || user === undefined || user === browser.who,
          `the API sees ${user} after ${browser.who} signed in`,
        )

        const answer = await page.call('GET', '/oauth-agent/session', { headers })
        model.checkAnswer('session', answer)
        const { is_logged_in: isIn, id_token_claims: claims, access_token_expires_in: expiresIn } = answer.json()
        promise(isIn === (kind === 'open'), `GET /session says ${isIn} where the session is ${kind}`)
        const named = isIn === true ? (claims as { sub: unknown }).sub : undefined
        promise(named === undefined || named === facts?.subject, 'GET /session names another user')
        promise(
          !isOwn || named === undefined || named === browser.who,
          `${String(named)} after ${browser.who} signed in`,
        )
        promise(
          user === undefined || isIn === true || browser.tampered,
          'the proxy lets through whom GET /session denies',
        )
        promise(!isIn || expiresIn === 0 || user !== undefined, 'GET /session promises what the proxy refuses')

        const own = model.known(browser.session)
        const mustLive = own && isOwn && !own.spoiled && own.facts.idleExpiresAt > clock.nowSeconds()
        promise(!mustLive || model.hasEnded(own.facts, replica) || kind === 'open', `signed out for no reason: ${kind}`)
      }
    },

    end({ browser, replica, isLate, isLost, isAway }, attempt, query) {
      const { by, isBound } = attempt
      const sent = cookiesOf(browser.page)
      const id = loginAttemptId(query.get('state') ?? '')
      const login = reader.login(sent, id)
      const { replaces, stepUpOf } = login.kind === 'opened' ? login.content : {}
      const isReadable = attempt.startedAt > world.keyRemovedAt()
      const isFresh = isReadable && !attempt.isUsed && clock.nowSeconds() - attempt.startedAt < freshSeconds
      const isOpen = loginIds(catalogue, sent).length > 0
      return (answer, { kind, facts }) => {
        const { set, cleared } = model.checkAnswer('end', answer)
        promise(!cleared, 'end: clears a session')
        const mayFail =
          !isFresh || !isOpen || isBound || browser.attempts.length > 3 || browser.tampered || model.endedJustNow()
        const code = answer.headers['token-handler-error']
        promise(set !== undefined || mayFail || isAway() || isLate, `end: ${code} although nothing was wrong`)
        if (set === undefined) return undefined
        model.checkSet('end', set, undefined, clock.nowSeconds() + idleSeconds)
        const told = browserAfter(answer.setCookies)
        for (const other of loginIds(catalogue, sent).filter((each) => each !== id)) {
          const [before, after] = [sent, told].map((cookies) => reader.login(cookies, other))
          const isBlind = before?.kind === 'opened' && before.content.redirectUri.endsWith('/oauth-agent/callback')
          if (!isBlind || clock.nowSeconds() - before.content.startedAt >= attemptSeconds) continue
          const isTold = after?.kind === 'opened' && after.content.replaces?.sessionId === set.sessionId
          promise(isTold, 'end: an attempt under way does not hear of the session')
        }
        if (isLate || isLost) model.spoil(set)
        promise(!model.hasEnded(set, replica), 'end: signs in with a session that has ended')
        const isStepped = stepUpOf !== undefined && sharedStore && !browser.tampered
        promise(!isStepped || browser.who === set.subject, `end: a step-up after ${browser.who} signed in or out`)
        const before = (by === 'page' && kind === 'open' ? facts : replaces) ?? stepUpOf
        if (before?.subject === set.subject) model.succeed(replica, set, before.sessionId)
        else if (before !== undefined) model.endWithPredecessors(replica, before.sessionId, absoluteSeconds)
        return () => {
          browser.who = set.subject
          browser.session = set.sessionId
          browser.changes += 1
          // Browsers keep the session back from a navigation, so one that began while the attempt did is not ended.
          browser.tampered = by === 'navigation' && facts !== undefined && facts.sessionId !== replaces?.sessionId
        }
      }
    },

    refresh:
      ({ browser, replica, isAway }, action) =>
      (answer, { kind, facts, refresh }) => {
        const { set, cleared } = model.checkAnswer(action, answer)
        if (facts === undefined || refresh === undefined || kind !== 'open') {
          promise(set === undefined, `${action}: answered although the session was ${kind}`)
          return undefined
        }
        if (set !== undefined) {
          model.checkSet(action, set, facts, action === 'refresh' ? clock.nowSeconds() + idleSeconds : 0)
          promise(!model.hasEnded(set, replica), `${action}: brings back a session that has ended`)
          promise(set.generation > refresh.generation, `${action}: no new generation`)
          return () => {
            // It may be the answer to another session of this user, which a sign-in leaves alone.
            if (browser.session !== undefined) browser.session = set.sessionId
          }
        }
        const entry = model.known(facts.sessionId)
        const isOver = entry !== undefined && (entry.idleEnd <= clock.nowSeconds() || model.hasEnded(facts, replica))
        const mayFail = entry === undefined || entry.spoiled || isOver || (isAway() && !cleared)
        const code = answer.headers['token-handler-error']
        promise(mayFail || facts.idleExpiresAt <= clock.nowSeconds(), `${action}: ${code} although nothing was lost`)
        return undefined
      },

    logout:
      ({ browser, replica }) =>
      (answer, { kind, facts }) => {
        const { cleared } = model.checkAnswer('logout', answer)
        promise(cleared && answer.status === 200, 'logout: leaves cookies')
        if (facts !== undefined && kind !== 'invalid') {
          model.endWithPredecessors(replica, facts.sessionId, absoluteSeconds)
        }
        return () => {
          browser.who = undefined
          browser.session = undefined
          browser.changes += 1
        }
      },
  }
}
