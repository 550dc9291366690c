import type { SessionCookies } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentRequest, Endpoint, EndpointParts } from './endpoint.ts'
import { checkParameterNames, checkParameterValue, notAllowed, type Parameters } from '../flows/parameters.ts'
import { EndedMeanwhile, type Refreshed, type RefreshWish, RefusedBefore } from '../flows/refresh.ts'
import { requireSession, type Session } from '../flows/session-state.ts'
import { refreshView } from '../flows/session-view.ts'

interface FittingCookies {
  readonly cookies: SessionCookies
  /** Set-Cookie values. */
  readonly setCookies: readonly string[]
}

/**
 * POST /refresh: new tokens in new cookies; `activity=background` leaves the idle limit where it is, and parameters that
 * the settings list go to the authorization server.
 */
export function createRefreshEndpoint(parts: EndpointParts): Endpoint {
  const { config, refresh, writer, observe } = parts
  /** Errors of which an event told that the session is over: all who present one token at a time get the same. */
  const told = new WeakSet<TokenHandlerError>()
  const allowed = new Set(['activity', ...config.session.allowedRefreshParameters])

  return async (request) => {
    checkParameterNames(request.parameters, allowed)
    const wish = {
      activity: parseActivity(request.parameters),
      additionalParameters: parseAdditionalParameters(request.parameters),
    }
    const session = requireSession(request.session)
    try {
      const refreshed = await refresh(session, wish)
      const { cookies, setCookies } = fitting(refreshed.cookies, request)
      reportSuccess(request, refreshed, wish)
      return { body: refreshView({ facts: cookies.access, ...cookies }, parts), cookies: setCookies }
    } catch (thrown) {
      const error = asTokenHandlerError(thrown)
      reportFailure(request, session, error)
      // Whoever has signed in meanwhile owns the browser's cookies by now: clearing them would sign them out.
      const isOver = error.row.endsSession && !(error instanceof EndedMeanwhile)
      return { error, cookies: isOver ? writer.clearSession(request.cookies) : [] }
    }
  }

  /**
   * The new cookies; if all would not fit, without what the SPA can do without.
   *
   * The refresh token was used up to get these tokens, so a session that does not fit is a session that is lost: the
   * claims that grew and the hint for sign-out go before it does. Throws `token_too_large` when that is not enough.
   */
  function fitting(cookies: SessionCookies, request: AgentRequest): FittingCookies {
    try {
      return { cookies, setCookies: writer.setSession(cookies, request.cookies) }
    } catch (error) {
      if (!(error instanceof TokenHandlerError && error.code === 'token_too_large')) throw error
      const { idToken: _left, ...identity } = cookies.identity
      const bare = { ...cookies, identity: { ...identity, claims: { sub: identity.subject } } }
      return { cookies: bare, setCookies: writer.setSession(bare, request.cookies) }
    }
  }

  function reportSuccess({ marks }: AgentRequest, refreshed: Refreshed, { activity }: RefreshWish): void {
    const who = { ...marks, ...parts.pseudonyms(refreshed.cookies.access) }
    const { generation } = refreshed.cookies.access
    const { rotated, joined, idTokenRejected } = refreshed
    observe.emit('session.refreshed', { ...who, generation, rotated, joined, activity })
    if (idTokenRejected !== undefined) observe.emit('id_token.rejected', { ...who, check: idTokenRejected })
  }

  function reportFailure({ marks }: AgentRequest, session: Session, error: TokenHandlerError): void {
    const who = { ...marks, ...parts.pseudonyms(session.facts) }
    const { code, detail, row } = error
    observe.emit('session.refresh_failed', { ...who, error_code: code, ...detail, ends_session: row.endsSession })
    // Who ended it meanwhile has told already.
    const wasEnded = detail.check === 'ended' || detail.check === 'replaced'
    const wasTold = wasEnded || error instanceof RefusedBefore || told.has(error)
    if (!row.endsSession || wasTold) return
    told.add(error)
    observe.emit('session.ended', { ...who, cause: detail.check ?? code })
  }
}

function parseActivity(parameters: Parameters): boolean {
  const activity = parameters.get('activity') ?? 'user'
  if (activity !== 'user' && activity !== 'background') throw notAllowed('activity')
  return activity === 'user'
}

function parseAdditionalParameters(parameters: Parameters): Parameters {
  const additionalParameters = new Map(parameters)
  additionalParameters.delete('activity')
  for (const [name, value] of additionalParameters) checkParameterValue(name, value)
  return additionalParameters
}
