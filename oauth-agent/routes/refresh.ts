import { type TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentRequest, Endpoint, EndpointParts } from './endpoint.ts'
import { checkParameterNames, notAllowed, type Parameters } from '../flows/parameters.ts'
import type { Refreshed } from '../flows/refresh.ts'
import { requireSession, type Session } from '../flows/session-state.ts'
import { refreshView } from '../flows/session-view.ts'

const allowedParameters: ReadonlySet<string> = new Set(['activity'])

/** POST /refresh: new tokens in new cookies; `activity=background` leaves the idle limit where it is. */
export function createRefreshEndpoint(parts: EndpointParts): Endpoint {
  const { refresh, writer, observe } = parts

  return async (request) => {
    const activity = parseActivity(request.parameters)
    const session = requireSession(request.session)
    try {
      const refreshed = await refresh(session, { activity })
      const { cookies } = refreshed
      const setCookies = writer.setSession(cookies, request.cookies)
      tellSuccess(request, refreshed, activity)
      return { body: refreshView({ facts: cookies.access, ...cookies }, parts), cookies: setCookies }
    } catch (error) {
      tellFailure(request, session, asTokenHandlerError(error))
      throw error
    }
  }

  function tellSuccess({ requestId }: AgentRequest, refreshed: Refreshed, activity: boolean): void {
    const who = { request_id: requestId, ...parts.pseudonyms(refreshed.cookies.access) }
    const { generation } = refreshed.cookies.access
    const { rotated, joined, idTokenRejected } = refreshed
    observe.emit('session.refreshed', { ...who, generation, rotated, joined, activity })
    if (idTokenRejected !== undefined) observe.emit('id_token.rejected', { ...who, check: idTokenRejected })
  }

  function tellFailure({ requestId }: AgentRequest, session: Session, error: TokenHandlerError): void {
    const who = { request_id: requestId, ...parts.pseudonyms(session.facts) }
    const { check, provider_error: providerError } = error.detail
    observe.emit('session.refresh_failed', {
      ...who,
      error_code: error.code,
      check: check === undefined ? undefined : String(check),
      provider_error: providerError === undefined ? undefined : String(providerError),
      ends_session: error.row.endsSession,
    })
    if (error.row.endsSession) observe.emit('session.ended', { ...who, cause: String(check ?? error.code) })
  }
}

function parseActivity(parameters: Parameters): boolean {
  checkParameterNames(parameters, allowedParameters)
  const activity = parameters.get('activity') ?? 'user'
  if (activity !== 'user' && activity !== 'background') throw notAllowed('activity')
  return activity === 'user'
}
