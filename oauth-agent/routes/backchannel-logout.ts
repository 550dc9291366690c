import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { endByLogoutToken } from '../flows/backchannel-logout.ts'

/** POST /backchannel-logout: the authorization server reports that a user signed out elsewhere. */
export function createBackchannelLogoutEndpoint(parts: EndpointParts): Endpoint {
  const { observe } = parts
  return async ({ marks, parameters }) => {
    try {
      await endByLogoutToken(parts, parameters.get('logout_token'))
    } catch (thrown) {
      const error = asTokenHandlerError(thrown)
      const { code, detail } = error
      const check = detail.check ?? detail.provider_error ?? code
      observe.emit('logout.backchannel', { ...marks, accepted: false, check })
      return { error, cookies: [] }
    }
    observe.emit('logout.backchannel', { ...marks, accepted: true })
    return { body: {} }
  }
}
