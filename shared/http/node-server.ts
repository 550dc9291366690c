import type { Server, ServerOptions } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { failureCode } from '../failure-code.ts'
import type { Observe } from '../observe/events.ts'
import { Incoming } from './incoming.ts'
import { createServer, createTlsServer } from './node-http.ts'
import { secureContextOptions, type ServerCertificateSource } from './server-certificate.ts'
import type { ServerLimits } from './server-limits.ts'
import { socketBufferBytes } from './socket-buffer.ts'

/** A server of Node that keeps these limits, over TLS where it has a certificate; throws Error for one that cannot be used. */
export function createNodeServer(
  certificate: ServerCertificateSource | undefined,
  limits: ServerLimits,
  observe: Observe,
): Server {
  return certificate === undefined ? createServer(serverOptions(limits)) : secureServer(certificate, limits, observe)
}

function serverOptions(limits: ServerLimits): ServerOptions {
  return {
    // Set although they are the defaults, because command line flags and NODE_OPTIONS change the defaults.
    insecureHTTPParser: false,
    maxHeaderSize: limits.maxHeaderBytes,
    keepAliveTimeout: limits.keepAliveMs,
    // A head is part of its request, and Node throws where it is given more time than the whole.
    headersTimeout: Math.min(limits.headersMs, limits.requestMs),
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkMs,
    // A missing Host is refused by the request gate, in our own words.
    requireHostHeader: false,
    // A request without Content-Length and Transfer-Encoding has no body (RFC 9112 §6.3), so nothing need be set up for one.
    optimizeEmptyRequests: true,
    highWaterMark: socketBufferBytes,
    IncomingMessage: Incoming,
  }
}

/** A server over TLS, which takes the next certificate for the handshakes that begin from then on. */
function secureServer(certificate: ServerCertificateSource, limits: ServerLimits, observe: Observe): Server {
  const current = certificate.current()
  const server = createTlsServer({
    ...serverOptions(limits),
    ...secureContextOptions(current),
    requestCert: current.clientCa !== undefined,
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: limits.handshakeMs,
  })
  certificate.onChange((next) => {
    // Whether clients are asked cannot change any more, and without authorities of ours every public one would do.
    if ((next.clientCa === undefined) !== (current.clientCa === undefined)) throw new Error('other clients')
    server.setSecureContext(secureContextOptions(next))
  })
  // Before the listener of Node, which would have this answered in plain text as a request that could not be parsed.
  server.prependListener('tlsClientError', (error: Error, socket: TLSSocket) => {
    socket.destroy()
    observe.emit('handshake.failed', { reason: handshakeFailure(error, socket) })
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    // As without TLS, so that an upgraded connection can end one side after the other.
    socket.allowHalfOpen = true
  })
  return server
}

/** Node names a certificate that it does not accept on the socket alone: the error says that the connection ended. */
function handshakeFailure(error: Error, { authorizationError }: TLSSocket): string {
  const code = failureCode(error) ?? 'unknown'
  const name = authorizationError === null ? code : String(authorizationError)
  return name.replace(/^ERR_(?:SSL|TLS)_/, '').toLowerCase()
}
