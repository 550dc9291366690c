import type { CrossProblem } from './check.ts'
import type { Config } from '../schema.ts'
import { isBelow } from './places.ts'

/** The form of requests and responses, and the pages between which a sign-in and a sign-out go. */
export function* loginChecks(config: Config): Iterable<CrossProblem> {
  yield* requestChecks(config)
  yield* pageChecks(config)
}

function* requestChecks({ login, client }: Config): Iterable<CrossProblem> {
  if (!login.scope.split(' ').includes('openid')) {
    // A comma may be part of a token (RFC 6749 §3.3), but hardly of this one.
    const tokens = login.scope.split(/[ ,]+/).filter((token) => token !== '' && token !== 'openid')
    yield {
      path: 'login.scope',
      problem: 'lacks openid, without which there is no ID token that says who signed in',
      remedy: `Write ${JSON.stringify(['openid', ...tokens].join(' '))}.`,
    }
  }
  if (!login.claims.includes('sub')) {
    yield {
      path: 'login.claims',
      problem: 'lacks sub, by which the browser client tells users apart',
      remedy: 'List sub, too.',
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
}

function* pageChecks({ login, logout, agent, cors, pageOrigin, publicOrigin }: Config): Iterable<CrossProblem> {
  if (pageOrigin !== undefined && pageOrigin !== publicOrigin && !cors.origins.includes(pageOrigin)) {
    yield {
      path: 'page_origin',
      problem: 'may not call the agent, so nobody could finish a sign-in there',
      remedy: 'List it under cors.origins, too.',
      given: ['cors.origins', 'public_origin'],
    }
  }
  const pages = { 'login.redirect_path': login.redirectPath, 'logout.return_path': logout.returnPath }
  for (const [path, page] of Object.entries(pages)) {
    if (!isBelow(page, agent.path)) continue
    yield {
      path,
      problem: 'lies below agent.path, where there are no pages',
      remedy: 'Name a page of the SPA.',
      given: ['agent.path'],
    }
  }
}
