import * as oauth from 'oauth4webapi'
import { pageOriginOf } from '../../shared/config/page-origin.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { Metadata } from '../../shared/oauth/metadata.ts'

/** What a logout request is made of. */
export interface LogoutRequestParts {
  readonly config: Pick<Config, 'insecureAllowHttp' | 'logout' | 'pageOrigin' | 'publicOrigin'>
  readonly authorizationServer: Pick<AuthorizationServer, 'client'>
}

/** Where a browser signs out. */
export interface LogoutRequest {
  /** Where it goes next: the authorization server's sign-out, or our own page while that is not known. */
  readonly logoutUrl: string
  /** The same as a form to POST, where the URL had to leave out the hint that spares the user a question (LO-1). */
  readonly logoutForm?: { readonly action: string; readonly fields: Readonly<Record<string, string>> }
}

/** Longer URLs are cut by some servers; the hint then goes into a form only (LO-1). */
const maxUrlLength = 2000

/** Where the browser signs out at the authorization server (OpenID Connect RP-Initiated Logout §2). */
export function logoutRequest(
  metadata: Metadata | undefined,
  idToken: string | undefined,
  { config, authorizationServer }: LogoutRequestParts,
): LogoutRequest {
  const returnPage = `${pageOriginOf(config)}${config.logout.returnPath}`
  const endpoint: unknown = metadata?.end_session_endpoint
  // The page navigates there, so it must not be able to name a script, nor carry an ID token over plain HTTP.
  const schemes = config.insecureAllowHttp ? /^https?:/ : /^https:/
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint) || !schemes.test(endpoint)) {
    return { logoutUrl: returnPage }
  }
  const url = new URL(endpoint)
  const action = url.href
  url.searchParams.set('client_id', authorizationServer.client.client_id)
  url.searchParams.set('post_logout_redirect_uri', returnPage)
  // The page that started the sign-out knows this URL, and can tell its own return from a made-up one.
  url.searchParams.set('state', oauth.generateRandomState())
  const withoutHint = url.href
  if (idToken === undefined) return { logoutUrl: withoutHint }
  url.searchParams.set('id_token_hint', idToken)
  if (url.href.length <= maxUrlLength) return { logoutUrl: url.href }
  return { logoutUrl: withoutHint, logoutForm: { action, fields: Object.fromEntries(url.searchParams) } }
}
