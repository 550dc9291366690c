import type { JWTPayload, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import type { Clock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { jwtCheck } from '../../shared/oauth/failure.ts'
import { ProviderAnswerInvalid, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'

/** What the checks of every JWT of the authorization server need. */
export interface ProviderJwtParts {
  readonly config: Pick<Config, 'authorizationServer'>
  readonly authorizationServer: Pick<AuthorizationServer, 'client' | 'verifyJwt'>
  readonly clock: Clock
}

/**
 * Checks what every JWT made for us must fulfil: a signature by an accepted algorithm, issuer, audience and times.
 *
 * `demands` are those of its kind. Throws what `rejected` makes of the check that failed, and ProviderUnavailable or
 * ProviderAnswerInvalid when the keys cannot be had: that says nothing about the JWT.
 */
export async function verifyProviderJwt(
  { config, authorizationServer, clock }: ProviderJwtParts,
  jwt: string,
  demands: Pick<JWTVerifyOptions, 'requiredClaims' | 'typ'>,
  rejected: (check: string, cause: unknown) => Error,
): Promise<JWTVerifyResult> {
  const settings = config.authorizationServer
  try {
    return await authorizationServer.verifyJwt(jwt, {
      ...demands,
      issuer: settings.issuer,
      audience: authorizationServer.client.client_id,
      algorithms: settings.idTokenAlgorithms,
      clockTolerance: settings.clockToleranceSeconds,
      currentDate: new Date(clock.nowMs()),
    })
  } catch (error) {
    if (error instanceof ProviderUnavailable || error instanceof ProviderAnswerInvalid) throw error
    throw rejected(jwtCheck(error), error)
  }
}

/** True when a JWT is also meant for somebody who is not trusted (OpenID Connect Core §3.1.3.7 step 3). */
export function hasForeignAudience({ aud }: JWTPayload, { config, authorizationServer }: ProviderJwtParts): boolean {
  const trusted = [authorizationServer.client.client_id, ...config.authorizationServer.trustedAudiences]
  const audiences = typeof aud === 'string' ? [aud] : (aud ?? [])
  return !audiences.every((audience) => trusted.includes(audience))
}
