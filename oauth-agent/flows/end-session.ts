import * as oauth from 'oauth4webapi'
import type { Clock } from '../../shared/clock.ts'
import { pageOriginOf } from '../../shared/config/page-origin.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { ReplacedSession, SessionFacts } from '../../shared/cookies/session.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { revokeTokens } from './revocation.ts'
import type { Session } from './session-state.ts'

/** What ending a session needs. */
export interface EndSessionParts {
  readonly config: Pick<Config, 'insecureAllowHttp' | 'logout' | 'pageOrigin' | 'publicOrigin'>
  readonly authorizationServer: AuthorizationServer
  readonly store: Store
  readonly clock: Clock
}

/** How a session was ended. */
export interface EndedSession {
  /** Where the browser goes next: the authorization server's sign-out, or our own page while that is not known. */
  readonly logoutUrl: string
  /** The same as a form to POST, where the URL had to leave out the hint that spares the user a question (LO-1). */
  readonly logoutForm?: { readonly action: string; readonly fields: Readonly<Record<string, string>> }
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
  return { ...logoutAtServer(metadata, session, parts), revoked: revoked ?? false }
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

/** Longer URLs are cut by some servers; the hint then goes into a form only (LO-1). */
const maxUrlLength = 2000

/** Where the browser signs out at the authorization server (OpenID Connect RP-Initiated Logout §2). */
export function logoutAtServer(
  metadata: Metadata | undefined,
  session: Session | undefined,
  parts: Pick<EndSessionParts, 'config' | 'authorizationServer'>,
): Pick<EndedSession, 'logoutUrl' | 'logoutForm'> {
  const endpoint = metadata?.end_session_endpoint ?? ''
  // The page navigates there, so it must not be able to name a script, nor carry an ID token over plain HTTP.
  const isUsable = URL.canParse(endpoint) && (parts.config.insecureAllowHttp ? /^https?:/ : /^https:/).test(endpoint)
  const url = isUsable ? new URL(endpoint) : undefined
  if (url === undefined) return { logoutUrl: returnPage(parts.config) }
  const action = url.href
  url.searchParams.set('client_id', parts.authorizationServer.client.client_id)
  url.searchParams.set('post_logout_redirect_uri', returnPage(parts.config))
  // The page that started the sign-out knows this URL, and can tell its own return from a made-up one.
  url.searchParams.set('state', oauth.generateRandomState())
  const withoutHint = url.href
  const idToken = session?.identity?.idToken
  if (idToken === undefined) return { logoutUrl: withoutHint }
  const fields = { ...Object.fromEntries(new URL(withoutHint).searchParams), id_token_hint: idToken }
  url.searchParams.set('id_token_hint', idToken)
  if (url.href.length <= maxUrlLength) return { logoutUrl: url.href }
  return { logoutUrl: withoutHint, logoutForm: { action, fields } }
}

function returnPage(config: Pick<Config, 'logout' | 'pageOrigin' | 'publicOrigin'>): string {
  return `${pageOriginOf(config)}${config.logout.returnPath}`
}

/** The value, or undefined when it fails or takes longer than `ms`. */
function within<T>(clock: Clock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(undefined))
    promise
      .then(resolve, () => resolve(undefined))
      .finally(cancel)
      .catch(() => {})
  })
}
