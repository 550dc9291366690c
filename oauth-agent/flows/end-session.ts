import type { Clock } from '../../shared/clock.ts'
import type { ReplacedSession, SessionFacts } from '../../shared/cookies/session.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { type LogoutRequest, logoutRequest, type LogoutRequestParts } from './logout-request.ts'
import { revokeTokens } from './revocation.ts'
import type { Session } from './session-state.ts'

/** What ending a session needs. */
export interface EndSessionParts extends LogoutRequestParts {
  readonly authorizationServer: AuthorizationServer
  readonly store: Store
  readonly clock: Clock
}

/** How a session was ended, and where the browser goes next. */
export interface EndedSession extends LogoutRequest {
  /** True when the authorization server confirmed that the tokens are revoked. */
  readonly revoked: boolean
}

/**
 * Ends a session everywhere it can be ended; always comes to an end itself, within `logout.revocation_timeout_ms`.
 *
 * It is marked as ended for every replica before the tokens are revoked, so that a refresh in flight loses. Whatever fails
 * here, the user is signed out.
 */
export async function endSession(parts: EndSessionParts, session: Session | undefined): Promise<EndedSession> {
  const { config, authorizationServer, clock } = parts
  if (session !== undefined) {
    await markEnded(parts, session.facts)
    for (const before of await predecessorsOf(parts, session.facts)) await markEnded(parts, before)
  }
  const timeoutMs = config.logout.revocationTimeoutMs
  let metadata: Metadata | undefined
  const tellServer = async (): Promise<boolean> => {
    metadata = await authorizationServer.metadata()
    if (session === undefined) return false
    const { refreshToken } = session.refresh ?? {}
    const { accessToken } = session.access ?? {}
    return revokeTokens(parts, { refreshToken, accessToken })
  }
  const revoked = await within(clock, timeoutMs, tellServer())
  return { ...logoutRequest(metadata, session?.identity?.idToken, parts), revoked: revoked ?? false }
}

/** How long a refresh that began before its session was replaced may still take. */
const replacedSeconds = 60

/**
 * Ends the session of another user, and its event streams, when a sign-in replaces it in this browser; its tokens are
 * not revoked.
 *
 * Otherwise a refresh of that session that is under way would put the first user's cookies over those of the second.
 */
export async function endReplaced(
  parts: Pick<EndSessionParts, 'store' | 'clock'>,
  session: ReplacedSession,
): Promise<void> {
  for (const each of [session, ...(await predecessorsOf(parts, session))]) {
    await parts.store.put(replacedKey(each), '1', replacedSeconds).catch(() => {})
    await markEnded(parts, each)
  }
}

/**
 * Remembers which session of the same user `session` has replaced in this browser. That one goes on, for its requests and
 * streams are the same user's; but whatever ends `session` has to end it as well, or a refresh or a step-up of it that is
 * under way would bring the user back after a sign-out, or over the next user, and its streams would go on.
 */
export async function keepPredecessor(
  { store, clock }: Pick<EndSessionParts, 'store' | 'clock'>,
  session: ReplacedSession,
  { sessionId }: Pick<SessionFacts, 'sessionId'>,
): Promise<void> {
  await store.put(predecessorKey(session), sessionId, secondsLeft(session, clock)).catch(() => {})
}

/** A sign-out comes to an end; of what was replaced more often than this, nothing is under way any more. */
const maxPredecessors = 8

/** What this session has replaced, latest first; they end no later than it, since their time began earlier. */
async function predecessorsOf(
  { store }: Pick<EndSessionParts, 'store'>,
  session: ReplacedSession,
): Promise<ReplacedSession[]> {
  const found: ReplacedSession[] = []
  for (let latest = session; found.length < maxPredecessors; found.push(latest)) {
    const sessionId = await store.get(predecessorKey(latest)).catch(() => undefined)
    if (sessionId === undefined) break
    latest = { ...session, sessionId }
  }
  return found
}

function predecessorKey({ sessionId }: Pick<SessionFacts, 'sessionId'>): string {
  return `predecessor:${sessionId}`
}

/** True when the session ended a moment ago because another user signed in, who may own the browser's cookies by now. */
export async function wasReplaced(
  { store }: Pick<EndSessionParts, 'store'>,
  session: Pick<SessionFacts, 'sessionId'>,
): Promise<boolean> {
  return (await store.get(replacedKey(session)).catch(() => undefined)) !== undefined
}

function replacedKey({ sessionId }: Pick<SessionFacts, 'sessionId'>): string {
  return `replaced:${sessionId}`
}

/** Marks the session as ended on every replica until it would have ended anyway. */
async function markEnded(
  { store, clock }: Pick<EndSessionParts, 'store' | 'clock'>,
  session: ReplacedSession,
): Promise<void> {
  try {
    await store.end({ kind: 'session', sessionId: session.sessionId, ttlSeconds: secondsLeft(session, clock) })
  } catch (error) {
    // The cookies are cleared or replaced all the same; after a sign-out other replicas notice by the revoked refresh token.
    if (!(error instanceof StoreUnavailable)) throw error
  }
}

function secondsLeft({ absoluteExpiresAt }: ReplacedSession, clock: Clock): number {
  return Math.max(absoluteExpiresAt - clock.nowSeconds(), 1)
}

/** The value, or undefined when it fails or takes longer than `ms`. */
function within<T>(clock: Clock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(undefined))
    void promise.then(resolve, () => resolve(undefined)).finally(cancel)
  })
}
