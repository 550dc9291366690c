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
  const { navigation } = config.login
  yield await signInCheck(config, server, clock, pageArrival(config), !navigation.enabled)
  if (navigation.enabled) yield await signInCheck(config, server, clock, navigationArrival(config), true)
}

async function signInCheck(
  config: Config,
  server: AuthorizationServer,
  clock: Clock,
  arrival: Arrival,
  isNeeded: boolean,
): Promise<Finding> {
  const { redirectUri } = arrival
  const wrong = isNeeded ? error : warning
  const only = isNeeded ? '' : ' Apps without the browser client do without it.'
  const parts = { config: silently(config), authorizationServer: server, clock }
  let answer: Awaited<ReturnType<typeof visit>>
  try {
    const { authorizationUrl } = await startLogin(parts, new Map([['prompt', 'none']]), {
      signedIn: undefined,
      arrival,
    })
    answer = await visit(server, authorizationUrl)
  } catch (failure) {
    if (failure instanceof ProviderUnavailable) return skipped(check, `not tried (${whyUnavailable(failure, config)})`)
    const { code, detail } = asTokenHandlerError(failure)
    const why = String(detail.provider_error ?? detail.check ?? code)
    return wrong(
      check,
      `a sign-in that returns to ${redirectUri} cannot be started (${why})`,
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
  const arrived = { parameters: new Map(new URL(location).searchParams), arrivedBy: 'query' } as const
  let response: Awaited<ReturnType<typeof readAuthorizationResponse>>
  let isIssuerPromised: boolean
  try {
    response = await readAuthorizationResponse(parts, arrived, arrival.responseMode)
    isIssuerPromised = await promisesIssuer(config, server)
  } catch (failure) {
    if (failure instanceof ProviderUnavailable) return skipped(check, `not tried (${whyUnavailable(failure, config)})`)
    const { code, detail } = asTokenHandlerError(failure)
    return wrong(
      check,
      `sign-ins return to ${redirectUri}, but with a response that fails its checks (${detail.check ?? code})`,
      'Compare login.response_mode and authorization_server.id_token_algorithms with the registration.',
    )
  }
  const [returned, iss] = [response.get('error'), response.get('iss')]
  if (iss !== undefined && iss !== config.authorizationServer.issuer) {
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

/** Whether a response without `iss` is refused, as the agent does (RFC 9207 §2.4). */
async function promisesIssuer({ authorizationServer }: Config, server: AuthorizationServer): Promise<boolean> {
  const { authorization_response_iss_parameter_supported: promised } = await server.metadata()
  return promised === true || authorizationServer.requireIssuerInResponse === 'always'
}

/** The settings, but for what would let somebody be asked something. */
function silently(config: Config): Config {
  const { prompt: _prompt, ...extraParameters } = config.login.extraParameters
  return { ...config, login: { ...config.login, extraParameters, allowedParameters: ['prompt'] } }
}
