import type { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentRequest, EndpointParts } from './endpoint.ts'
import { type Arrival, isStepUp, startLogin } from '../flows/login-attempt.ts'
import { signedInFacts } from '../flows/session-state.ts'

/** An attempt that was started, or why it was not, which has been reported; `cookies` are Set-Cookie values. */
export type AttemptStart =
  | { readonly authorizationUrl: string; readonly cookies: readonly string[] }
  | { readonly error: TokenHandlerError; readonly cookies: readonly [] }

/** Creates the start of an attempt, which is the same for the page of a SPA and for plain navigation. */
export function createAttemptStart(
  parts: EndpointParts,
): (request: AgentRequest, arrival: Arrival) => Promise<AttemptStart> {
  const { writer, observe } = parts

  return async ({ marks, parameters, cookies, session }, arrival) => {
    try {
      const signedIn = signedInFacts(session)
      const { id, content, authorizationUrl } = await startLogin(parts, parameters, { signedIn, arrival })
      const setCookies = writer.setLogin(id, content, cookies)
      observe.emit('login.started', {
        ...marks,
        step_up: isStepUp(content),
        prompt: content.prompt?.replaceAll(' ', '.'),
      })
      return { authorizationUrl, cookies: setCookies }
    } catch (thrown) {
      const error = asTokenHandlerError(thrown)
      observe.emit('login.failed', { ...marks, error_code: error.code, ...error.detail })
      return { error, cookies: [] }
    }
  }
}
