import { hash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { ReplacedSession, SessionFacts } from '../../shared/cookies/session.ts'
import type { SessionKey, Store } from '../../shared/store/store.ts'

/** What the list of ended sessions, and of those that took each other's place in a browser, needs. */
export interface ReplacedSessionParts {
  readonly config: Pick<Config, 'logout' | 'login' | 'session'>
  readonly store: Pick<Store, 'get' | 'put' | 'end'>
  readonly clock: Clock
}

/**
 * Ends a session whose user signs out, and whatever of the same user has just taken its place: that answer may be on its way
 * to the browser still, and would undo the sign-out. Never throws for a store that is away.
 */
export async function endWithFollowers(parts: ReplacedSessionParts, session: ReplacedSession): Promise<void> {
  await endWithPredecessors(parts, session)
  for (const each of await followersOf(parts, session)) await endWithPredecessors(parts, each)
}

/** Ends a session on every replica, and then what it has replaced in this browser; never throws for a store that is away. */
export async function endWithPredecessors(parts: ReplacedSessionParts, session: ReplacedSession): Promise<void> {
  await markEnded(parts, session)
  for (const before of await predecessorsOf(parts, session)) await markEnded(parts, before)
}

/** How long a refresh that began before its session was replaced may still take. */
const replacedSeconds = 60
/** Requests that a page sent before it had the cookies of the session that follows arrive within this time. */
const crossingSeconds = 10

/**
 * Ends the session of another user, and its event streams, when a sign-in replaces it in this browser; its tokens are
 * not revoked.
 *
 * Otherwise a refresh of that session that is under way would put the first user's cookies over those of the second.
 */
export async function endReplaced(parts: ReplacedSessionParts, session: ReplacedSession): Promise<void> {
  const end = async (each: ReplacedSession): Promise<void> => {
    await parts.store.put(replacedKey(each), '1', replacedSeconds).catch(() => {})
    await markEnded(parts, each)
  }
  for (const each of [session, ...(await predecessorsOf(parts, session))]) await end(each)
  for (const each of await followersOf(parts, session)) await end(each)
}

/** True when the session ended a moment ago because another user signed in, who may own the browser's cookies by now. */
export async function wasReplaced(
  { store }: Pick<ReplacedSessionParts, 'store'>,
  session: Pick<SessionFacts, 'sessionId'>,
): Promise<boolean> {
  return (await store.get(replacedKey(session)).catch(() => undefined)) !== undefined
}

/**
 * True when a request of this session that began at `beganAt`, in seconds since 1970, crossed with a sign-in of the same
 * user: its cookies would take the browser back, from a step-up to the session before it.
 */
export async function wasFollowed(
  parts: Pick<ReplacedSessionParts, 'store'>,
  session: Pick<SessionFacts, 'sessionId'>,
  beganAt: number,
): Promise<boolean> {
  const followed = await followedBy(parts, session)
  return followed !== undefined && beganAt <= followed.at + crossingSeconds
}

/**
 * What has taken the place of a session that was just marked as ended; what does so from then on finds the mark
 * (checkSessionStays).
 */
async function followersOf(parts: ReplacedSessionParts, session: ReplacedSession): Promise<ReplacedSession[]> {
  const { followers = [] } = (await followedBy(parts, session)) ?? {}
  const absoluteExpiresAt = parts.clock.nowSeconds() + parts.config.session.absoluteSeconds
  return followers.map((sessionId) => ({ ...session, sessionId, absoluteExpiresAt }))
}

/** When a session of the same user last began where this one was, in seconds since 1970, and the ids of all that did. */
async function followedBy(
  { store }: Pick<ReplacedSessionParts, 'store'>,
  session: Pick<SessionFacts, 'sessionId'>,
): Promise<{ readonly at: number; readonly followers: readonly string[] } | undefined> {
  const [at, ...followers] = (await quietly(store)(followedKey(session)))?.split(' ') ?? []
  return at === undefined ? undefined : { at: Number(at), followers }
}

function replacedKey({ sessionId }: Pick<SessionFacts, 'sessionId'>): string {
  return `replaced:${sessionId}`
}

function followedKey({ sessionId }: Pick<SessionFacts, 'sessionId'>): string {
  return `followed:${sessionId}`
}

/** What it takes to remember what else ends with a session. */
interface RememberParts extends ReplacedSessionParts {
  readonly store: ReplacedSessionParts['store'] & Pick<Store, 'hasEnded'>
}

/**
 * Remembers which sessions of the same user `session` has replaced in this browser. They go on, for their requests and
 * streams are the same user's; but whatever ends `session` has to end them as well, or a refresh or a step-up of one that is
 * under way would bring the user back after a sign-out, or over the next user, and its streams would go on. A refresh that
 * crosses with this gives the browser nothing: see wasFollowed.
 */
export async function keepPredecessors(
  parts: RememberParts,
  session: SessionFacts,
  earlier: readonly Pick<SessionFacts, 'sessionId'>[],
): Promise<void> {
  const { store, config, clock } = parts
  for (const each of earlier) {
    const { followers = [] } = (await followedBy(parts, each)) ?? {}
    const ids = [...new Set([session.sessionId, ...followers])].slice(0, maxPredecessors)
    await store.put(followedKey(each), [clock.nowSeconds(), ...ids].join(' '), replacedSeconds).catch(() => {})
  }
  const latest = earlier.map(({ sessionId }) => sessionId)
  // Those of its own as well, for a response may come again.
  const before = await Promise.all([session.sessionId, ...latest].map((id) => predecessorIds(quietly(store), id)))
  const found = new Set([...latest, ...before.flat()])
  found.delete(session.sessionId)
  const ids = [...found].slice(0, maxPredecessors)
  await store.put(predecessorsKey(session.sessionId), ids.join(' '), keptSeconds(session, parts)).catch(() => {})
  if (session.providerSessionId !== undefined) await keepSid(parts, session, session.providerSessionId)
  // A logout token that came before is not repeated.
  if (!config.logout.backchannel || !store.hasEnded(session)) return
  for (const sessionId of [session.sessionId, ...ids]) await markEnded(parts, { ...session, sessionId })
}

/**
 * Remembers that the authorization server names this session by `sid`, which an ID token said after its sign-in.
 *
 * OpenID Connect Core §12.2 lets an ID token of a refresh have another `sid`. The cookies keep the first, by which streams
 * and copies of them are known as well; a logout token with either ends them all.
 */
export async function followSid(parts: RememberParts, session: SessionFacts, sid: string): Promise<void> {
  await keepSid(parts, session, sid)
  const named: SessionKey = { ...session, providerSessionId: sid }
  if (parts.store.hasEnded(named)) await endWithPredecessors(parts, session)
}

async function keepSid(parts: RememberParts, session: SessionFacts, sid: string): Promise<void> {
  if (!parts.config.logout.backchannel) return
  // What the store cannot take now comes again with the next refresh.
  await parts.store.put(sidKey(sid), session.sessionId, keptSeconds(session, parts)).catch(() => {})
}

/**
 * Our ids of sessions that a logout token with `sid` ends, although their cookies have another `sid` or none.
 *
 * Throws StoreUnavailable: then nobody may be told that they have ended.
 */
export async function sessionsOfSid({ store }: Pick<ReplacedSessionParts, 'store'>, sid: string): Promise<string[]> {
  const latest = await store.get(sidKey(sid))
  return latest === undefined ? [] : [latest, ...(await predecessorIds((key) => store.get(key), latest))]
}

/** A hash, since the store is told no names of the authorization server. */
function sidKey(sid: string): string {
  return `sid:${hash('sha256', sid, 'base64url')}`
}

/**
 * A sign-out must not take for ever. There are fewer step-ups under way (`login.max_attempts`), and what they began in
 * comes first; of all else that was replaced more often than this, nothing is under way any more.
 */
const maxPredecessors = 16

/** What this session has replaced; they end no later than it, since their time began earlier. */
async function predecessorsOf(
  { store }: Pick<ReplacedSessionParts, 'store'>,
  session: ReplacedSession,
): Promise<ReplacedSession[]> {
  const found = await predecessorIds(quietly(store), session.sessionId)
  return found.map((sessionId) => ({ ...session, sessionId }))
}

async function predecessorIds(get: Store['get'], sessionId: string): Promise<string[]> {
  return (await get(predecessorsKey(sessionId)))?.split(' ') ?? []
}

/** Finds nothing while the store is away. */
function quietly(store: Pick<Store, 'get'>): Store['get'] {
  return (key) => store.get(key).catch(() => undefined)
}

function predecessorsKey(sessionId: string): string {
  return `predecessors:${sessionId}`
}

/** Marks the session as ended on every replica until it would have ended anyway, and no step-up of it is under way. */
async function markEnded(parts: ReplacedSessionParts, session: ReplacedSession): Promise<void> {
  await parts.store.end({ kind: 'session', sessionId: session.sessionId, ttlSeconds: keptSeconds(session, parts) })
}

/** A step-up that began in the last second of its session may take its time, and must not undo a sign-out then either. */
function keptSeconds({ absoluteExpiresAt }: ReplacedSession, { config, clock }: ReplacedSessionParts): number {
  return Math.max(absoluteExpiresAt - clock.nowSeconds(), config.login.attemptSeconds)
}
