import type { AgentRequest, EndpointParts } from './endpoint.ts'
import { type EndedSession, endSession } from '../flows/end-session.ts'
import { namedSession } from '../flows/session-state.ts'

/** What a sign-out leaves to be answered; `cookies` are Set-Cookie values. */
export interface SignedOut {
  readonly ended: EndedSession
  readonly cookies: readonly string[]
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Creates the sign-out, which is the same for the page of a SPA and for a plain form.
 *
 * Cookies are cleared and tokens revoked in any state of the cookies; never an error, so nobody is stuck.
 */
export function createSigningOut(parts: EndpointParts): (request: AgentRequest) => Promise<SignedOut> {
  const { writer, observe, config } = parts
  return async ({ marks, cookies, session: state }) => {
    const session = namedSession(state)
    const ended = await endSession(parts, session)
    if (session !== undefined) {
      const who = { ...marks, ...parts.pseudonyms(session.facts) }
      observe.emit('logout.completed', { ...who, ...ended.revocation })
      observe.emit('session.ended', { ...who, cause: 'logout' })
    }
    return {
      ended,
      cookies: writer.clearSession(cookies),
      headers: config.logout.clearSiteData ? { 'clear-site-data': '"cache", "storage"' } : {},
    }
  }
}
