import type { Endpoint, EndpointParts } from './endpoint.ts'
import { createSigningOut } from './signing-out.ts'

/** POST /logout: signs out, and tells the page where to go next. */
export function createLogoutEndpoint(parts: EndpointParts): Endpoint {
  const signOut = createSigningOut(parts)
  return async (request) => {
    const { ended, cookies, headers } = await signOut(request)
    const { logoutUrl, logoutForm } = ended
    return {
      body: { logout_url: logoutUrl, ...(logoutForm === undefined ? undefined : { logout_form: logoutForm }) },
      cookies,
      headers,
    }
  }
}
