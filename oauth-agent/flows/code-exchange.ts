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
import type { Store } from '../../shared/store/store.ts'
import { checkAuthorizationResponse } from './authorization-response.ts'
import { checkGrantedDetails } from './granted-details.ts'
import { checkIdToken, type IdTokenClaims } from './id-token.ts'
import { type Parameters, resourceParameters } from './parameters.ts'
import { revokeUnused, unverifiedSubject } from './revocation.ts'
import { type ArrivedBy, readAuthorizationResponse } from './signed-response.ts'
import { visibleClaims } from './session-view.ts'

/** What the end of an attempt needs. */
export interface CodeExchangeParts {
  readonly config: Pick<Config, 'authorizationServer' | 'login' | 'session' | 'cookies' | 'logout'>
  readonly authorizationServer: AuthorizationServer
  readonly store: Pick<Store, 'hasEnded'>
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
  const { config, authorizationServer, clock } = parts
  checkAttempt(attempt, parts)
  const prover = proverOf(attempt, parts)
  const revokeRefused = (tokens: GivenTokens): void => {
    const subject = unverifiedSubject(tokens.idToken)
    revokeUnused(parts, tokens, { subject, present: presentSubjects(parts, attempt, arrived) })
  }
  try {
    const metadata = await authorizationServer.metadata()
    const { client } = authorizationServer
    const read = await readAuthorizationResponse(parts, arrived, attempt.responseMode)
    const response = checkAuthorizationResponse(read, attempt, { metadata, client, settings: config })
    checkSessionStays(parts, attempt, arrived)
    // While the keys cannot be had the code stays unused, so that the same response can be sent again.
    await authorizationServer.prepareKeys()
    const tokens = await requestTokens(
      authorizationServer,
      { settings: config.session, clock },
      (server, options) =>
        oauth.authorizationCodeGrantRequest(
          server,
          client,
          authorizationServer.authenticate,
          response,
          attempt.redirectUri,
          attempt.codeVerifier,
          { ...options, additionalParameters: resourceParameters(config.login) },
        ),
      { prover },
    )
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
  checkSessionStays(parts, attempt, arrived)
  checkGrantedDetails(tokens.authorizationDetails, parts.config.login.authorizationDetails)
  const session = newSession(parts, attempt, tokens, claims)
  // The authorization server may have ended it while its tokens were on their way: no page may take it for a session.
  if (parts.store.hasEnded(session.access)) throw sessionGone(attempt, 'ended')
  return session
}

/** Whose session may stay when this attempt fails. */
export function presentSubjects(
  { store }: Pick<CodeExchangeParts, 'store'>,
  attempt: LoginContent,
  { signedIn }: Pick<Arrived, 'signedIn'>,
): string[] {
  const { stepUpOf, replaces } = attempt
  return [remembered(attempt, stepUpOf), remembered(attempt, replaces), signedIn].flatMap((present) =>
    present === undefined || store.hasEnded(present) ? [] : [present.subject],
  )
}

/**
 * A session as the store knows it, of which the login cookie has the name: without its `sid`, and what ends sessions
 * without one ended others of the same user.
 */
function remembered({ startedAt }: LoginContent, session: LoginContent['stepUpOf']) {
  return session && { ...session, createdAt: startedAt, providerSessionId: '' }
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

/**
 * A step-up that began in one session does not bring back a user who has signed out since, and does not replace another
 * who has signed in. Another session of the same user is what another tab made of its own step-up.
 */
function checkSessionStays(
  { store }: Pick<CodeExchangeParts, 'store'>,
  attempt: LoginContent,
  { signedIn }: Arrived,
): void {
  const before = remembered(attempt, attempt.stepUpOf)
  if (before === undefined) return
  if (store.hasEnded(before)) throw sessionGone(attempt, 'ended')
  // After a navigation from another site, the attempt alone tells of who has signed in.
  const present = signedIn ?? remembered(attempt, attempt.replaces)
  if (present === undefined || present.subject === before.subject || store.hasEnded(present)) return
  throw sessionGone(attempt, 'session')
}

function sessionGone({ prompt }: LoginContent, check: 'ended' | 'session'): TokenHandlerError {
  return new TokenHandlerError(prompt === 'none' ? 'login_required' : 'login_restart_required', { detail: { check } })
}

/** Another user at the authorization server is no step-up of this one, and no silent renewal either. */
function checkSameUser({ stepUpOf, prompt }: LoginContent, { sub }: IdTokenClaims): void {
  if (stepUpOf === undefined || stepUpOf.subject === sub) return
  throw new TokenHandlerError(prompt === 'none' ? 'login_required' : 'step_up_not_reached', {
    detail: { check: 'sub' },
  })
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
  const amr = claims.amr === undefined ? undefined : { amr: claims.amr }
  const scope = tokens.scope ?? attempt.scope
  const bound = tokens.dpopKeyId === undefined ? undefined : { dpopKeyId: tokens.dpopKeyId }
  return {
    access: {
      ...facts,
      accessToken: tokens.accessToken,
      accessTokenExpiresAt: Math.min(tokens.expiresAt, absoluteExpiresAt),
      scope,
      ...bound,
    },
    ...(tokens.refreshToken === undefined
      ? undefined
      : { refresh: { ...facts, ...amr, refreshToken: tokens.refreshToken, scope, nonce: attempt.nonce, ...bound } }),
    identity: {
      ...facts,
      ...amr,
      claims: visibleClaims(claims, config.login.claims),
      ...(config.cookies.idTokenHint && tokens.idToken !== undefined ? { idToken: tokens.idToken } : undefined),
    },
  }
}
