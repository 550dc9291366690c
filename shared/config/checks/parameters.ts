import type { CrossProblem } from './check.ts'
import { isMaxAge, isParameterValue, maxClaimsLength, parseClaimsRequest, parseWords } from '../parameter-values.ts'
import type { Config } from '../schema.ts'

/**
 * Parameters that the agent decides itself; giving one of them away would take a check away. Those of a JWT are among
 * them: with `sub` a signed request, which the browser sees, would pass for our client assertion (RFC 9101 §10.8).
 */
const ownParameters = new Set([
  'aud',
  'client_assertion',
  'client_assertion_type',
  'client_id',
  'client_secret',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'dpop_jkt',
  'exp',
  'grant_type',
  'iat',
  'iss',
  'jti',
  'nbf',
  'nonce',
  'redirect_uri',
  'refresh_token',
  'request',
  'request_uri',
  'response_mode',
  'response_type',
  'state',
  'sub',
])

/** Parameters with settings of their own, which take more than the authorization request into account. */
const ownSettings: ReadonlyMap<string, string> = new Map([
  ['authorization_details', 'login.authorization_details'],
  ['resource', 'login.resource'],
  ['scope', 'login.scope'],
])

/** Parameters that no page may choose, because answers are compared with the settings, and what to do instead. */
const fixedBySettings: ReadonlyMap<string, string> = new Map([
  ['activity', 'Leave it out; a page may always send it.'],
  ['authorization_details', 'Write them as login.authorization_details.'],
  ['resource', 'Write it as login.resource.'],
  ['return_to', 'Leave it out; a page may always send it.'],
])

/** The parameters of requests to the authorization server: which the settings may fix, and which a page may choose. */
export function* parameterChecks(config: Config): Iterable<CrossProblem> {
  const { login, session } = config
  yield* fixedNameChecks(login.extraParameters)
  yield* fixedValueChecks(login.extraParameters)
  yield* resourceChecks(config)
  yield* choiceChecks('login.allowed_parameters', login.allowedParameters)
  yield* choiceChecks('session.allowed_refresh_parameters', session.allowedRefreshParameters)
}

type ExtraParameters = Config['login']['extraParameters']

function* fixedNameChecks(extraParameters: ExtraParameters): Iterable<CrossProblem> {
  for (const name of Object.keys(extraParameters)) {
    const setting = ownSettings.get(name)
    const path = `login.extra_parameters.${name}`
    if (setting !== undefined) yield { path, problem: 'has a setting of its own', remedy: `Write it as ${setting}.` }
    if (!ownParameters.has(name)) continue
    yield { path, problem: 'is a parameter that the agent sets itself', remedy: 'Remove it.' }
  }
}

/** Those that the agent reads itself, since it checks on return what they demand. */
function* fixedValueChecks({
  acr_values: acrValues,
  max_age: maxAge,
  claims,
}: ExtraParameters): Iterable<CrossProblem> {
  if (acrValues !== undefined && !(isParameterValue(acrValues) && parseWords(acrValues) !== undefined)) {
    yield {
      path: 'login.extra_parameters.acr_values',
      problem: 'is not a list of authentication context classes with single spaces between them',
      remedy: 'Write one or several that the authorization server knows, such as "urn:example:mfa".',
    }
  }
  if (claims !== undefined && parseClaimsRequest(claims) === undefined) {
    yield {
      path: 'login.extra_parameters.claims',
      problem: `is not a JSON object on one line of at most ${maxClaimsLength} characters, whose essential acr, if any, lists its values`,
      remedy: `Write a claims request in quotes, such as '{"id_token":{"acr":{"essential":true,"values":["high"]}}}'.`,
    }
  }
  if (maxAge !== undefined && !isMaxAge(maxAge)) {
    yield {
      path: 'login.extra_parameters.max_age',
      problem: 'is not a number of seconds',
      remedy: 'Write digits in quotes, such as "3600".',
    }
  }
}

function* resourceChecks(config: Pick<Config, 'login' | 'proxy'>): Iterable<CrossProblem> {
  for (const [path, resource] of resourcesOf(config)) {
    if (URL.canParse(resource) && !resource.includes('#')) continue
    yield {
      path,
      problem: 'is not an absolute URI without fragment (RFC 8707 §2)',
      remedy: 'Write the identifier of the API as the authorization server knows it.',
    }
  }
}

/** Every resource indicator of the settings, after its path. */
function* resourcesOf({ login, proxy }: Pick<Config, 'login' | 'proxy'>): Iterable<[path: string, resource: string]> {
  for (const [index, resource] of login.resource.entries()) yield [`login.resource[${index}]`, resource]
  for (const [index, { credential, anonymousToken }] of proxy.routes.entries()) {
    const own = 'resource' in credential ? credential.resource : undefined
    if (own !== undefined) yield [`proxy.routes[${index}].credential.resource`, own]
    const { resource } = anonymousToken
    if (resource !== undefined) yield [`proxy.routes[${index}].anonymous_token.resource`, resource]
  }
}

/** What a page may choose of a request to the authorization server. */
function* choiceChecks(path: string, names: readonly string[]): Iterable<CrossProblem> {
  for (const [index, name] of names.entries()) {
    const instead = fixedBySettings.get(name)
    if (!ownParameters.has(name) && instead === undefined) continue
    yield {
      path: `${path}[${index}]`,
      problem: `${name} does not belong here`,
      remedy: instead ?? 'Remove it; the agent sets it itself.',
    }
  }
}
