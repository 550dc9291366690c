import type { Endpoint, EndpointParts } from './endpoint.ts'
import { signedInView } from '../flows/session-view.ts'

/** GET /session: who is signed in; nobody being signed in is an answer, not a failure. */
export function createSessionEndpoint(parts: EndpointParts): Endpoint {
  return ({ session, cookies }) => {
    if (session.kind === 'open') return { body: signedInView(session.session, parts) }
    // What says "signed out" also clears what was left, or the proxy would still take it (C20).
    return {
      body: { is_logged_in: false },
      cookies: session.kind === 'over' ? parts.writer.clearSession(cookies) : [],
    }
  }
}
