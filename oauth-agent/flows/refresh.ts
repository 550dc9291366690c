import { type RefreshContent, type SessionCookies, reachedLimit } from '../../shared/cookies/session.ts'
import type { SuccessorBox } from '../../shared/cookies/successor.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Store } from '../../shared/store/store.ts'
import { withIdleEnd } from './generation.ts'
import { notAllowed } from './parameters.ts'
import { type Presented, refreshAtServer, type RefreshAtServerParts, type Renewed } from './refresh-at-server.ts'
import { followSid, wasFollowed, wasReplaced } from './replaced-session.ts'
import { revokeTokens } from './revocation.ts'
import type { Session } from './session-state.ts'
import { createSuccessors, ticketOf } from './successors.ts'
import { createSingleFlight, inTurn, type Turn } from './turn.ts'

/** What refreshing needs. */
export interface RefreshParts extends RefreshAtServerParts {
  readonly store: Store
  /** Seals what the store keeps for the losers of a race. */
  readonly successorBox: SuccessorBox
}

/** What one caller gets of a refresh. */
export interface Refreshed extends Renewed {
  /** True when another request had already refreshed this token. */
  readonly joined: boolean
}

/**
 * `session_expired` for a session that ended while its refresh was under way, other than by a refusal of the refresh
 * token: the cookies in the browser may be of the next sign-in by now.
 */
export class EndedMeanwhile extends TokenHandlerError {
  constructor(check: 'replaced' | 'ended' | 'absolute_limit' | 'idle_limit') {
    super('session_expired', { detail: { check } })
  }
}

/** `session_expired` for a refresh token that was refused before, of which an earlier error has told. */
export class RefusedBefore extends TokenHandlerError {
  constructor(check: string) {
    super('session_expired', { detail: { check } })
  }
}

/** What the page asks for with a refresh. */
export interface RefreshWish extends Pick<Presented, 'additionalParameters'> {
  /** The user is there, so the idle limit moves. */
  readonly activity: boolean
}

/**
 * Refreshes a session. The page's `additionalParameters` go to the authorization server, unless another request refreshes
 * this session already: then its answer is this one's, too.
 */
export type Refresh = (session: Session, wish: RefreshWish) => Promise<Refreshed>

/** A refresh token, and what the caller who presents it wants. */
type Wanted = Presented & RefreshWish

/**
 * Creates the refresh of one process.
 *
 * However many tabs and replicas present one refresh token, the authorization server sees one that it accepts once: the
 * first takes the lock and refreshes, all others get the same new tokens (RFC 9700 §4.14.2: a second use looks like theft
 * and ends the session). A session ends by a refusal of its token, by tokens of another user, by its limits, or because it
 * was ended or replaced meanwhile; whatever is unclear keeps every cookie.
 */
export function createRefresh(parts: RefreshParts): Refresh {
  const { store, clock, config } = parts
  const singleFlight = createSingleFlight<Refreshed>()
  const successors = createSuccessors(parts)
  const refusals = createRefusals()
  /** Tickets of refreshes under way that somebody asked for with the user there. */
  const attended = new Set<string>()

  return async (session, { activity, additionalParameters }) => {
    const { refresh } = session
    if (refresh === undefined) throw new TokenHandlerError('no_refresh_token')
    checkNarrower(additionalParameters.get('scope'), refresh)
    const beganAt = clock.nowSeconds()
    const refreshed = await refreshOnce({ session, refresh, additionalParameters, activity }).catch(
      async (error: unknown) => {
        // Whatever the authorization server says of a session that ended meanwhile, its end is what counts.
        if (store.hasEnded(session.facts)) throw await overMeanwhile(session)
        // Some servers drop the earlier refresh token at a sign-in; the browser has the cookies of that, or is about to.
        const isOver = error instanceof TokenHandlerError && error.row.endsSession
        if (isOver && (await wasFollowed(parts, session.facts, beganAt))) throw inProgress()
        throw error
      },
    )
    const cookies = afterUse(refreshed.cookies, { activity })

    // It goes on for whoever has nothing newer; this browser has, or is about to. Asked first: then nothing is waited for.
    const isFollowed = await wasFollowed(parts, session.facts, beganAt)
    // A sign-out that came in the meantime wins, and so does a sign-in or the end of its time: nothing may bring it back.
    const limit = reachedLimit(cookies.access, clock.nowSeconds())
    const hasEnded = store.hasEnded(session.facts)
    // At its limit only what nobody has followed: at many servers its tokens are of one grant with those that the user has.
    if (hasEnded || (limit !== undefined && !isFollowed)) {
      await revokeTokens(parts, { refreshToken: cookies.refresh?.refreshToken })
      throw await overMeanwhile(session, limit)
    }
    if (isFollowed) throw inProgress()
    return { ...refreshed, cookies }
  }

  async function overMeanwhile({ facts }: Session, limit?: ReturnType<typeof reachedLimit>): Promise<EndedMeanwhile> {
    return new EndedMeanwhile((await wasReplaced(parts, facts)) ? 'replaced' : (limit ?? 'ended'))
  }

  /**
   * The idle limit moves with the user, not with a timer in a forgotten tab. A limit that has passed stays: other tabs have
   * seen it pass, and somebody else may have signed in since.
   */
  function afterUse(cookies: SessionCookies, { activity }: Pick<RefreshWish, 'activity'>): SessionCookies {
    const nowSeconds = clock.nowSeconds()
    if (!activity || reachedLimit(cookies.access, nowSeconds) !== undefined) return cookies
    return withIdleEnd(cookies, nowSeconds + config.session.idleSeconds)
  }

  function refreshOnce(presented: Wanted): Promise<Refreshed> {
    const ticket = ticketOf(presented.refresh)
    if (presented.activity) attended.add(ticket)
    return singleFlight(ticket, async () => {
      const find = () => successors.latest(ticket)
      const outcome = await inTurn(parts, { key: `refresh:${ticket}`, find }, (turn) =>
        presentToken(presented, ticket, turn),
      )
      if (outcome === undefined) throw inProgress()
      const refreshed = 'found' in outcome ? await goOnFrom(outcome.found, presented) : outcome.done
      // Whichever answer the browser hears last, that of a tab in the background must not take back what the user gave.
      return { ...refreshed, cookies: afterUse(refreshed.cookies, { activity: attended.has(ticket) }) }
    }).finally(() => attended.delete(ticket))
  }

  async function presentToken(presented: Wanted, ticket: string, turn: Turn): Promise<Refreshed> {
    const refused = refusals.get(ticket)
    if (refused?.check !== undefined) throw new RefusedBefore(refused.check)
    // Another tab, not the second try: what the winner got may be on its way still.
    if (refused !== undefined && clock.steadyMs() - refused.atMs < retrySeconds * 1000) throw inProgress()
    const outcome = await refreshAtServer(parts, presented)
    if (outcome.kind === 'renewed') {
      // Before it is kept, for tabs in the background that come later or ask another replica.
      const cookies = afterUse(outcome.renewed.cookies, { activity: attended.has(ticket) })
      await successors.keep(ticket, cookies, presented.session)
      const { otherSid } = outcome.renewed
      if (otherSid !== undefined) await followSid(parts, cookies.access, otherSid)
      return { ...outcome.renewed, cookies, joined: false }
    }
    const winner = await successors.latest(ticket)
    if (winner !== undefined) return joining(winner)
    // Another replica may have won: its caller gets new cookies, and only the losers ask again.
    if (!turn.isCertain && refused === undefined) {
      refusals.add(ticket, { atMs: clock.steadyMs() })
      throw inProgress()
    }
    const detail = { check: outcome.cause.error }
    refusals.add(ticket, { atMs: clock.steadyMs(), ...detail })
    throw new TokenHandlerError('session_expired', { detail, cause: outcome.cause })
  }

  /** A browser that comes back long after the race finds tokens that have expired as well; it needs the next ones. */
  function goOnFrom(
    latest: SessionCookies,
    { additionalParameters, activity }: Wanted,
  ): Refreshed | Promise<Refreshed> {
    const { access, refresh, identity } = latest
    if (refresh === undefined || access.accessTokenExpiresAt > clock.nowSeconds()) return joining(latest)
    return refreshOnce({
      session: { facts: access, access, refresh, identity },
      refresh,
      additionalParameters,
      activity,
    })
  }
}

/** What the authorization server said of a token, and when by the steady clock. */
interface Refusal {
  readonly atMs: number
  /** Absent while in doubt: somebody else may have used the token a moment before. */
  readonly check?: string
}

/** The last refusals by ticket, so that other tabs with the same token do not ask again. */
function createRefusals() {
  const maxRefused = 10_000
  const refused = new Map<string, Refusal>()
  return {
    get: (ticket: string): Refusal | undefined => refused.get(ticket),
    add(ticket: string, refusal: Refusal): void {
      refused.set(ticket, refusal)
      for (const oldest of refused.keys()) {
        if (refused.size <= maxRefused) break
        refused.delete(oldest)
      }
    },
  }
}

/** RFC 6749 §6: a refresh can ask for less, never for more; an answer without scope confirms what was asked for (§5.1). */
function checkNarrower(scope: string | undefined, granted: RefreshContent): void {
  const tokens = granted.scope.split(' ')
  if (scope !== undefined && !scope.split(' ').every((token) => tokens.includes(token))) throw notAllowed('scope')
}

/** After which a browser that was asked to try again has what another of its requests got. */
const retrySeconds = 1

function inProgress(): TokenHandlerError {
  return new TokenHandlerError('refresh_in_progress', { fields: { retry_after: retrySeconds } })
}

function joining(cookies: SessionCookies): Refreshed {
  return { cookies, joined: true, rotated: false }
}
