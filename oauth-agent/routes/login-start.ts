import type { Endpoint, EndpointParts } from './endpoint.ts'
import { isStepUp, startLogin } from '../flows/login-attempt.ts'

/** POST /login/start: the URL to send the browser to, and the cookie of this attempt. */
export function createLoginStart(parts: EndpointParts): Endpoint {
  const { writer, observe } = parts
  return async ({ requestId, parameters, cookies, session }) => {
    const signedIn = session.kind === 'open' ? session.session.facts : undefined
    const { id, content, authorizationUrl } = await startLogin(parts, parameters, { signedIn })
    observe.emit('login.started', {
      request_id: requestId,
      step_up: isStepUp(content),
      prompt: content.prompt?.replaceAll(' ', '.'),
    })
    return { body: { authorization_url: authorizationUrl }, cookies: writer.setLogin(id, content, cookies) }
  }
}
