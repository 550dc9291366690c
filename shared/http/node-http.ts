/**
 * The values of node:http that this software uses.
 *
 * An import of node:http reads every one of its exports, and one of them loads Node's own fetch: 50 ms of each start.
 */
export const { createServer, IncomingMessage, ServerResponse, STATUS_CODES } = process.getBuiltinModule('node:http')
