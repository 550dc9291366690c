import * as oauth from 'oauth4webapi'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { RefreshContent, SessionCookies } from '../../shared/cookies/session.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import type { DpopProver } from '../../shared/oauth/dpop.ts'
import { continuationFailure } from '../../shared/oauth/failure.ts'
import { ProviderAnswerInvalid, ProviderRefused, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { requestTokens, type TokenAnswer, TokensNotBound } from '../../shared/oauth/token-endpoint.ts'
import { cookiesOf, nextFacts } from './generation.ts'
import { checkRenewedDetails } from './granted-details.ts'
import { checkRefreshedIdToken, type IdTokenClaims } from './id-token.ts'
import { type Parameters, resourceParameters } from './parameters.ts'
import { revokeTokens, unverifiedSubject } from './revocation.ts'
import type { Session } from './session-state.ts'
import { visibleClaims } from './session-view.ts'

/** What one call with a refresh token needs. */
export interface RefreshAtServerParts {
  readonly config: Pick<Config, 'authorizationServer' | 'login' | 'session' | 'cookies' | 'logout'>
  readonly authorizationServer: AuthorizationServer
  readonly clock: Clock
}

/** A refresh token on its way to the authorization server. */
export interface Presented {
  readonly session: Session
  readonly refresh: RefreshContent
  /** Parameters of the page that the settings allow. */
  readonly additionalParameters: Parameters
}

/** The next generation of a session. */
export interface Renewed {
  readonly cookies: SessionCookies
  /** True when the authorization server gave another refresh token. */
  readonly rotated: boolean
  /** The check that the new ID token failed; the claims then stay as they were. */
  readonly idTokenRejected?: string
  /** The `sid` of the new ID token, where it is not that of the sign-in. */
  readonly otherSid?: string
}

/** `refused` says that this refresh token is of no use any more; everything unclear is thrown. */
export type RefreshOutcome =
  | { readonly kind: 'renewed'; readonly renewed: Renewed }
  | { readonly kind: 'refused'; readonly cause: ProviderRefused }

/**
 * Presents the refresh token once and makes the next generation of the session.
 *
 * Throws `session_expired` when the answer is about another user, and what continuationFailure gives.
 */
export async function refreshAtServer(parts: RefreshAtServerParts, presented: Presented): Promise<RefreshOutcome> {
  const { authorizationServer, config, clock } = parts
  const { refresh, additionalParameters } = presented
  const parameters = new URLSearchParams([...resourceParameters(config.login), ...additionalParameters])
  const prover = proverOf(refresh, authorizationServer)
  try {
    const tokens = await requestTokens(
      authorizationServer,
      { settings: config.session, clock },
      (server, options) =>
        oauth.refreshTokenGrantRequest(
          server,
          authorizationServer.client,
          authorizationServer.authenticate,
          refresh.refreshToken,
          { ...options, additionalParameters: parameters },
        ),
      { prover },
    )
    checkRenewedDetails(tokens.authorizationDetails, config.login.authorizationDetails)
    const idToken = await readIdToken(parts, tokens, refresh)
    return { kind: 'renewed', renewed: nextGeneration(parts, presented, tokens, idToken) }
  } catch (error) {
    // Only the token that anybody could use: the session goes on with the refresh token it has, if the server lets it.
    if (error instanceof TokensNotBound) void revokeTokens(parts, { accessToken: error.tokens.accessToken })
    if (error instanceof ProviderRefused && endsSession(error, config, additionalParameters)) {
      return { kind: 'refused', cause: error }
    }
    throw continuationFailure(error)
  }
}

/**
 * The prover of the session's key, because some servers bind refresh tokens as well; once the ring has lost it that of
 * the key in force, since the refresh tokens of a confidential client need not be bound (RFC 9449 §5; RT-7).
 */
function proverOf({ dpopKeyId }: RefreshContent, { dpop }: AuthorizationServer): DpopProver | undefined {
  return (dpopKeyId === undefined ? undefined : dpop?.find(dpopKeyId)) ?? dpop?.current()
}

/**
 * True when this refusal of a refresh, which carried these additional parameters, says that the token is of no use any more
 * (RFC 6749 §5.2).
 */
export function endsSession(
  { error, status }: ProviderRefused,
  { session }: Pick<Config, 'session'>,
  additionalParameters?: Parameters,
): boolean {
  if (error === 'invalid_grant') return true
  if (!session.endOnInvalidRequest || (error !== 'invalid_request' && error !== 'no_error_code')) return false
  // Only with the status of §5.2: Keycloak says invalid_request with 403 where a gateway lost the TLS, and that passes. And
  // where the page asked for nothing: its parameter may be what is invalid.
  return status === 400 && (additionalParameters?.size ?? 0) === 0
}

/** What came of a new ID token: its claims, or the check that it failed; neither if there was none. */
interface IdTokenReading {
  readonly claims?: IdTokenClaims
  readonly rejected?: string
}

/**
 * The claims of the new ID token, if there is one and it passes.
 *
 * The old refresh token may be used up by now, so a failing check must not cost the session: the claims stay as they
 * were and the failure is reported. Another subject is the exception (OpenID Connect Core §12.2): it is recognised even
 * where the signature cannot be verified, since the answer came from the token endpoint over TLS.
 */
async function readIdToken(
  parts: RefreshAtServerParts,
  tokens: TokenAnswer,
  refresh: RefreshContent,
): Promise<IdTokenReading> {
  if (tokens.idToken === undefined) return {}
  const subject = unverifiedSubject(tokens.idToken)
  if (subject !== undefined && subject !== refresh.subject) {
    const { refreshToken = refresh.refreshToken, accessToken } = tokens
    await revokeTokens(parts, { refreshToken, accessToken })
    throw new TokenHandlerError('session_expired', { detail: { check: 'sub' } })
  }
  try {
    const claims = await checkRefreshedIdToken(parts, tokens.idToken, {
      subject: refresh.subject,
      nonce: refresh.nonce,
      accessToken: tokens.accessToken,
      authTime: refresh.authTime,
    })
    return { claims }
  } catch (error) {
    if (error instanceof TokenHandlerError) return { rejected: error.detail.check ?? 'unknown' }
    if (error instanceof ProviderUnavailable || error instanceof ProviderAnswerInvalid) return { rejected: 'key_set' }
    throw error
  }
}

function nextGeneration(
  { config }: RefreshAtServerParts,
  { session, refresh, additionalParameters }: Presented,
  tokens: TokenAnswer,
  idToken: IdTokenReading,
): Renewed {
  const facts = nextFacts(session.facts)
  const narrowed = additionalParameters.get('scope')
  const scope = tokens.scope ?? narrowed ?? refresh.scope
  const newIdToken = idToken.claims === undefined ? undefined : tokens.idToken
  const cookies = cookiesOf({
    facts,
    tokens,
    scope,
    refresh: {
      // RFC 6749 §6: a new one replaces the old, without one the old stays.
      refreshToken: tokens.refreshToken ?? refresh.refreshToken,
      // Asking for less once does not narrow what the refresh token is good for.
      scope: narrowed === undefined ? scope : refresh.scope,
      nonce: refresh.nonce,
    },
    amr: refresh.amr,
    claims:
      idToken.claims === undefined
        ? (session.identity?.claims ?? { sub: facts.subject })
        : visibleClaims(idToken.claims, config.login.claims),
    idToken: config.cookies.idTokenHint ? (newIdToken ?? session.identity?.idToken) : undefined,
  })
  const sid = idToken.claims?.sid
  return {
    cookies,
    ...(sid === undefined || sid === facts.providerSessionId ? undefined : { otherSid: sid }),
    rotated: tokens.refreshToken !== undefined && tokens.refreshToken !== refresh.refreshToken,
    ...(idToken.rejected === undefined ? undefined : { idTokenRejected: idToken.rejected }),
  }
}
