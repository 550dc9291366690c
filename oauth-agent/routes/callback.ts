import { pageOriginOf } from '../../shared/config/page-origin.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { createAttemptEnd } from './attempt-end.ts'
import type { AgentAnswer, Endpoint, EndpointParts } from './endpoint.ts'
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

/** GET /callback where responses come as a form: what comes this way, in a query or a fragment, is ignored. */
export function createStrayCallback(parts: EndpointParts): Endpoint {
  const away = leaveAddress(parts)
  return ({ requestId, parameters }) => {
    if (parameters.size !== 1 || !parameters.has('error')) return away
    const error = new TokenHandlerError('authorization_response_invalid', { detail: { check: 'response_mode' } })
    parts.observe.emit('login.failed', { request_id: requestId, error_code: error.code, ...error.detail })
    return { error, cookies: [] }
  }
}

/**
 * Leads away from an address that may hold a code in a mode that was not asked for, to a page that says so.
 *
 * Somebody else asked for it, for a sign-in of their own, and waits for the code of this user to be seen (C33). Browsers
 * keep a fragment unless the redirect names another (RFC 9110 §10.2.2). Nothing is started there: a server that never
 * answers in our mode would send the browser back here at once.
 */
function leaveAddress({ config }: EndpointParts): AgentAnswer {
  return { redirect: `${config.agent.path}/callback?error=response_mode#` }
}

function createCallback(parts: EndpointParts, arrivedBy: ArrivedBy): Endpoint {
  const { config } = parts
  const end = createAttemptEnd(parts)
  const away = leaveAddress(parts)

  return async (request) => {
    const outcome = await end(request, arrivedBy)
    if (outcome.kind === 'failed') return request.parameters.size === 0 ? away : outcome
    const { returnTo = config.login.defaultReturnTo, cookies } = outcome
    return { page: arrivalPage(`${pageOriginOf(config)}${returnTo}`), cookies }
  }
}
