// The index of the package loads its fetch, caches and mocks as well, and Node's own fetch: a sixth of each start.
import buildConnector from 'undici/lib/core/connect.js'
import Pool from 'undici/lib/dispatcher/pool.js'
import { type Clock, isWithin } from '../../shared/clock.ts'
import type { Route } from '../../shared/config/schema.ts'
import { upstreamsOf } from '../../shared/config/upstreams.ts'
import { certificateExpirySeconds } from '../../shared/crypto/certificate.ts'
import { tlsDemands } from '../../shared/crypto/tls-demands.ts'
import { socketBufferBytes } from '../../shared/http/socket-buffer.ts'
import type { ReadFile } from '../../shared/read-file.ts'
import { apiSocket } from './api-socket.ts'
import { readByCopy } from './read-by-copy.ts'

/** One origin at which an API runs. */
export interface Upstream {
  readonly origin: string
  /** Its position in the list of the settings, from 0. */
  readonly index: number
  readonly pool: Pool
  /** Certificates for connections that the pool does not make. */
  readonly tls: TlsMaterial
  /** Reports how a call went: true as soon as an answer came, false when no connection could be made. */
  report(answered: boolean): void
}

/** The upstreams of one route, which take turns. */
export interface Upstreams {
  /** The next in turn, leaving out those that failed lately as long as another is left. */
  pick(): Upstream
  /** One that is none of these; one that failed lately only if there is no better. Undefined when none is left. */
  other(than: readonly Upstream[]): Upstream | undefined
  /** When the certificate that is shown to the API expires, in seconds since 1970; undefined without one. */
  readonly certificateExpiresAtSeconds: number | undefined
  /** Closes each connection when its call has ended; resolves when none is left. */
  finish(): Promise<void>
  /** Cuts all connections. */
  close(): Promise<void>
}

/** PEM texts for connections to one API; what is absent is that of the system. */
export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** The part of a route that says where its API runs and how long to wait for it. */
export type UpstreamSetting = Pick<
  Route,
  | 'upstream'
  | 'connectTimeoutMs'
  | 'responseTimeoutMs'
  | 'idleTimeoutMs'
  | 'keepAliveSeconds'
  | 'caFile'
  | 'clientCertificateFile'
  | 'clientPrivateKeyFile'
>

/** What connecting to APIs needs. */
export interface UpstreamParts {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly readFile: ReadFile
}

/** After so many failures in a row an upstream is left out for a while; from then on each further failure does so again. */
const failuresBeforePause = 3
const pauseMs = 5000

/**
 * Connects the upstreams of a route: their pools keep connections alive and are shared with no other route.
 *
 * Throws as `readFile` does, and Error for a certificate that cannot be read.
 */
export function createUpstreams(setting: UpstreamSetting, { clock, readFile }: UpstreamParts): Upstreams {
  const tls: TlsMaterial = {
    ...(setting.caFile === undefined ? undefined : { ca: readFile(setting.caFile) }),
    ...(setting.clientCertificateFile === undefined ? undefined : { cert: readFile(setting.clientCertificateFile) }),
    ...(setting.clientPrivateKeyFile === undefined ? undefined : { key: readFile(setting.clientPrivateKeyFile) }),
  }
  const certificateExpiresAtSeconds = tls.cert === undefined ? undefined : certificateExpirySeconds(tls.cert)
  const upstreams = upstreamsOf(setting).map((url, index) =>
    createUpstream({ origin: new URL(url).origin, index, tls }, setting, clock),
  )
  let turn = 0
  return {
    certificateExpiresAtSeconds,
    pick() {
      for (let tried = 0; tried < upstreams.length; tried++) {
        const upstream = upstreams[turn++ % upstreams.length]
        if (upstream?.isUsable() === true) return upstream
      }
      const fallback = upstreams[turn++ % upstreams.length]
      if (fallback === undefined) throw new RangeError('a route has at least one upstream')
      return fallback
    },
    other(than) {
      const left = upstreams.filter((upstream) => !than.includes(upstream))
      return left.find((upstream) => upstream.isUsable()) ?? left[0]
    },
    async finish() {
      await Promise.all(upstreams.map(({ pool }) => pool.close()))
    },
    async close() {
      await Promise.all(upstreams.map(({ pool }) => pool.destroy()))
    },
  }
}

function createUpstream(
  { origin, index, tls }: Pick<Upstream, 'origin' | 'index' | 'tls'>,
  setting: UpstreamSetting,
  clock: Pick<Clock, 'nowMs'>,
): Upstream & { isUsable(): boolean } {
  // Has a name because the library's types leave out what it passes on to node:net, such as the first two of these.
  const options = {
    highWaterMark: socketBufferBytes,
    onread: readByCopy,
    timeout: setting.connectTimeoutMs,
    allowH2: false,
    ...tls,
    ...(origin.startsWith('https:') ? tlsDemands() : undefined),
  }
  const connect = buildConnector(options)
  let failures = 0
  let pausedSinceMs = 0
  return {
    origin,
    index,
    tls,
    pool: new Pool(origin, {
      // One request at a time on a connection: an answer can never be taken for that of another request (HX-30).
      pipelining: 1,
      connections: null,
      // Shorter than the API keeps them, so that we are the first to let go: a POST sent as one closes may not be repeated.
      keepAliveTimeout: setting.keepAliveSeconds * 1000,
      headersTimeout: setting.responseTimeoutMs,
      bodyTimeout: setting.idleTimeoutMs,
      maxHeaderSize: 32_768,
      connect: (to, done) =>
        connect(to, (...[error, socket]) => {
          if (error === null) done(null, apiSocket(socket))
          else done(error, null)
        }),
    }),
    isUsable: () => failures < failuresBeforePause || !isWithin(clock, pausedSinceMs, pauseMs),
    report(answered) {
      failures = answered ? 0 : failures + 1
      if (failures >= failuresBeforePause) pausedSinceMs = clock.nowMs()
    },
  }
}
