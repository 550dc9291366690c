import { connect, isIP } from 'node:net'
import { readFileSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../../shared/clock.ts'
import type { Config, Route } from '../../shared/config/schema.ts'
import { upstreamsOf } from '../../shared/config/upstreams.ts'
import { tlsDemands } from '../../shared/crypto/tls-demands.ts'
import { failureCode } from '../../shared/failure-code.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { settingsWarnings } from '../part-checks.ts'
import type { Mode } from '../parts.ts'
import { error, type Finding, ok, warning } from './finding.ts'

/** Whether every API can be connected to, with the certificates that the proxy would demand and show. */
export async function* upstreamChecks({ proxy }: Config, mode: Mode | undefined): AsyncIterable<Finding> {
  for (const { path, problem, remedy } of settingsWarnings({ proxy }, mode)) {
    yield warning('upstream', `${path} ${problem}`, remedy)
  }
  const seen = new Set<string>()
  for (const route of proxy.routes) {
    for (const upstream of upstreamsOf(route)) {
      const place = JSON.stringify([upstream, route.caFile, route.clientCertificateFile])
      if (seen.has(place)) continue
      seen.add(place)
      const failure = await reach(new URL(upstream), route)
      yield failure === undefined
        ? ok('upstream', `${upstream} accepts connections`)
        : error(
            'upstream',
            `${upstream} cannot be used (${failure})`,
            `Check the upstream, ca_file and client certificate of ${route.path}.`,
          )
    }
  }
}

/** The code of what went wrong, or undefined. */
function reach(url: URL, route: Route): Promise<string | undefined> {
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (secure ? 443 : 80)
  return new Promise((resolve) => {
    const socket = secure
      ? connectTls({
          host,
          port,
          ...tlsDemands(),
          // Only names are indicated (RFC 6066 §3).
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(route.caFile === undefined ? {} : { ca: readFileSync(route.caFile) }),
          ...(route.clientCertificateFile === undefined ? {} : { cert: readFileSync(route.clientCertificateFile) }),
          ...(route.clientPrivateKeyFile === undefined ? {} : { key: readFileSync(route.clientPrivateKeyFile) }),
        })
      : connect({ host, port })
    const end = (result: string | undefined): void => {
      socket.destroy()
      resolve(result)
    }
    socket.setTimeout(route.connectTimeoutMs, () => end('timeout'))
    socket.once(secure ? 'secureConnect' : 'connect', () => end(undefined))
    socket.once('error', (failure: Error) => end(failureCode(failure) ?? 'error'))
  })
}

/** Whether the store takes and gives, and is the right one for as many processes as there are. */
export async function* storeChecks(config: Config, store: Store, clock: Clock): AsyncIterable<Finding> {
  if (config.store.kind === 'memory') {
    yield config.operations.workers > 1
      ? warning(
          'store',
          'several workers without a shared store: each refreshes and remembers sign-outs for itself',
          'Set store.kind: valkey.',
        )
      : ok('store', 'memory, right for a single process')
    return
  }
  const startedMs = clock.nowMs()
  try {
    await store.put('doctor', 'ok', 10)
    const found = await store.get('doctor')
    yield found === 'ok'
      ? ok('store', `takes and gives within ${clock.nowMs() - startedMs} ms`)
      : error('store', 'does not give back what it took', 'Is it a cluster without a hash tag, or a read-only replica?')
  } catch (failure) {
    if (!(failure instanceof StoreUnavailable)) throw failure
    const { reason } = failure
    yield error(
      'store',
      `cannot be used${reason === undefined ? '' : ` (${reason})`}`,
      'Check store.url, the network, user, password and store.ca_file.',
    )
  }
  if (config.store.url.reveal().startsWith('redis:')) {
    yield warning(
      'store.url',
      'the connection to the store is not encrypted',
      'Use rediss:// unless the network protects it.',
    )
  }
}

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
