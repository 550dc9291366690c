import type { LoginContent, SessionCookies } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentAnswer, AgentRequest, Endpoint, EndpointParts } from './endpoint.ts'
import { finishLogin } from '../flows/code-exchange.ts'
import { isStepUp, loginAttemptId } from '../flows/login-attempt.ts'
import type { Session } from '../flows/session-state.ts'
import { peekState } from '../flows/signed-response.ts'
import { signedInView } from '../flows/session-view.ts'

/** POST /login/end: the parameters with which the authorization server sent the browser back become a session. */
export function createLoginEnd(parts: EndpointParts): Endpoint {
  const { reader, writer, observe, config } = parts

  return async (request) => {
    const state = peekState(request.parameters)
    const id = loginAttemptId(state)
    const attempt = reader.login(request.cookies, id, request.requestId)
    if (attempt.kind === 'absent') return withoutAttempt(request, new TokenHandlerError('invalid_state'), [])
    if (attempt.kind === 'unreadable' || attempt.content.state !== state) {
      return withoutAttempt(request, new TokenHandlerError('login_restart_required'), writer.clearLogin(id))
    }
    try {
      const cookies = await finishLogin(parts, attempt.content, request.parameters)
      const setCookies = [...writer.setSession(cookies, request.cookies), ...writer.clearLogin(id)]
      return signedIn(request, attempt.content, cookies, setCookies)
    } catch (error) {
      return failed(request, asTokenHandlerError(error), id)
    }
  }

  function signedIn(
    { requestId }: AgentRequest,
    attempt: LoginContent,
    cookies: SessionCookies,
    setCookies: readonly string[],
  ): AgentAnswer {
    const session: Session = { facts: cookies.access, ...cookies }
    const { acr } = cookies.access
    observe.emit('login.completed', {
      request_id: requestId,
      ...parts.pseudonyms(cookies.access),
      step_up: isStepUp(attempt),
      acr,
    })
    return {
      body: { ...signedInView(session, parts), return_to: attempt.returnTo ?? config.login.defaultReturnTo },
      cookies: setCookies,
    }
  }

  /** A response that came twice, late or after the back button: who is signed in stays so, without another exchange (C22). */
  function withoutAttempt(request: AgentRequest, error: TokenHandlerError, cookies: readonly string[]): AgentAnswer {
    if (request.session.kind === 'open') return { body: signedInView(request.session.session, parts), cookies }
    tell(request, error)
    return { error, cookies }
  }

  function failed(request: AgentRequest, error: TokenHandlerError, id: string): AgentAnswer {
    tell(request, error)
    // State and verifier are used once; only where the code was not seen may the same response be sent again.
    const mayRepeat = error.code === 'authorization_server_unavailable' || error.code === 'overloaded'
    return { error, cookies: mayRepeat ? [] : writer.clearLogin(id) }
  }

  function tell({ requestId }: AgentRequest, error: TokenHandlerError): void {
    const { check, provider_error: providerError } = error.detail
    observe.emit('login.failed', {
      request_id: requestId,
      error_code: error.code,
      check: check === undefined ? undefined : String(check),
      provider_error: providerError === undefined ? undefined : String(providerError),
    })
  }
}
