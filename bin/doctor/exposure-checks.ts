import { isLocalOrigin, isLoopbackHost } from '../../shared/config/local.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type Finding, ok, warning } from './finding.ts'

/** Which hops we trust, and who can see what only operators should. */
export function* exposureChecks(config: Config): Iterable<Finding> {
  const { trustedProxies, listen } = config.operations
  for (const range of trustedProxies) {
    const [, bits] = range.split('/')
    const width = range.includes(':') ? 128 : 32
    if (bits !== undefined && Number(bits) < width / 4) {
      yield warning(
        'operations.trusted_proxies',
        `${range} believes very many addresses`,
        'List the gateways themselves.',
      )
    }
  }
  yield trustedProxies.length === 0 && !isLocal(config)
    ? warning(
        'operations.trusted_proxies',
        'is empty: behind a gateway all requests seem to come from it, and share its rate limit',
        'List the addresses of the gateway, if there is one: 127.0.0.1 where it runs on this machine.',
      )
    : ok('operations.trusted_proxies', trustedProxies.join(', ') || 'none')
  yield isLoopbackHost(listen.host)
    ? ok('operations.listen', `${listen.host} only`)
    : warning(
        'operations.listen',
        `metrics are open to every network that reaches ${listen.host}`,
        'Keep the port off the internet.',
      )
}

/** Whether nobody can come from elsewhere, with or without a gateway. */
function isLocal({ publicOrigin, agent, proxy }: Config): boolean {
  return isLocalOrigin(publicOrigin) && [agent, proxy].every(({ listen }) => isLoopbackHost(listen.host))
}
