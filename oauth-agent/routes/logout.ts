import type { Endpoint, EndpointParts } from './endpoint.ts'
import { endSession } from '../flows/end-session.ts'

/** POST /logout: cookies cleared and tokens revoked in any state of the cookies; never an error, so nobody is stuck. */
export function createLogout(parts: EndpointParts): Endpoint {
  const { writer, observe, config } = parts
  return async ({ requestId, cookies, session: state }) => {
    const session = state.kind === 'none' ? undefined : state.session
    const { logoutUrl, revoked } = await endSession(parts, session)
    if (session !== undefined) {
      const who = { request_id: requestId, ...parts.pseudonyms(session.facts) }
      observe.emit('logout.completed', { ...who, revoked })
      observe.emit('session.ended', { ...who, cause: 'logout' })
    }
    return {
      body: { logout_url: logoutUrl },
      cookies: writer.clearSession(cookies),
      ...(config.logout.clearSiteData ? { headers: { 'clear-site-data': '"cache", "storage"' } } : undefined),
    }
  }
}
