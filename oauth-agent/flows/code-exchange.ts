import * as oauth from 'oauth4webapi'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { randomId, type RandomBytes } from '../../shared/crypto/random.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { LoginContent, SessionCookies, SessionFacts } from '../../shared/cookies/session.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { providerFailure } from '../../shared/oauth/failure.ts'
import { ProviderAnswerInvalid, ProviderRefused } from '../../shared/oauth/provider-error.ts'
import type { DpopProver } from '../../shared/oauth/dpop.ts'
import { type GivenTokens, requestTokens, type TokenAnswer, TokensNotBound } from '../../shared/oauth/token-endpoint.ts'
import { checkAuthorizationResponse } from './authorization-response.ts'
import { cookiesOf } from './generation.ts'
import { checkGrantedDetails } from './granted-details.ts'
import { checkIdToken, type IdTokenClaims } from './id-token.ts'
import { type Parameters, resourceParameters } from './parameters.ts'
import { revokeUnused, unverifiedSubject } from './revocation.ts'
import { type ArrivedBy, readAuthorizationResponse } from './signed-response.ts'
import { visibleClaims } from './session-view.ts'
import {
  checkSameUser,
  checkSessionStays,
  presentSubjects,
  sessionGone,
  type StayingSessionParts,
} from './staying-session.ts'

/** What the end of an attempt needs. */
export interface CodeExchangeParts extends StayingSessionParts {
  readonly config: Pick<Config, 'authorizationServer' | 'login' | 'session' | 'cookies' | 'logout'>
  readonly authorizationServer: AuthorizationServer
  readonly clock: Clock
  readonly random: RandomBytes
}

/** An authorization response and the way it came. */
export interface Arrived {
  readonly parameters: Parameters
  readonly arrivedBy: ArrivedBy
  /**
   * The session of the browser that brought the response; also absent after a navigation from another site, for which
   * browsers do not send SameSite=Strict cookies (CK-9).
   */
  readonly signedIn?: SessionFacts | undefined
}

/**
 * Finishes an attempt: checks the response, exchanges the code, checks the ID token, and only then makes a session.
 *
 * Throws the errors of `readAuthorizationResponse`, `checkAuthorizationResponse` and `checkIdToken`;
 * `login_restart_required` when attempt or code are too old or already used, when the session of a step-up has gone, or
 * when the new one was ended before it began; and what providerFailure gives.
 */
export async function finishLogin(
  parts: CodeExchangeParts,
  attempt: LoginContent,
  arrived: Arrived,
): Promise<SessionCookies> {
  checkAttempt(attempt, parts)
  const revokeRefused = (tokens: GivenTokens): void => {
    const subject = unverifiedSubject(tokens.idToken)
    revokeUnused(parts, tokens, { subject, present: presentSubjects(parts, attempt, arrived.signedIn) })
  }
  try {
    const tokens = await exchangeCode(parts, attempt, arrived)
    return await acceptTokens(parts, attempt, tokens, arrived).catch((error: unknown) => {
      revokeRefused(tokens)
      throw error
    })
  } catch (error) {
    if (error instanceof TokensNotBound) revokeRefused(error.tokens)
    if (error instanceof ProviderRefused && error.error === 'invalid_grant') {
      throw new TokenHandlerError('login_restart_required', { detail: { check: 'code' }, cause: error })
    }
    throw providerFailure(error)
  }
}

/** Uses the code, once all that can be checked before is checked. */
async function exchangeCode(parts: CodeExchangeParts, attempt: LoginContent, arrived: Arrived): Promise<TokenAnswer> {
  const { config, authorizationServer, clock } = parts
  const { client, authenticate } = authorizationServer
  const prover = proverOf(attempt, parts)
  const response = await checkResponse(parts, attempt, arrived)
  return requestTokens(
    authorizationServer,
    { settings: config.session, clock },
    (server, options) =>
      oauth.authorizationCodeGrantRequest(
        server,
        client,
        authenticate,
        response,
        attempt.redirectUri,
        attempt.codeVerifier,
        { ...options, additionalParameters: resourceParameters(config.login) },
      ),
    { prover },
  )
}

/**
 * All that can be checked before the code is used, so that what goes wrong here costs nobody the code: while metadata or
 * keys cannot be had or read, the same response can be sent again.
 */
async function checkResponse(
  parts: CodeExchangeParts,
  attempt: LoginContent,
  arrived: Arrived,
): Promise<URLSearchParams> {
  const { config, authorizationServer } = parts
  const { client } = authorizationServer
  try {
    const metadata = await authorizationServer.metadata()
    const read = await readAuthorizationResponse(parts, arrived, attempt.responseMode)
    const response = checkAuthorizationResponse(read, attempt, { metadata, client, settings: config })
    checkSessionStays(parts, attempt, arrived.signedIn)
    await authorizationServer.prepareKeys()
    return response
  } catch (error) {
    if (!(error instanceof ProviderAnswerInvalid)) throw error
    const context = { fields: { retry_after: 5 }, detail: { check: error.check }, cause: error }
    throw new TokenHandlerError('authorization_server_unavailable', context)
  }
}

async function acceptTokens(
  parts: CodeExchangeParts,
  attempt: LoginContent,
  tokens: TokenAnswer,
  arrived: Arrived,
): Promise<SessionCookies> {
  if (tokens.idToken === undefined) throw new ProviderAnswerInvalid('token', 'id_token_missing')
  const claims = await checkIdToken(parts, tokens.idToken, {
    nonce: attempt.nonce,
    accessToken: tokens.accessToken,
    acrValues: attempt.acrValues,
    maxAge: attempt.maxAge,
  })
  checkSameUser(attempt, claims)
  checkSessionStays(parts, attempt, arrived.signedIn)
  checkGrantedDetails(tokens.authorizationDetails, parts.config.login.authorizationDetails)
  const session = newSession(parts, attempt, tokens, claims)
  // The authorization server may have ended it while its tokens were on their way: no page may take it for a session.
  if (parts.store.hasEnded(session.access)) throw sessionGone(attempt, 'ended')
  return session
}

/** Checks the limits of the attempt itself, because nothing forces a browser to drop the cookie in time. */
function checkAttempt(attempt: LoginContent, { config, clock }: CodeExchangeParts): void {
  const age = clock.nowSeconds() - attempt.startedAt
  // The replica that began it may have a clock that is a little ahead, and a silent sign-in takes less than a second.
  if (age < -config.authorizationServer.clockToleranceSeconds || age > config.login.attemptSeconds) {
    throw new TokenHandlerError('login_restart_required', { detail: { check: 'attempt_age' } })
  }
  if (attempt.issuer !== config.authorizationServer.issuer) {
    throw new TokenHandlerError('login_restart_required', { detail: { check: 'attempt_issuer' } })
  }
}

/**
 * The prover of the key that the authorization request named, whatever key is in force by now: the server takes the code
 * with no other (RFC 9449 §10).
 */
function proverOf({ dpopKeyId }: LoginContent, { authorizationServer }: CodeExchangeParts): DpopProver | undefined {
  const { dpop } = authorizationServer
  if (dpopKeyId === undefined) return dpop?.current()
  const prover = dpop?.find(dpopKeyId)
  if (prover === undefined) throw new TokenHandlerError('login_restart_required', { detail: { check: 'dpop_key' } })
  return prover
}

function newSession(
  { config, clock, random }: CodeExchangeParts,
  attempt: LoginContent,
  tokens: TokenAnswer,
  claims: IdTokenClaims,
): SessionCookies {
  const now = clock.nowSeconds()
  const absoluteExpiresAt = now + config.session.absoluteSeconds
  const facts: SessionFacts = {
    // New at every sign-in, so that nothing planted before it survives (session fixation; CK-17).
    sessionId: randomId(random),
    generation: 1,
    subject: claims.sub,
    // No later than the ID token, by the clock of its server: a logout token is compared with it, and may have been made
    // while its clock is behind ours, or while the code was exchanged.
    createdAt: Math.min(now, Math.floor(claims.iat)),
    absoluteExpiresAt,
    idleExpiresAt: Math.min(now + config.session.idleSeconds, absoluteExpiresAt),
    ...(claims.auth_time === undefined ? undefined : { authTime: claims.auth_time }),
    ...(claims.acr === undefined ? undefined : { acr: claims.acr }),
    ...(claims.sid === undefined ? undefined : { providerSessionId: claims.sid }),
  }
  const scope = tokens.scope ?? attempt.scope
  const { refreshToken } = tokens
  return cookiesOf({
    facts,
    tokens,
    scope,
    refresh: refreshToken === undefined ? undefined : { refreshToken, scope, nonce: attempt.nonce },
    amr: claims.amr,
    claims: visibleClaims(claims, config.login.claims),
    idToken: config.cookies.idTokenHint ? tokens.idToken : undefined,
  })
}
