/** Limits of time and size for connections and requests. */
export interface ServerLimits {
  /** Longer than load balancers keep idle connections (60 to 75 s), so that we never close under a request (K02). */
  readonly keepAliveMs: number
  /** Longest time for a TLS handshake; slow ones are cut. */
  readonly handshakeMs: number
  /** Longest time for a whole request head; slow senders are cut. */
  readonly headersMs: number
  /** Longest time for a whole request with its body. */
  readonly requestMs: number
  readonly maxHeaderBytes: number
  /** Longest time in which a client takes nothing of an answer that waits for it. */
  readonly stalledMs: number
  /** How often `headersMs` and `requestMs` are checked. */
  readonly checkMs: number
}

/** The limits that hold unless others are given. */
export const defaultLimits: ServerLimits = {
  keepAliveMs: 90_000,
  handshakeMs: 15_000,
  headersMs: 15_000,
  requestMs: 300_000,
  maxHeaderBytes: 16_384,
  stalledMs: 60_000,
  checkMs: 5000,
}
