import { pageOriginOf } from '../../shared/config/page-origin.ts'
import { createAttemptEnd } from './attempt-end.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import type { ArrivedBy } from '../flows/signed-response.ts'
import { arrivalPage } from '../pages.ts'

/** GET /callback: where the authorization server sends the browser back to, for apps without the browser client. */
export function createQueryCallback(parts: EndpointParts): Endpoint {
  return createCallback(parts, 'query')
}

/** POST /callback: the same, where the response comes as a form (OAuth 2.0 Form Post Response Mode §2). */
export function createFormCallback(parts: EndpointParts): Endpoint {
  return createCallback(parts, 'form_post')
}

function createCallback(parts: EndpointParts, arrivedBy: ArrivedBy): Endpoint {
  const { config } = parts
  const end = createAttemptEnd(parts)

  return async (request) => {
    const outcome = await end(request, arrivedBy)
    if (outcome.kind === 'failed') return outcome
    const { returnTo = config.login.defaultReturnTo, cookies } = outcome
    return { page: arrivalPage(`${pageOriginOf(config)}${returnTo}`), cookies }
  }
}
