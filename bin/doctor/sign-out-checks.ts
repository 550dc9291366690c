import { logoutRequest } from '../../oauth-agent/flows/logout-request.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { visit } from '../../shared/oauth/probe.ts'
import { ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { type Finding, ok, skipped, warning } from './finding.ts'
import { whyUnavailable } from './why-unavailable.ts'

const check = 'client.post_logout_redirect_uri'

/**
 * Whether the authorization server takes our sign-outs; nobody is signed in where this one comes from.
 *
 * Not tried where sign-outs come with an ID token, because there is none to show.
 */
export async function* signOutChecks(config: Config, authorizationServer: AuthorizationServer): AsyncIterable<Finding> {
  const metadata = await authorizationServer.metadata()
  if (metadata.end_session_endpoint === undefined || config.cookies.idTokenHint) return
  const { logoutUrl } = logoutRequest(metadata, undefined, { config, authorizationServer })
  const page = new URL(logoutUrl).searchParams.get('post_logout_redirect_uri')
  // An endpoint that is no URL, or not https:, has its own finding.
  if (page === null) return
  try {
    const { status, location } = await visit(authorizationServer, logoutUrl)
    if (status < 400) yield ok(check, `sign-outs are taken${location.startsWith(page) ? ` and return to ${page}` : ''}`)
    else if (status === 400) {
      yield warning(
        check,
        `a sign-out that returns to ${page} is refused (400)`,
        'Register exactly this post-logout redirect URI; some servers demand cookies.id_token_hint instead.',
      )
    } else yield skipped(check, `the answer (${status}) does not tell whether ${page} is registered`)
  } catch (failure) {
    if (!(failure instanceof ProviderUnavailable)) throw failure
    yield skipped(check, `not tried (${whyUnavailable(failure, config)})`)
  }
}
