import { hash } from 'node:crypto'
import type { AccessContent, RefreshContent, SessionCookies } from '../../shared/cookies/session.ts'
import type { SuccessorBox } from '../../shared/cookies/successor.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import type { Store } from '../../shared/store/store.ts'
import { wasReplaced } from './end-session.ts'
import { notAllowed, type Parameters } from './parameters.ts'
import { type Presented, refreshAtServer, type RefreshAtServerParts, type Renewed } from './refresh-at-server.ts'
import { revokeTokens } from './revocation.ts'
import type { Session } from './session-state.ts'
import { endTurn, ignoreUnavailable, longestWaitMs, takeTurn, type Turn } from './turn.ts'

/** What refreshing needs. */
export interface RefreshParts extends RefreshAtServerParts {
  readonly store: Store
  /** Seals what the store keeps for the losers of a race. */
  readonly successors: SuccessorBox
}

/** What one caller gets of a refresh. */
export interface Refreshed extends Renewed {
  /** True when another request had already refreshed this token. */
  readonly joined: boolean
}

/**
 * Refreshes a session; with `activity` the idle limit moves as well. `further` goes to the authorization server, unless
 * another request refreshes this session already: then its answer is this one's, too.
 */
export type Refresh = (
  session: Session,
  wish: { readonly activity: boolean; readonly further: Parameters },
) => Promise<Refreshed>

/** How long the losers of a race find the winner's tokens; longer than any tab sleeps between sending and reading. */
const successorSeconds = 30
/** Answers of one race reach a browser within this time. */
const raceSeconds = 10
const maxDenied = 10_000

/**
 * Creates the refresh of one process.
 *
 * However many tabs and replicas present one refresh token, the authorization server sees it once: the first takes the
 * lock and refreshes, all others get the same new tokens (RFC 9700 §4.14.2: a second use looks like theft and ends the
 * session). Nothing but `invalid_grant` on the token presented ends a session; whatever is unclear keeps every cookie.
 */
export function createRefresh(parts: RefreshParts): Refresh {
  const { store, clock, config, successors } = parts
  const flights = new Map<string, Promise<Refreshed>>()
  const denied = new Set<string>()
  // What the shared store could not take: the tabs that come to this process find it all the same.
  const ownMemory = createMemoryStore({ clock, maxEntries: 10_000 })

  return async (session, { activity, further }) => {
    const { refresh } = session
    if (refresh === undefined) throw new TokenHandlerError('no_refresh_token')
    checkNarrower(further.get('scope'), refresh)
    const refreshed = await joinOrTakeOff({ session, refresh, further })

    // A sign-out that came in the meantime wins, and so does a sign-in: nothing may bring the session back.
    if (store.hasEnded(session.facts)) {
      const { refreshToken } = refreshed.cookies.refresh ?? {}
      await revokeTokens(parts, { refreshToken })
      const check = (await wasReplaced(parts, session.facts)) ? 'replaced' : 'ended'
      throw new TokenHandlerError('session_expired', { detail: { check } })
    }
    return activity ? { ...refreshed, cookies: withActivity(refreshed.cookies) } : refreshed
  }

  async function joinOrTakeOff(presented: Presented): Promise<Refreshed> {
    const ticket = ticketOf(presented.refresh)
    const present = flights.get(ticket)
    if (present !== undefined) return joining(await present)
    const flight = lead(ticket, presented).finally(() => flights.delete(ticket))
    flights.set(ticket, flight)
    return flight
  }

  /** This process's turn: the lock, or what the replica that holds it leaves behind. */
  async function lead(ticket: string, presented: Presented): Promise<Refreshed> {
    // Long enough for metadata, the token and the keys of a new ID token, each at its slowest.
    const holdMs = 4 * config.authorizationServer.timeoutMs + longestWaitMs
    const taken = await takeTurn(parts, { key: `refresh:${ticket}`, holdMs, found: () => successorOf(ticket) })
    if (taken === undefined) throw inProgress()
    return 'found' in taken ? goOnFrom(taken.found, presented) : refreshInTurn(taken.turn, ticket, presented)
  }

  async function refreshInTurn(turn: Turn, ticket: string, presented: Presented): Promise<Refreshed> {
    try {
      // The replica that held the lock a moment ago may have finished in between.
      const earlier = await successorOf(ticket)
      if (earlier !== undefined) return earlier
      const outcome = await refreshAtServer(parts, presented)
      if (outcome.kind === 'refused') {
        const winner = await successorOf(ticket)
        if (winner !== undefined) return winner
        // Without the lock another replica may have won: its caller gets new cookies, and only the losers ask again.
        if (turn === 'no lock' && !deniedBefore(ticket)) throw inProgress()
        throw new TokenHandlerError('session_expired', { detail: { check: 'invalid_grant' }, cause: outcome.cause })
      }
      await keepSuccessor(ticket, outcome.renewed.cookies, presented.session)
      return { ...outcome.renewed, joined: false }
    } finally {
      await endTurn(turn)
    }
  }

  /** A browser that comes back long after the race finds tokens that have expired as well; it needs the next ones. */
  async function goOnFrom(earlier: Refreshed, { further }: Presented): Promise<Refreshed> {
    const { access, refresh, identity } = earlier.cookies
    if (refresh === undefined || access.accessTokenExpiresAt > clock.nowSeconds()) return earlier
    return joinOrTakeOff({ session: { facts: access, access, refresh, identity }, refresh, further })
  }

  function deniedBefore(ticket: string): boolean {
    if (denied.has(ticket)) return true
    denied.add(ticket)
    for (const oldest of denied) {
      if (denied.size <= maxDenied) break
      denied.delete(oldest)
    }
    return false
  }

  /**
   * What the winner got, or what came of it since: the answer to a late loser may be the last that its browser hears,
   * and must not take it back to a refresh token that is spent by now.
   */
  async function successorOf(ticket: string): Promise<Refreshed | undefined> {
    let latest = await keptFor(ticket)
    for (let next = latest; next?.refresh !== undefined; next = await keptFor(ticketOf(next.refresh))) latest = next
    return latest === undefined ? undefined : { cookies: latest, joined: true, rotated: false }
  }

  async function keptFor(ticket: string): Promise<SessionCookies | undefined> {
    const key = `successor:${ticket}`
    const value = (await ownMemory.get(key)) ?? (await store.get(key).catch(ignoreUnavailable))
    return value === undefined ? undefined : successors.open(ticket, value)
  }

  /** Nothing that fails here may cost the tokens that were just obtained; the store reports its own failures. */
  async function keepSuccessor(ticket: string, cookies: SessionCookies, spent: Session): Promise<void> {
    const [key, value] = [`successor:${ticket}`, successors.seal(ticket, cookies)]
    const ttlSeconds = keptSeconds(cookies.access, spent)
    await store.put(key, value, ttlSeconds).catch(() => ownMemory.put(key, value, ttlSeconds))
  }

  /**
   * Longer where the tokens spent came from a refresh a moment ago: answers of both are then on their way to one browser,
   * and if it hears the older one last, it comes back with a spent token when that answer's access token expires.
   */
  function keptSeconds(obtained: AccessContent, { facts, access }: Session): number {
    const ageSeconds = obtained.accessTokenExpiresAt - (access?.accessTokenExpiresAt ?? 0)
    const isRace = facts.generation > 1 && ageSeconds < raceSeconds
    return successorSeconds + (isRace ? Math.max(0, obtained.accessTokenExpiresAt - clock.nowSeconds()) : 0)
  }

  /** The idle limit moves with the user, not with a timer in a forgotten tab. */
  function withActivity({ access, refresh, identity }: SessionCookies): SessionCookies {
    const idleEnd = clock.nowSeconds() + config.session.idleSeconds
    const idle = { idleExpiresAt: Math.min(idleEnd, access.absoluteExpiresAt) }
    return {
      access: { ...access, ...idle },
      ...(refresh === undefined ? undefined : { refresh: { ...refresh, ...idle } }),
      identity: { ...identity, ...idle },
    }
  }
}

/**
 * Names a refresh token in locks and in the store without revealing it.
 *
 * Session and generation are part of it: a server that does not rotate gives the same token to all generations, and may
 * give it to every sign-in of a user; only those who still hold the old one of this session are losers of the race.
 */
function ticketOf({ sessionId, generation, refreshToken }: RefreshContent): string {
  return hash('sha256', `${sessionId}.${generation}.${refreshToken}`, 'base64url')
}

/** RFC 6749 §6: a refresh can ask for less, never for more; an answer without scope confirms what was asked for (§5.1). */
function checkNarrower(scope: string | undefined, granted: RefreshContent): void {
  const tokens = granted.scope.split(' ')
  if (scope !== undefined && !scope.split(' ').every((token) => tokens.includes(token))) throw notAllowed('scope')
}

function inProgress(): TokenHandlerError {
  return new TokenHandlerError('refresh_in_progress', { fields: { retry_after: 1 } })
}

function joining(refreshed: Refreshed): Refreshed {
  return { ...refreshed, joined: true }
}
