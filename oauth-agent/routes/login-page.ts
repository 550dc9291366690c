import { createAttemptStart } from './attempt-start.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { parseWish, navigationArrival } from '../flows/login-attempt.ts'
import { confirmPage } from '../pages.ts'

/** GET /login: sends the browser to the authorization server, for apps without the browser client. */
export function createLoginPage(parts: EndpointParts): Endpoint {
  const { config } = parts
  const start = createAttemptStart(parts)
  const arrival = navigationArrival(config)

  return async (request) => {
    if (!request.fromOurPage) {
      // What is shown as a link is checked like what is started.
      parseWish(request.parameters, config)
      const query = new URLSearchParams([...request.parameters]).toString()
      return { page: confirmPage('Sign in', `${config.agent.path}/login${query === '' ? '' : `?${query}`}`) }
    }
    const started = await start(request, arrival)
    if (!('error' in started)) return { redirect: started.authorizationUrl, cookies: started.cookies }
    // Where the request was at fault, the page repeats none of it.
    const returnTo = started.error.row.status < 500 ? undefined : request.parameters.get('return_to')
    return { ...started, returnTo }
  }
}
