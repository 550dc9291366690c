import type { Config } from '../../shared/config/schema.ts'
import { failureCode } from '../../shared/failure-code.ts'
import type { ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { TunnelFailure } from '../../shared/oauth/tunnel.ts'

/**
 * Why the authorization server gave no answer; with the code where there is one, since certificates fail as connections
 * do, and with the HTTP proxy where that is what failed.
 */
export function whyUnavailable({ reason, cause }: ProviderUnavailable, { authorizationServer }: Config): string {
  if (!(cause instanceof TunnelFailure)) return [reason, failureCode(cause) ?? []].flat().join(', ')
  const why = [reason, cause.status ?? failureCode(cause) ?? []].flat().join(', ')
  return `${why}: ${authorizationServer.httpProxy ?? 'the HTTP proxy'} opens no tunnel`
}
