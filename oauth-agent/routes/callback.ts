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
  return ({ marks, parameters }) => {
    if (parameters.size !== 1 || !parameters.has('error')) return away
    const error = new TokenHandlerError('authorization_response_invalid', { detail: { check: 'response_mode' } })
    parts.observe.emit('login.failed', { ...marks, error_code: error.code, ...error.detail })
    return { error, cookies: [] }
  }
}

/**
 * Redirects to a page of ours that reports a wrong response mode, because the present address may hold a code.
 *
 * An attacker can send a user to the authorization server with another response mode, so that the user's code stays in
 * the address, and then wait for something to reveal it (C33). The redirect has an empty fragment, because otherwise
 * browsers keep the old one (RFC 9110 §10.2.2). The page does not start a sign-in by itself: a server that always answers
 * in the wrong mode would send the browser back here without end.
 */
function leaveAddress({ config }: EndpointParts): AgentAnswer {
  return { redirect: `${config.agent.path}/callback?error=response_mode#` }
}

function createCallback(parts: EndpointParts, arrivedBy: ArrivedBy): Endpoint {
  const { config } = parts
  const end = createAttemptEnd(parts)
  const away = leaveAddress(parts)

  return async (request) => {
    if (request.parameters.size === 0) return away
    const outcome = await end(request, arrivedBy)
    if (outcome.kind === 'failed') return outcome
    const { returnTo = config.login.defaultReturnTo, cookies } = outcome
    return { page: arrivalPage(`${pageOriginOf(config)}${returnTo}`), cookies }
  }
}
