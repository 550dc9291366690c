import type { Config } from '../../shared/config/schema.ts'
import { type Finding, ok, warning } from './finding.ts'

/** Which hops we trust, and who can see what only operators should. */
export function* exposureChecks({ operations, agent, proxy }: Config): Iterable<Finding> {
  for (const range of operations.trustedProxies) {
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
  const open = [agent.listen.host, proxy.listen.host].some((host) => host === '0.0.0.0' || host === '::')
  if (open && operations.trustedProxies.length === 0) {
    yield warning(
      'operations.trusted_proxies',
      'is empty: behind a gateway all requests seem to come from it, and share its rate limit',
      'List the addresses of the gateway, if there is one.',
    )
  } else {
    yield ok('operations.trusted_proxies', operations.trustedProxies.join(', ') || 'none')
  }
  yield operations.listen.host === '0.0.0.0' || operations.listen.host === '::'
    ? warning(
        'operations.listen',
        'metrics are open to every network of this machine',
        'Keep the port off the internet.',
      )
    : ok('operations.listen', `${operations.listen.host} only`)
}
