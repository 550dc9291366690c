import type { Endpoint, EndpointParts } from './endpoint.ts'
import { requireSession } from '../flows/session-state.ts'
import { loadUserinfo } from '../flows/userinfo.ts'

/** GET /userinfo: the visible claims of the userinfo endpoint. */
export function createUserinfoEndpoint(parts: EndpointParts): Endpoint {
  return async ({ session }) => ({ body: await loadUserinfo(parts, requireSession(session)) })
}
