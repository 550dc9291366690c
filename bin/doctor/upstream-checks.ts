import { readFileSync } from 'node:fs'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket } from 'node:tls'
import type { Cancel, Clock } from '../../shared/clock.ts'
import type { Config, Route } from '../../shared/config/schema.ts'
import { upstreamsOf } from '../../shared/config/upstreams.ts'
import { tlsDemands } from '../../shared/crypto/tls-demands.ts'
import { failureCode } from '../../shared/failure-code.ts'
import type { Mode } from '../parts.ts'
import { error, type Finding, ok } from './finding.ts'

/**
 * How long an API is given to refuse us after the handshake, in milliseconds. In TLS 1.3 a client believes to be connected
 * before its certificate has been judged (RFC 8446 §2); most servers send a ticket then, and some say nothing.
 */
const verdictMs = 500

/**
 * Whether every API can be connected to, with the certificates that the proxy would demand and show; agents connect to
 * none, and may not even be let through to them.
 */
export async function* upstreamChecks(
  { proxy }: Pick<Config, 'proxy'>,
  mode: Mode | undefined,
  clock: Pick<Clock, 'after'>,
): AsyncIterable<Finding> {
  if (mode === 'agent') return
  const seen = new Set<string>()
  for (const route of proxy.routes) {
    for (const upstream of upstreamsOf(route)) {
      const place = JSON.stringify([upstream, route.caFile, route.clientCertificateFile])
      if (seen.has(place)) continue
      seen.add(place)
      const failure = await connectionFailure(new URL(upstream), route, clock)
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

/** Why this API cannot be connected to as the proxy would, or undefined. */
function connectionFailure(url: URL, route: Route, clock: Pick<Clock, 'after'>): Promise<string | undefined> {
  return new Promise((resolve) => {
    let cancelVerdict: Cancel = () => {}
    const end = (result: string | undefined): void => {
      cancelVerdict()
      socket.destroy()
      resolve(result)
    }
    const accepted = (): void => end(undefined)
    const socket = open(url, route)
    socket.setTimeout(route.connectTimeoutMs, () => end('timeout'))
    socket.once('error', (failure: Error) => end(failureCode(failure) ?? 'error'))
    if (!(socket instanceof TLSSocket)) {
      socket.once('connect', accepted)
      return
    }
    socket.once('secureConnect', () => {
      if (socket.getProtocol() !== 'TLSv1.3') {
        accepted()
        return
      }
      socket.setTimeout(0)
      cancelVerdict = clock.after(verdictMs, accepted)
      socket.once('session', accepted)
      socket.once('end', () => end('closed after the handshake'))
      // Whoever does not read never hears of the end.
      socket.resume()
    })
  })
}

function open(url: URL, route: Route): Socket {
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (secure ? 443 : 80)
  if (!secure) return connect({ host, port })
  return connectTls({
    host,
    port,
    ...tlsDemands(),
    // Only names are indicated (RFC 6066 §3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(route.caFile === undefined ? {} : { ca: readFileSync(route.caFile) }),
    ...(route.clientCertificateFile === undefined ? {} : { cert: readFileSync(route.clientCertificateFile) }),
    ...(route.clientPrivateKeyFile === undefined ? {} : { key: readFileSync(route.clientPrivateKeyFile) }),
  })
}
