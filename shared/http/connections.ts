import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { breakOff } from './break-off.ts'

/** The open connections of a server, each with the answer that is being given on it. */
export interface Connections {
  /** Answers what is still being answered before `response` on its connection, if anything. */
  begin(socket: Socket, response: ServerResponse): ServerResponse | undefined
  /** The handler is done with the answer; it may still be on its way out. */
  end(socket: Socket, response: ServerResponse): void
  /** True while any other byte would be taken for part of an answer: between its head and its end, and with one behind it. */
  isAnswering(socket: Socket): boolean
  /** Has a connection end with the answer to the last request that has come whole; false where none is owed. */
  endAfterOwed(socket: Socket): boolean
  /** True until the requests that have come on the connection have their whole answers. */
  isBusy(socket: Socket): boolean
  /** From now on every connection ends with its next answer. */
  retire(): void
  /** Retires, and closes each connection that falls idle all the same. */
  drain(): void
  /** Closes what is idle, as soon as each connection has had a request or is gone. */
  closeIdle(): void
  /** Cuts a connection; half an answer on it shows as such. */
  cutOne(socket: Socket): void
  /** Cuts every connection, in the same way. */
  cut(): void
  /** Resolves when the connections that are open now are gone. */
  gone(): Promise<void>
}

/**
 * Watches the connections of `server`.
 *
 * A map holds the newest answer of each connection for as long as the connection lives. A set of the requests in flight
 * would grow and shrink all the time, and its old tables would keep finished requests in memory for longer.
 */
export function createConnections(server: Server): Connections {
  const newest = new Map<Socket, ServerResponse | undefined>()
  /** On which no request has come yet. */
  const fresh = new Set<Socket>()
  let retiring = false
  let draining = false
  const watch = (socket: Socket): void => {
    newest.set(socket, undefined)
    socket.once('close', () => newest.delete(socket))
  }
  const expectRequest = (socket: Socket): void => {
    fresh.add(socket)
    socket.once('close', () => {
      fresh.delete(socket)
      if (draining) closeIdle()
    })
  }
  server.on('connection', watch)
  // Over TLS requests come on a socket of their own. The one beneath stays here for those that never finish a handshake.
  server.on('secureConnection', watch)
  server.on('setSecureContext' in server ? 'secureConnection' : 'connection', expectRequest)

  // Node 26 takes for idle what is fresh, and a request may be on its way there; what is idle waits for it to come.
  const closeIdle = (): void => {
    if (fresh.size === 0) server.closeIdleConnections()
  }
  const prepare = (response: ServerResponse | undefined): void => {
    if (response === undefined) return
    if (retiring) response.shouldKeepAlive = false
    // An answer whose head has gone out already leaves its connection open.
    if (draining) response.once('close', closeIdle)
  }
  const cutOne = (socket: Socket): void => {
    const response = newest.get(socket)
    if (isHalf(response)) breakOff(response)
    socket.destroy()
  }
  const retire = (): void => {
    retiring = true
    for (const response of newest.values()) prepare(response)
  }

  return {
    begin(socket, response) {
      // Answers to pipelined requests go out in turn, so it is the newest one that ends the connection.
      const before = newest.get(socket)
      newest.set(socket, response)
      fresh.delete(socket)
      prepare(response)
      return before?.writableFinished === false ? before : undefined
    },
    end(socket, response) {
      if (response.writableFinished && newest.get(socket) === response) newest.set(socket, undefined)
    },
    isAnswering(socket) {
      const response = newest.get(socket)
      return isHalf(response) || isBehind(response)
    },
    endAfterOwed(socket) {
      const response = newest.get(socket)
      if (response?.req.complete !== true || response.writableFinished) return false
      response.shouldKeepAlive = false
      return true
    },
    isBusy(socket) {
      return newest.get(socket)?.writableFinished === false
    },
    retire,
    closeIdle,
    drain() {
      draining = true
      retire()
    },
    cutOne,
    cut() {
      for (const socket of newest.keys()) cutOne(socket)
    },
    async gone() {
      await Promise.all([...newest.keys()].map(untilClosed))
    },
  }
}

function isHalf(response: ServerResponse | undefined): response is ServerResponse {
  return response?.headersSent === true && !response.writableFinished
}

/** Node gives an answer its connection when those before it are out. */
function isBehind(response: ServerResponse | undefined): boolean {
  return response?.socket === null && !response.writableFinished
}

function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve())
  })
}
