import type { Server, ServerOptions } from 'node:https'

/**
 * The values of node:http that this software uses.
 *
 * An import of node:http reads every one of its exports, and one of them loads Node's own fetch: 50 ms of each start.
 */
export const { createServer, IncomingMessage, ServerResponse, STATUS_CODES } = process.getBuiltinModule('node:http')

/** A server for HTTP over TLS; node:https is loaded by whoever needs it. */
export function createTlsServer(options: ServerOptions): Server {
  return process.getBuiltinModule('node:https').createServer(options)
}
