import type { CrossProblem } from './check.ts'
import type { Config } from './schema.ts'

/** Parameters that the agent decides itself; giving one of them away would take a check away. */
const ownParameters = new Set([
  'client_assertion',
  'client_assertion_type',
  'client_id',
  'client_secret',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'grant_type',
  'nonce',
  'redirect_uri',
  'refresh_token',
  'request',
  'request_uri',
  'response_mode',
  'response_type',
  'state',
])

/** Parameters that no page may choose, and what there is in their place: what is asked for is what answers are held against. */
const fixedBySettings: ReadonlyMap<string, string> = new Map([
  ['activity', 'Leave it out; a page may always send it.'],
  ['authorization_details', 'Write them as login.authorization_details.'],
  ['resource', 'Write it as login.resource.'],
  ['return_to', 'Leave it out; a page may always send it.'],
])

/** Settings of sign-in and sign-out that only make sense together. */
export function* loginChecks(config: Config): Iterable<CrossProblem> {
  const { login, session, client, agent, logout, cors, pageOrigin, publicOrigin } = config
  if (pageOrigin !== undefined && pageOrigin !== publicOrigin && !cors.origins.includes(pageOrigin)) {
    yield {
      path: 'page_origin',
      problem: 'may not call the agent, so nobody could finish a sign-in there',
      remedy: 'List it under cors.origins, too.',
      given: ['cors.origins'],
    }
  }
  if (!login.scope.split(' ').includes('openid')) {
    yield {
      path: 'login.scope',
      problem: 'lacks openid, without which there is no ID token to check the user by',
      remedy: `Write ${JSON.stringify(`openid ${login.scope}`)}.`,
    }
  }
  if (login.signedRequestObject && client.authentication !== 'private_key_jwt') {
    yield {
      path: 'login.signed_request_object',
      problem: 'needs a key to sign with',
      remedy: 'Use client.authentication: private_key_jwt.',
      given: ['client.authentication'],
    }
  }
  if (login.navigation.responseMode === 'form_post' && login.responseMode === 'jwt') {
    yield {
      path: 'login.navigation.response_mode',
      problem: 'form_post cannot be combined with login.response_mode: jwt',
      remedy: 'Choose one of them.',
      given: ['login.response_mode'],
    }
  }
  for (const name of Object.keys(login.extraParameters)) {
    if (!ownParameters.has(name)) continue
    yield {
      path: `login.extra_parameters.${name}`,
      problem: 'is a parameter that the agent sets itself',
      remedy: 'Remove it.',
    }
  }
  yield* choiceChecks('login.allowed_parameters', login.allowedParameters)
  yield* choiceChecks('session.allowed_refresh_parameters', session.allowedRefreshParameters)
  const { max_age: maxAge } = login.extraParameters
  if (maxAge !== undefined && !/^[0-9]{1,9}$/.test(maxAge)) {
    yield {
      path: 'login.extra_parameters.max_age',
      problem: 'is not a number of seconds',
      remedy: 'Write digits in quotes, such as "3600".',
    }
  }
  for (const [index, resource] of login.resource.entries()) {
    if (URL.canParse(resource) && new URL(resource).hash === '') continue
    yield {
      path: `login.resource[${index}]`,
      problem: 'is not an absolute URI without fragment (RFC 8707 §2)',
      remedy: 'Write the identifier of the API as the authorization server knows it.',
    }
  }
  const pages = { 'login.redirect_path': login.redirectPath, 'logout.return_path': logout.returnPath }
  for (const [path, page] of Object.entries(pages)) {
    if (page !== agent.path && !page.startsWith(`${agent.path}/`)) continue
    yield {
      path,
      problem: 'lies below agent.path, where there are no pages',
      remedy: 'Name a page of the SPA.',
      given: ['agent.path'],
    }
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
