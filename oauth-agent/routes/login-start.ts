import { createAttemptStart } from './attempt-start.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { pageArrival } from '../flows/login-attempt.ts'

/** POST /login/start: the URL to send the browser to, and the cookie of this attempt. */
export function createLoginStart(parts: EndpointParts): Endpoint {
  const start = createAttemptStart(parts)
  const arrival = pageArrival(parts.config)
  return async (request) => {
    const started = await start(request, arrival)
    if ('error' in started) return started
    return { body: { authorization_url: started.authorizationUrl }, cookies: started.cookies }
  }
}
