import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import {
  type AccessContent,
  type IdentityContent,
  type RefreshContent,
  type SessionFacts,
  reachedLimit,
} from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Store } from '../../shared/store/store.ts'

/** A session as far as the cookies of one request show it; all of them belong to one sign-in. */
export interface Session {
  readonly facts: SessionFacts
  readonly access?: AccessContent
  readonly refresh?: RefreshContent
  readonly identity?: IdentityContent
}

/** What the cookies of one request amount to; never a session that only looks like one. */
export type SessionState =
  | { readonly kind: 'none' }
  | InvalidSession
  | ExpiredSession
  | { readonly kind: 'open'; readonly session: Session }

/** Cookies that name no session, or none that can be trusted. */
interface InvalidSession {
  readonly kind: 'over'
  readonly code: 'session_invalid'
  /** Why, for events. */
  readonly check: 'unreadable' | 'incomplete' | 'mixed'
  readonly session?: never
}

/** A session that has reached a limit or was ended. */
interface ExpiredSession {
  readonly kind: 'over'
  readonly code: 'session_expired'
  /** Why, for events. */
  readonly check: NonNullable<ReturnType<typeof reachedLimit>> | 'ended'
  readonly session: Session
}

/** Structurally what the cookie reader gives; a flow knows what cookies hold, not how they are read. */
type Read<T> = { readonly kind: 'absent' | 'unreadable' } | { readonly kind: 'opened'; readonly content: T }

/** What became of each of the three session cookies. */
export interface ReadContents {
  readonly access: Read<AccessContent>
  readonly refresh: Read<RefreshContent>
  readonly identity: Read<IdentityContent>
}

/**
 * Judges the cookies of a request as a whole.
 *
 * One unreadable cookie, cookies of two sign-ins (CK-17), or claims without any token are no session. Limits and
 * ended sessions are consulted every time, because neither Max-Age nor an old answer decides (CK-4).
 *
 * With `cookies.refresh_path: agent` a sibling host can write the other two cookies, so they count only beside an access
 * cookie: that one is locked to this host, and nobody else could bring their own session with it (CK-16).
 */
export function judgeSession(
  read: ReadContents,
  parts: { store: Store; clock: Clock; config: { readonly cookies: Pick<Config['cookies'], 'refreshPath'> } },
): SessionState {
  const all = [read.access, read.refresh, read.identity]
  if (all.every(({ kind }) => kind === 'absent')) return { kind: 'none' }
  if (all.some(({ kind }) => kind === 'unreadable')) return invalid('unreadable')

  const access = contentOf(read.access)
  const refresh = contentOf(read.refresh)
  const identity = contentOf(read.identity)
  const facts = newest(access, refresh)
  const isAnchored = access !== undefined || parts.config.cookies.refreshPath === 'root'
  if (facts === undefined || !isAnchored) return invalid('incomplete')
  const isForeign = (content: SessionFacts | undefined) => (content?.sessionId ?? facts.sessionId) !== facts.sessionId
  if (isForeign(access) || isForeign(refresh) || isForeign(identity)) return invalid('mixed')

  const session: Session = {
    facts,
    ...(access === undefined ? undefined : { access }),
    ...(refresh === undefined ? undefined : { refresh }),
    ...(identity === undefined ? undefined : { identity }),
  }
  const check = reachedLimit(facts, parts.clock.nowSeconds()) ?? (parts.store.hasEnded(facts) ? 'ended' : undefined)
  return check === undefined ? { kind: 'open', session } : { kind: 'over', code: 'session_expired', check, session }
}

/** The session that the cookies name, also one that is over; undefined where they name none. */
export function namedSession(state: SessionState): Session | undefined {
  return state.kind === 'none' ? undefined : state.session
}

/** Facts of the open session, if there is one. */
export function signedInFacts(state: SessionState): SessionFacts | undefined {
  return state.kind === 'open' ? state.session.facts : undefined
}

/** The open session; throws `session_missing`, `session_invalid` or `session_expired`. */
export function requireSession(state: SessionState): Session {
  if (state.kind === 'open') return state.session
  if (state.kind === 'none') throw new TokenHandlerError('session_missing')
  throw new TokenHandlerError(state.code, { detail: { check: state.check } })
}

function invalid(check: InvalidSession['check']): InvalidSession {
  return { kind: 'over', code: 'session_invalid', check }
}

function contentOf<T>(read: Read<T>): T | undefined {
  return read.kind === 'opened' ? read.content : undefined
}

function newest(access: SessionFacts | undefined, refresh: SessionFacts | undefined): SessionFacts | undefined {
  if (access === undefined || refresh === undefined) return access ?? refresh
  return access.generation >= refresh.generation ? access : refresh
}
