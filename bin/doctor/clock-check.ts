import type { Config } from '../../shared/config/schema.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { visit } from '../../shared/oauth/probe.ts'
import { ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { type Finding, ok, skipped, warning } from './finding.ts'
import { whyUnavailable } from './why-unavailable.ts'

const check = 'provider.clock'

/**
 * Whether the clock of the authorization server and ours agree; `skewSeconds` is by how much its answers so far differed, or
 * 0 if by no more than the settings tolerate.
 */
export async function clockCheck(
  config: Config,
  server: AuthorizationServer,
  skewSeconds: () => number,
): Promise<Finding> {
  const silence = skewSeconds() === 0 ? await silenceOf(config, server) : undefined
  const seconds = skewSeconds()
  if (seconds !== 0) {
    return warning(
      check,
      `its clock is ${Math.abs(seconds)} seconds ${seconds > 0 ? 'ahead of' : 'behind'} ours`,
      'Synchronise the clock of this machine (NTP); ID tokens may be refused as too early or too old.',
    )
  }
  if (silence !== undefined) return skipped(check, silence)
  return ok(check, `its clock and ours agree within ${config.authorizationServer.clockToleranceSeconds} seconds`)
}

/** Why nobody can know of a difference, or undefined: without a Date no answer shows any (RFC 9110 §6.6.1). */
async function silenceOf(config: Config, server: AuthorizationServer): Promise<string | undefined> {
  const { jwks_uri } = await server.metadata()
  try {
    const { date } = await visit(server, jwks_uri)
    return Number.isNaN(Date.parse(date)) ? 'its answers do not tell its time (no Date header)' : undefined
  } catch (failure) {
    if (!(failure instanceof ProviderUnavailable)) throw failure
    return `not compared (${whyUnavailable(failure, config)})`
  }
}
