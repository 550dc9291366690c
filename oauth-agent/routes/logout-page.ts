import { createSigningOut } from './signing-out.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { signedInFacts } from '../flows/session-state.ts'
import { confirmPage, signOutPage } from '../pages.ts'

/** Where the form of the sign-out page is sent, below the agent's path. */
export const signOutPath = '/logout/form'

/** GET /logout: a page with the button that signs out. */
export function createLogoutPage(parts: EndpointParts): Endpoint {
  const { config, csrfTokenOf } = parts
  return ({ session, fromOurPage }) => {
    // Coming from elsewhere the browser keeps the session's cookies back, and without them there is no token to give.
    if (config.csrf.token === 'required' && !fromOurPage) {
      return { page: confirmPage('Sign out', `${config.agent.path}/logout`) }
    }
    const signedIn = signedInFacts(session)
    const csrfToken = signedIn && csrfTokenOf(signedIn.sessionId)
    return { page: signOutPage(`${config.agent.path}${signOutPath}`, csrfToken) }
  }
}

/** POST /logout/form: signs out by a form, and sends the browser where it goes next (RFC 9700 §4.12: by 303). */
export function createLogoutForm(parts: EndpointParts): Endpoint {
  const signOut = createSigningOut(parts)
  return async (request) => {
    const { ended, cookies, headers } = await signOut(request)
    return { redirect: ended.logoutUrl, cookies, headers }
  }
}
