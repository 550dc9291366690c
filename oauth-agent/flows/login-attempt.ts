import { hash } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import type { Clock } from '../../shared/clock.ts'
import { pageOriginOf } from '../../shared/config/page-origin.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { LoginContent, ReplacedSession, SessionFacts } from '../../shared/cookies/session.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import {
  authorizationParameters,
  type AuthorizationWish,
  demandedAcr,
  parseAuthorizationWish,
} from './authorization-request.ts'
import type { Parameters } from './parameters.ts'
import { deliverRequest } from './request-delivery.ts'
import { parseReturnTo } from './return-path.ts'

/** What the start of an attempt needs. */
export interface LoginAttemptParts {
  readonly config: Pick<Config, 'login' | 'pageOrigin' | 'publicOrigin' | 'authorizationServer'>
  readonly authorizationServer: AuthorizationServer
  readonly clock: Clock
}

/** Where the authorization server sends the browser back to, and how. */
export interface Arrival {
  readonly by: 'page' | 'navigation'
  readonly redirectUri: string
  readonly responseMode: 'query' | 'jwt' | 'form_post'
}

/** The arrival at the page of the SPA; from the settings alone, no header of a request can move it (RFC 9700 §4.1.3). */
export function pageArrival(config: Pick<Config, 'login' | 'pageOrigin' | 'publicOrigin'>): Arrival {
  return {
    by: 'page',
    redirectUri: `${pageOriginOf(config)}${config.login.redirectPath}`,
    responseMode: config.login.responseMode,
  }
}

type NavigationSettings = Pick<Config, 'login' | 'agent' | 'publicOrigin'>

/** The arrival at our own callback, for apps that sign in by plain navigation. */
export function navigationArrival({ login, agent, publicOrigin }: NavigationSettings): Arrival {
  return {
    by: 'navigation',
    redirectUri: `${publicOrigin}${agent.path}/callback`,
    responseMode: login.navigation.responseMode === 'form_post' ? 'form_post' : login.responseMode,
  }
}

/** One attempt to sign in, as it starts. */
export interface LoginAttempt {
  /** Names the attempt's cookie. */
  readonly id: string
  readonly content: LoginContent
  readonly authorizationUrl: string
}

/**
 * Starts one attempt: fresh state, nonce and code verifier, kept only in the browser's sealed login cookie, and the URL
 * of the authorization request that they belong to. For somebody signed in who needs a stronger or fresher
 * authentication it is a step-up: the same user has to come back, and the present session stays until then. The
 * same holds for a silent sign-in, which nobody sees and which must not replace this user with another.
 *
 * Throws `parameter_not_allowed`, `return_to_not_allowed`, and what deliverRequest throws.
 */
export async function startLogin(
  parts: LoginAttemptParts,
  parameters: Parameters,
  { signedIn, arrival }: { signedIn: SessionFacts | undefined; arrival: Arrival },
): Promise<LoginAttempt> {
  const { config, authorizationServer, clock } = parts
  const { wish, returnTo, sameUser } = parseWish(parameters, config)
  const acrValues = demandedAcr(wish)
  const prover = authorizationServer.dpop?.current()
  const content: LoginContent = {
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    codeVerifier: oauth.generateRandomCodeVerifier(),
    issuer: config.authorizationServer.issuer,
    redirectUri: arrival.redirectUri,
    startedAt: clock.nowSeconds(),
    scope: wish.scope,
    ...(returnTo === undefined ? undefined : { returnTo }),
    ...(acrValues === undefined ? undefined : { acrValues }),
    ...(wish.maxAge === undefined ? undefined : { maxAge: wish.maxAge }),
    ...(wish.prompt === undefined ? undefined : { prompt: wish.prompt }),
    ...(arrival.responseMode === 'query' ? undefined : { responseMode: arrival.responseMode }),
    ...(signedIn !== undefined && sameUser
      ? { stepUpOf: { sessionId: signedIn.sessionId, subject: signedIn.subject } }
      : undefined),
    // Of no use where the same user has to come back, or where the page that brings the response brings the session, too.
    ...(signedIn !== undefined && !sameUser && arrival.by === 'navigation'
      ? { replaces: replaced(signedIn) }
      : undefined),
    ...(prover === undefined ? undefined : { dpopKeyId: prover.keyId }),
  }
  const challenge = await oauth.calculatePKCECodeChallenge(content.codeVerifier)
  const request = authorizationParameters(wish, content, challenge, {
    clientId: authorizationServer.client.client_id,
    settings: config,
    dpopJkt: prover?.thumbprint,
  })
  return {
    id: loginAttemptId(content.state),
    content,
    authorizationUrl: await deliverRequest(parts, request),
  }
}

/**
 * The attempt with the session that has begun in its browser meanwhile, which the navigation at its end will not bring;
 * undefined for an attempt whose response is brought by a page, together with the session.
 */
export function afterSignIn(
  attempt: LoginContent,
  session: SessionFacts,
  config: NavigationSettings,
): LoginContent | undefined {
  if (attempt.redirectUri !== navigationArrival(config).redirectUri) return undefined
  return { ...attempt, replaces: replaced(session) }
}

function replaced({ sessionId, subject, absoluteExpiresAt }: SessionFacts): ReplacedSession {
  return { sessionId, subject, absoluteExpiresAt }
}

/** What a sign-in is asked for, and where it ends; throws `parameter_not_allowed` or `return_to_not_allowed`. */
export function parseWish(
  parameters: Parameters,
  config: Pick<Config, 'login' | 'pageOrigin' | 'publicOrigin'>,
): { readonly wish: AuthorizationWish; readonly returnTo?: string; readonly sameUser: boolean } {
  const asked = new Map(parameters)
  asked.delete('return_to')
  const wish = parseAuthorizationWish(asked, config)
  const returnTo = parameters.get('return_to')
  // A level or age that the settings demand of every sign-in does not make it a step-up.
  const asksForLevel = asked.has('acr_values') || (asked.has('claims') && wish.essentialAcr !== undefined)
  const sameUser = asksForLevel || asked.has('max_age') || wish.prompt === 'none'
  return {
    wish,
    sameUser,
    ...(returnTo === undefined ? undefined : { returnTo: parseReturnTo(returnTo, pageOriginOf(config)) }),
  }
}

/** Whether a signed-in user was asked for more than the present session has. */
export function isStepUp({ stepUpOf, acrValues, maxAge }: LoginContent): boolean {
  return stepUpOf !== undefined && (acrValues !== undefined || maxAge !== undefined)
}

/**
 * The id of the attempt that a `state` belongs to, 22 characters.
 *
 * A hash, so that the cookie's name does not reveal the state, and one attempt never gets another's cookie (C06).
 */
export function loginAttemptId(state: string): string {
  return hash('sha256', state, 'buffer').subarray(0, 16).toString('base64url')
}
