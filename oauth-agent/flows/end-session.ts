import type { Clock } from '../../shared/clock.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'
import { type LogoutRequest, logoutRequest, type LogoutRequestParts } from './logout-request.ts'
import { endWithFollowers, type ReplacedSessionParts } from './replaced-session.ts'
import { type Revocation, revokeTokens } from './revocation.ts'
import type { Session } from './session-state.ts'

/** What ending a session needs. */
export interface EndSessionParts extends LogoutRequestParts, ReplacedSessionParts {
  readonly config: LogoutRequestParts['config'] & ReplacedSessionParts['config']
  readonly authorizationServer: AuthorizationServer
}

/** How a session was ended, and where the browser goes next. */
export interface EndedSession extends LogoutRequest {
  /** Not so where the authorization server took too long. */
  readonly revocation: Revocation
}

/**
 * Ends a session everywhere it can be ended; always comes to an end itself, within `logout.revocation_timeout_ms`.
 *
 * It is marked as ended for every replica before the tokens are revoked, so that a refresh in flight loses. Whatever fails
 * here, the user is signed out.
 */
export async function endSession(parts: EndSessionParts, session: Session | undefined): Promise<EndedSession> {
  const { config, authorizationServer, clock } = parts
  if (session !== undefined) await endWithFollowers(parts, session.facts)
  const timeoutMs = config.logout.revocationTimeoutMs
  // Also there when the time is up, or a revocation that takes too long would cost the sign-out at the server.
  let metadata: Metadata | undefined
  const tellServer = async (): Promise<Revocation> => {
    metadata = await authorizationServer.metadata()
    if (session === undefined) return { revoked: false }
    const { refreshToken } = session.refresh ?? {}
    const { accessToken } = session.access ?? {}
    return revokeTokens(parts, { refreshToken, accessToken })
  }
  const revocation = (await within(clock, timeoutMs, tellServer())) ?? { revoked: false }
  return { ...logoutRequest(metadata, session?.identity?.idToken, parts), revocation }
}

/** The value, or undefined when it fails or takes longer than `ms`. */
function within<T>(clock: Clock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(undefined))
    void promise.then(resolve, () => resolve(undefined)).finally(cancel)
  })
}
