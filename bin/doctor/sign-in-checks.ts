import { type Arrival, navigationArrival, pageArrival, startLogin } from '../../oauth-agent/flows/login-attempt.ts'
import { readAuthorizationResponse } from '../../oauth-agent/flows/signed-response.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { visit } from '../../shared/oauth/probe.ts'
import { ProviderUnavailable, providerErrorWord } from '../../shared/oauth/provider-error.ts'
import { error, type Finding, ok, skipped, warning } from './finding.ts'
import { whyUnavailable } from './why-unavailable.ts'

const check = 'client.redirect_uri'

/** Answers to a silent sign-in of nobody that find no fault with the request (OpenID Connect Core §3.1.2.6). */
const expected: ReadonlySet<string> = new Set([
  'login_required',
  'interaction_required',
  'consent_required',
  'account_selection_required',
])

/**
 * Whether the authorization server takes our sign-ins and sends them back here.
 *
 * A silent sign-in without any cookies has to come back at once with an error; to an address that is not registered it
 * must not come back (RFC 6749 §4.1.2.1).
 */
export async function* signInChecks(config: Config, server: AuthorizationServer, clock: Clock): AsyncIterable<Finding> {
  const parts = { config: silently(config), authorizationServer: server, clock }
  const hasNavigation = config.login.navigation.enabled
  yield await signInCheck(parts, { arrival: pageArrival(config), isNeeded: !hasNavigation })
  if (hasNavigation) yield await signInCheck(parts, { arrival: navigationArrival(config), isNeeded: true })
}

interface SignInParts {
  readonly config: Config
  readonly authorizationServer: AuthorizationServer
  readonly clock: Clock
}

/** Where a sign-in may return to, and whether no user can sign in without it. */
interface WayBack {
  readonly arrival: Arrival
  readonly isNeeded: boolean
}

async function signInCheck(parts: SignInParts, way: WayBack): Promise<Finding> {
  const { arrival, isNeeded } = way
  const { redirectUri } = arrival
  const wrong = isNeeded ? error : warning
  const only = isNeeded ? '' : ' Apps without the browser client do without it.'
  let answer: Awaited<ReturnType<typeof visit>>
  try {
    const silent = new Map([['prompt', 'none']])
    const { authorizationUrl } = await startLogin(parts, silent, { signedIn: undefined, arrival })
    answer = await visit(parts.authorizationServer, authorizationUrl)
  } catch (failure) {
    if (failure instanceof ProviderUnavailable) return notTried(failure, parts)
    return wrong(
      check,
      `a sign-in that returns to ${redirectUri} cannot be started (${reasonOf(failure)})`,
      `Compare this address and the login section with the registration.${only}`,
    )
  }
  const { status, location } = answer
  if (status === 400) {
    return wrong(
      check,
      `a sign-in that returns to ${redirectUri} is refused (400)`,
      `Register exactly this redirect URI for the client.${only}`,
    )
  }
  if (!location.startsWith(`${redirectUri}?`)) {
    return skipped(check, `the answer (${status}) does not tell whether ${redirectUri} is registered`)
  }
  return responseCheck(parts, way, new Map(new URL(location).searchParams))
}

async function responseCheck(
  parts: SignInParts,
  { arrival, isNeeded }: WayBack,
  parameters: ReadonlyMap<string, string>,
): Promise<Finding> {
  const { redirectUri } = arrival
  const { issuer } = parts.config.authorizationServer
  const wrong = isNeeded ? error : warning
  let response: Awaited<ReturnType<typeof readAuthorizationResponse>>
  let isIssuerPromised: boolean
  try {
    response = await readAuthorizationResponse(parts, { parameters, arrivedBy: 'query' }, arrival.responseMode)
    isIssuerPromised = await promisesIssuer(parts)
  } catch (failure) {
    if (failure instanceof ProviderUnavailable) return notTried(failure, parts)
    return wrong(
      check,
      `sign-ins return to ${redirectUri}, but with a response that fails its checks (${reasonOf(failure)})`,
      'Compare login.response_mode and authorization_server.id_token_algorithms with the registration.',
    )
  }
  const [returned, iss] = [response.get('error'), response.get('iss')]
  if (iss !== undefined && iss !== issuer) {
    return wrong(
      check,
      `sign-ins return to ${redirectUri}, but as those of another issuer (iss, RFC 9207), so each is refused`,
      'Look at what the authorization server takes its own address from, such as the header of a gateway before it.',
    )
  }
  if (iss === undefined && isIssuerPromised) {
    return warning(
      check,
      `sign-ins return to ${redirectUri}, but a refused one without the iss that was promised (RFC 9207)`,
      'Pages see authorization_response_invalid instead of its reason, such as login_required: do without silent sign-ins.',
    )
  }
  if (returned === undefined || expected.has(returned)) return ok(check, `sign-ins return to ${redirectUri}`)
  return wrong(
    check,
    `sign-ins return to ${redirectUri}, but with the error ${providerErrorWord(returned)}`,
    'Compare the login section with what the client may ask for.',
  )
}

function notTried(failure: ProviderUnavailable, { config }: SignInParts): Finding {
  return skipped(check, `not tried (${whyUnavailable(failure, config)})`)
}

/** What the authorization server said, or the check that failed, or else the code of our own error. */
function reasonOf(failure: unknown): string {
  const { code, detail } = asTokenHandlerError(failure)
  return detail.provider_error ?? detail.check ?? code
}

/** Whether a response without `iss` is refused, as the agent does (RFC 9207 §2.4). */
async function promisesIssuer({ config, authorizationServer }: SignInParts): Promise<boolean> {
  const { authorization_response_iss_parameter_supported: promised } = await authorizationServer.metadata()
  return promised === true || config.authorizationServer.requireIssuerInResponse === 'always'
}

/** The settings, but for what would let somebody be asked something. */
function silently(config: Config): Config {
  const { prompt: _prompt, ...extraParameters } = config.login.extraParameters
  return { ...config, login: { ...config.login, extraParameters, allowedParameters: ['prompt'] } }
}
