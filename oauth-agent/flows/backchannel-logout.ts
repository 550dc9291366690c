import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { providerFailure } from '../../shared/oauth/failure.ts'
import { type EndedEntry, ignoreUnavailable, type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { sessionsOfSid } from './replaced-session.ts'
import { checkLogoutToken, type LogoutToken, type LogoutTokenParts } from './logout-token.ts'

/** What ending sessions by a logout token needs. */
export interface BackchannelLogoutParts extends LogoutTokenParts {
  readonly config: Pick<Config, 'authorizationServer' | 'login' | 'logout' | 'session'>
  readonly store: Store
}

/**
 * Ends the sessions that a logout token names, on every replica (OpenID Connect Back-Channel Logout §2.7), and gives what
 * the token says.
 *
 * Only a list of ended sessions can keep that promise, since the cookies are in browsers that nobody can reach. So
 * "yes" is said when the shared list has the entry, never before. Throws `logout_not_supported`, `invalid_logout_token`,
 * `overloaded` while the shared list cannot be reached, and what providerFailure gives.
 */
export async function endByLogoutToken(parts: BackchannelLogoutParts, token: string | undefined): Promise<LogoutToken> {
  const { config, store } = parts
  if (!config.logout.backchannel) throw new TokenHandlerError('logout_not_supported')
  if (token === undefined) throw invalid('missing')
  const checked = await checkLogoutToken(parts, token).catch((error: unknown) => {
    throw providerFailure(error)
  })
  try {
    const used = `logout-token:${checked.id}`
    // Also while the store is away: here the sessions end at once, on the other replicas when it is back.
    if ((await store.get(used).catch(ignoreUnavailable)) !== undefined) throw invalid('jti')
    for (const entry of endedEntries(checked, config)) await store.end(entry)
    const { providerSessionId: sid } = checked
    const others = sid === undefined ? [] : await sessionsOfSid(parts, sid)
    const ttlSeconds = keptSeconds(config)
    for (const sessionId of others) await store.end({ kind: 'session', sessionId, ttlSeconds })
    // Last, so that a call that failed half-way may come again; ending the same session twice does no harm.
    await store.put(used, '1', checked.usableSeconds)
    return checked
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    throw new TokenHandlerError('overloaded', { fields: { retry_after: 5 }, detail: { check: 'store' }, cause: error })
  }
}

/** As long as a session could live, or a step-up of it be under way. */
function keptSeconds({ session, login }: Pick<Config, 'session' | 'login'>): number {
  return Math.max(session.absoluteSeconds, login.attemptSeconds)
}

function endedEntries(token: LogoutToken, config: Pick<Config, 'session' | 'login'>): EndedEntry[] {
  const ttlSeconds = keptSeconds(config)
  const { subject, providerSessionId, issuedAt: createdUntil } = token
  // Without a session id all sessions of the user end (§2.4), but none that began after this token was made.
  if (providerSessionId === undefined) return [{ kind: 'subject', subject, createdUntil, ttlSeconds }]
  const named: EndedEntry = { kind: 'provider-session', providerSessionId, ttlSeconds }
  // The server may mean a session whose ID token had no sid, which can only be ended by its subject.
  if (subject === undefined) return [named]
  return [named, { kind: 'subject-without-provider-session', subject, createdUntil, ttlSeconds }]
}

function invalid(check: string): TokenHandlerError {
  return new TokenHandlerError('invalid_logout_token', { detail: { check } })
}
