import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentRequest, EndpointParts } from './endpoint.ts'
import { type Arrival, isStepUp, startLogin } from '../flows/login-attempt.ts'

/** An attempt that was started; `cookies` are Set-Cookie values. */
export interface StartedAttempt {
  readonly authorizationUrl: string
  readonly cookies: readonly string[]
}

/** Creates the start of an attempt, which is the same for the page of a SPA and for plain navigation. */
export function createAttemptStart(
  parts: EndpointParts,
): (request: AgentRequest, arrival: Arrival) => Promise<StartedAttempt> {
  const { writer, observe } = parts

  return async ({ marks, parameters, cookies, session }, arrival) => {
    const signedIn = session.kind === 'open' ? session.session.facts : undefined
    try {
      const { id, content, authorizationUrl } = await startLogin(parts, parameters, { signedIn, arrival })
      const setCookies = writer.setLogin(id, content, cookies)
      observe.emit('login.started', {
        ...marks,
        step_up: isStepUp(content),
        prompt: content.prompt?.replaceAll(' ', '.'),
      })
      return { authorizationUrl, cookies: setCookies }
    } catch (error) {
      const { code, detail } = asTokenHandlerError(error)
      observe.emit('login.failed', { ...marks, error_code: code, ...detail })
      throw error
    }
  }
}
