import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { endByLogoutToken } from '../flows/backchannel-logout.ts'

/** POST /backchannel-logout: the authorization server reports that a user signed out elsewhere. */
export function createBackchannelLogoutEndpoint(parts: EndpointParts): Endpoint {
  const { observe, pseudonyms } = parts
  // "Yes" is said for all replicas, and a token that was not answered so may come again.
  const sharing = { ...parts, store: parts.sharedStore }
  return async ({ marks, parameters }) => {
    try {
      const { subject } = await endByLogoutToken(sharing, parameters.get('logout_token'))
      observe.emit('logout.backchannel', { ...marks, ...pseudonyms({ subject }), accepted: true })
      return { body: {} }
    } catch (thrown) {
      const error = asTokenHandlerError(thrown)
      const { code, detail } = error
      const check = detail.check ?? detail.provider_error ?? code
      observe.emit('logout.backchannel', { ...marks, accepted: false, check })
      return { error, cookies: [] }
    }
  }
}
