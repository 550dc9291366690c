import { createAttemptEnd } from './attempt-end.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { signedInView } from '../flows/session-view.ts'

/** POST /login/end: the parameters with which the authorization server sent the browser back become a session. */
export function createLoginEnd(parts: EndpointParts): Endpoint {
  const end = createAttemptEnd(parts)
  return async (request) => {
    const outcome = await end(request, 'page')
    if (outcome.kind === 'failed') return outcome
    const { session, returnTo, cookies } = outcome
    const view = signedInView(session, parts)
    return { body: returnTo === undefined ? view : { ...view, return_to: returnTo }, cookies }
  }
}
