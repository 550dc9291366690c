import { Agent, buildConnector, errors, request } from 'undici'
import type { Clock } from '../clock.ts'
import { tlsDemands } from '../crypto/tls-demands.ts'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import type { Secret } from '../secret.ts'
import { type CallBounds, createCallSupervisor, retrySoonSeconds } from './call-supervisor.ts'
import { ProviderAnswerInvalid, type ProviderEndpoint, ProviderUnavailable } from './provider-error.ts'
import { createQueue } from './queue.ts'
import { createTunnels, TunnelFailure } from './tunnel.ts'

/** The settings that bound the calls. */
export interface TransportSettings {
  readonly authorizationServer: {
    readonly timeoutMs: number
    readonly maxConcurrentRequests: number
    readonly clockToleranceSeconds: number
    readonly httpProxy?: string | undefined
    readonly httpProxyAuthorization?: Secret | undefined
  }
}

/** PEM texts for the TLS connection. */
export interface TransportTls {
  readonly ca?: string
  readonly certificate?: string
  readonly privateKey?: string
  /** Authorities of the HTTP proxy; those of `ca` are not asked about it. */
  readonly proxyCa?: string
}

/** The part of fetch's options that OAuth calls use. */
export interface CallOptions extends CallBounds {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** Every call to the authorization server goes through here. */
export interface Transport {
  /**
   * Sends one request, once, and reads the whole answer.
   *
   * Throws ProviderUnavailable when no answer came, or one that says nothing about the request, and
   * ProviderAnswerInvalid for one that is not HTTP, or whose head or body is too long.
   */
  call(endpoint: ProviderEndpoint, url: string, options: CallOptions): Promise<Response>
  close(): Promise<void>
}

/** What a transport is made of. */
interface TransportParts {
  readonly config: TransportSettings
  readonly clock: Clock
  readonly observe: Observe
  readonly tls?: TransportTls
}

/** Longest answer; metadata and key sets of large providers stay far below. */
const maxAnswerBytes = 1_048_576

/**
 * Creates the transport: time limits for the whole answer, no redirects, bounded answers, a bounded number of calls at
 * one time and circuit breakers, so that a slow or broken authorization server costs its own calls only (D04, D05, D20).
 */
export function createTransport(parts: TransportParts): Transport {
  const { clock, observe } = parts
  const { timeoutMs, maxConcurrentRequests, clockToleranceSeconds } = parts.config.authorizationServer
  const { agent, close } = connections(parts)
  const queue = createQueue({ maxRunning: maxConcurrentRequests, maxWaiting: maxConcurrentRequests * 4 })
  const supervise = createCallSupervisor({ timeoutMs, clockToleranceSeconds, asFailure, clock, observe })

  async function send(endpoint: ProviderEndpoint, url: string, options: CallOptions, signal: AbortSignal) {
    const leave = await queue.enter(signal)
    if (leave === undefined) {
      throw new ProviderUnavailable(endpoint, signal.aborted ? 'timeout' : 'queue_full', retrySoonSeconds)
    }
    try {
      const answer = await request(url, {
        dispatcher: agent,
        method: options.method,
        // Nothing here is worth a decompression bomb.
        headers: { ...options.headers, 'accept-encoding': 'identity' },
        body: options.body ?? null,
        signal,
      })
      const body = await readWithin(answer.body, maxAnswerBytes, endpoint)
      // A status beyond all classes counts as a 5xx (RFC 9110 §15); no Response takes it.
      const status = answer.statusCode > 599 ? 500 : answer.statusCode
      const empty = status === 204 || status === 205 || status === 304
      return new Response(empty ? null : body, { status, headers: toHeaders(answer.headers) })
    } finally {
      leave()
    }
  }

  return {
    call: (endpoint, url, options) => supervise(endpoint, options, (signal) => send(endpoint, url, options, signal)),
    close,
  }
}

/** The connections to the authorization server, through the HTTP proxy where there is one. */
function connections({ config, tls = {}, clock }: TransportParts): { agent: Agent; close(): Promise<void> } {
  const { timeoutMs, maxConcurrentRequests, httpProxy, httpProxyAuthorization } = config.authorizationServer
  const connect = {
    timeout: timeoutMs,
    ...tlsDemands(),
    ...(tls.ca === undefined ? undefined : { ca: tls.ca }),
    ...(tls.certificate === undefined ? undefined : { cert: tls.certificate }),
    ...(tls.privateKey === undefined ? undefined : { key: tls.privateKey }),
  }
  const tunnels =
    httpProxy === undefined
      ? undefined
      : createTunnels({
          proxy: httpProxy,
          authorization: httpProxyAuthorization,
          ca: tls.proxyCa,
          // Half of it, so that a call ends with what the proxy did before its own time is up.
          timeoutMs: Math.ceil(timeoutMs / 2),
          clock,
          // Sessions are kept by host name, and ports of one host may differ in whose certificate they ask for.
          connectThrough: buildConnector({ ...connect, maxCachedSessions: 0 }),
        })
  const agent = new Agent({
    connections: maxConcurrentRequests,
    pipelining: 1,
    connect: tunnels?.connect ?? connect,
    maxHeaderSize: 65_536,
    // The clock's own deadline covers the answer as a whole; undici's would only cover pauses.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  return {
    agent,
    async close() {
      // The calls first, so that they end as stopped and not for want of a tunnel.
      await agent.destroy()
      await tunnels?.close()
    },
  }
}

async function readWithin(body: AsyncIterable<Buffer>, limit: number, endpoint: ProviderEndpoint) {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > limit) throw new ProviderAnswerInvalid(endpoint, 'answer_too_large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function toHeaders(fields: Readonly<Record<string, string | string[] | undefined>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields)) {
    for (const line of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, line)
  }
  return headers
}

/** Connections that broke when the request may already have been acted on. */
const lostConnections: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_ABORTED',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
])

/** What a call failed with, by the class and the code of the error. */
function asFailure(error: unknown, endpoint: ProviderEndpoint, signal: AbortSignal) {
  if (error instanceof ProviderUnavailable || error instanceof ProviderAnswerInvalid) return error
  if (signal.aborted) return new ProviderUnavailable(endpoint, 'timeout', retrySoonSeconds, error)
  if (error instanceof TunnelFailure) return new ProviderUnavailable(endpoint, error.reason, retrySoonSeconds, error)
  if (error instanceof errors.ClientDestroyedError || error instanceof errors.ClientClosedError) {
    return new ProviderUnavailable(endpoint, 'stopped', retrySoonSeconds, error)
  }
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return new ProviderAnswerInvalid(endpoint, 'http', error)
  }
  const code = failureCode(error) ?? ''
  const reason = lostConnections.has(code) ? 'connection_lost' : 'connect_failed'
  return new ProviderUnavailable(endpoint, reason, retrySoonSeconds, error)
}
