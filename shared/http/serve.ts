import { type Answering, answerRequests } from './answer-requests.ts'
import { createConnections } from './connections.ts'
import { createNodeServer } from './node-server.ts'
import type { ServerCertificateSource } from './server-certificate.ts'
import { defaultLimits, type ServerLimits } from './server-limits.ts'
import { type Listen, startListening } from './start-listening.ts'
import { stopListening } from './stop-listening.ts'

/** What a server is made of. */
export interface ServeParts extends Pick<Answering, 'handler' | 'clock' | 'observe' | 'around'> {
  readonly listen: Listen
  /** With it the server speaks TLS and nothing else; not for a Unix socket. */
  readonly certificate?: ServerCertificateSource | undefined
  readonly limits?: Partial<ServerLimits>
}

/** A server that listens. */
export interface RunningServer {
  /** 0 for a Unix socket. */
  readonly port: number
  /**
   * Ends each connection with its next answer, and still takes new ones, so that a gateway holds no idle connection when
   * the server stops: a request sent just as its connection is closed is lost if it may not be sent twice.
   */
  retire(): void
  /** Takes no new connections and lets requests in flight finish; what still runs after `drainMs` is cut. */
  stop(drainMs: number): Promise<void>
}

/** Starts an HTTP server; rejects with the error of `listen` (EADDRINUSE, EACCES, …) or of a certificate that cannot be used. */
export async function serve(parts: ServeParts): Promise<RunningServer> {
  const limits: ServerLimits = { ...defaultLimits, ...parts.limits }
  const server = createNodeServer(parts.certificate, limits, parts.observe)
  const connections = createConnections(server)
  answerRequests(server, { ...parts, connections, stalledMs: limits.stalledMs })
  const port = await startListening(server, parts.listen)
  return {
    port,
    retire: () => connections.retire(),
    async stop(drainMs) {
      connections.drain()
      parts.handler.endStreams?.()
      const cancel = parts.clock.after(drainMs, () => {
        parts.handler.beforeCut?.()
        connections.cut()
      })
      const closed = new Promise<void>((resolve) => server.once('close', resolve))
      await stopListening(server)
      connections.closeIdle()
      await closed
      // Ends Node's watch over time limits; before, it would close connections whose first request is on its way.
      server.close()
      // Upgraded sockets no longer belong to the server, so its close does not wait for them.
      await connections.gone()
      cancel()
    },
  }
}
