import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** What agent and proxy offer to a server. */
export interface HttpHandler {
  /**
   * Answers one request, and names `requestIdOf(request)` in x-request-id.
   *
   * Also called for `Expect: 100-continue`, before anything was answered: the handler decides whether the body may come.
   * No header is set beforehand: Node writes a head that is given in one piece at much less cost.
   */
  handle(request: IncomingMessage, response: ServerResponse): void | Promise<void>
  /** Takes over the socket of a protocol upgrade; without it upgrades are read as plain requests. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void | Promise<void>
  /** The server takes no more requests: end what has no end of its own (event streams, WebSockets) with a reason. */
  endStreams?(): void
  /** The time for what is in flight is over: what has not ended is cut now, and whoever tells of it has to say why. */
  beforeCut?(): void
}
