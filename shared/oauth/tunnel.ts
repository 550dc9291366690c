import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { buildConnector, Pool } from 'undici'
import type { Clock } from '../clock.ts'
import { tlsDemands } from '../crypto/tls-demands.ts'
import type { Secret } from '../secret.ts'

/** Why no tunnel came about; each is one of the reasons for which the authorization server cannot be used. */
export type TunnelFailureReason = 'proxy_connect_failed' | 'proxy_timeout' | 'proxy_refused' | 'proxy_gateway_error'

/** The HTTP proxy opened no tunnel, so nothing was sent to the authorization server. */
export class TunnelFailure extends Error {
  override readonly name = 'TunnelFailure'
  readonly reason: TunnelFailureReason
  /** Status of the proxy's answer to CONNECT; absent when there was none. */
  readonly status: number | undefined

  constructor(reason: TunnelFailureReason, of: { status?: number; cause?: unknown }) {
    super(reason, of.cause === undefined ? undefined : { cause: of.cause })
    this.reason = reason
    this.status = of.status
  }
}

/** What tunnels are made of. */
export interface TunnelParts {
  /** Origin of the HTTP proxy. */
  readonly proxy: string
  /** Value of Proxy-Authorization (RFC 9110 §11.7.2). */
  readonly authorization?: Secret | undefined
  /** PEM text of the authorities of an https: proxy; those of the system if absent. */
  readonly ca?: string | undefined
  /** Longest wait for the proxy to open one tunnel, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Pick<Clock, 'after'>
  /** Speaks TLS to the authorization server through a tunnel. */
  readonly connectThrough: buildConnector.connector
}

/** Makes connections to the authorization server through an HTTP proxy. */
export interface Tunnels {
  /** For the `connect` of an undici dispatcher; fails with TunnelFailure, or as the TLS connection does. */
  readonly connect: buildConnector.connector
  close(): Promise<void>
}

/**
 * Creates tunnels through an HTTP proxy with CONNECT (RFC 9110 §9.3.6).
 *
 * The proxy sees host and port. What comes after is TLS with the authorization server, so no token passes in the clear.
 */
export function createTunnels(parts: TunnelParts): Tunnels {
  const { proxy, authorization, ca, timeoutMs, clock, connectThrough } = parts
  const connectToProxy = buildConnector({
    timeout: timeoutMs,
    ...tlsDemands(),
    ...(ca === undefined ? undefined : { ca }),
  })
  const pool = new Pool(proxy, {
    connections: null,
    pipelining: 1,
    // A connection becomes a tunnel or is of no use: undici makes a new one after a CONNECT that was given up.
    keepAliveTimeout: 1,
    // Host has to name the authorization server (RFC 9112 §3.2.3), and undici would expect that name of the proxy.
    connect: (options, callback) => connectToProxy({ ...options, servername: '' }, callback),
  })

  async function open(authority: string): Promise<Duplex> {
    const deadline = new AbortController()
    const cancel = clock.after(timeoutMs, () => deadline.abort())
    try {
      const { statusCode, socket } = await pool.connect({
        path: authority,
        headers: {
          host: authority,
          ...(authorization === undefined ? undefined : { 'proxy-authorization': authorization.reveal() }),
        },
        signal: deadline.signal,
      })
      if (statusCode >= 200 && statusCode < 300) return socket
      socket.on('error', () => {}).destroy()
      throw new TunnelFailure(refusalOf(statusCode), { status: statusCode })
    } catch (error) {
      if (error instanceof TunnelFailure) throw error
      // A connection that was never made fails by itself; the deadline ends one on which the proxy says nothing.
      const isSilent = error === deadline.signal.reason
      throw new TunnelFailure(isSilent ? 'proxy_timeout' : 'proxy_connect_failed', { cause: error })
    } finally {
      cancel()
    }
  }

  const connect = async (options: buildConnector.Options, callback: buildConnector.Callback): Promise<void> => {
    const { protocol, hostname, port } = options
    let socket: Duplex | undefined
    try {
      if (protocol !== 'https:') throw new Error('the proxy could read what goes to an http: endpoint')
      socket = await open(`${hostname.includes(':') ? `[${hostname}]` : hostname}:${port === '' ? '443' : port}`)
      connectThrough({ ...options, httpSocket: socket as Socket }, callback)
    } catch (error) {
      // Certificates that cannot be read fail here, and not through the callback.
      socket?.destroy()
      callback(error instanceof Error ? error : new Error('unknown failure', { cause: error }), null)
    }
  }

  return {
    connect: (options, callback) => void connect(options, callback),
    close: () => pool.destroy(),
  }
}

/** 502 to 504 say that the proxy did not get through to the authorization server, all others that it did not try. */
function refusalOf(status: number): TunnelFailureReason {
  return status >= 502 && status <= 504 ? 'proxy_gateway_error' : 'proxy_refused'
}
