import type { Config } from '../../shared/config/schema.ts'
import type { ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { TunnelFailure } from '../../shared/oauth/tunnel.ts'

/** The code of the network or TLS failure behind an error, such as `ECONNREFUSED`; never a text, which may quote anything. */
export function networkCode(failure: unknown): string | undefined {
  if (!(failure instanceof Error)) return undefined
  if (failure.name === 'TimeoutError') return 'timeout'
  if ('code' in failure && typeof failure.code === 'string' && isCode(failure.code)) return failure.code
  return networkCode(failure.cause)
}

/**
 * Why the authorization server gave no answer; with the code where there is one, since certificates fail as connections
 * do, and with the HTTP proxy where that is what failed.
 */
export function whyUnavailable({ reason, cause }: ProviderUnavailable, { authorizationServer }: Config): string {
  if (!(cause instanceof TunnelFailure)) return [reason, networkCode(cause) ?? []].flat().join(', ')
  const why = [reason, cause.status ?? networkCode(cause) ?? []].flat().join(', ')
  return `${why}: ${authorizationServer.httpProxy ?? 'the HTTP proxy'} opens no tunnel`
}

/** True for a code in capitals, as systems and TLS write them; false for the name of a class. */
function isCode(text: string): boolean {
  return /^[A-Z][A-Z0-9_]+$/.test(text)
}
