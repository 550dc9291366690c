import { createAttemptStart } from './attempt-start.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { pageArrival } from '../flows/login-attempt.ts'

/** POST /login/start: the URL to send the browser to, and the cookie of this attempt. */
export function createLoginStart(parts: EndpointParts): Endpoint {
  const start = createAttemptStart(parts)
  const arrival = pageArrival(parts.config)
  return async (request) => {
    const { authorizationUrl, cookies } = await start(request, arrival)
    return { body: { authorization_url: authorizationUrl }, cookies }
  }
}
