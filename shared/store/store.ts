/**
 * What no cookie can do alone: the port that memory and Valkey implement.
 *
 * Keys are hashes made by the caller; values are opaque (a sealed successor, a tombstone). No token is ever stored in
 * the clear. `acquire`, `get`, `put` and `count` throw StoreUnavailable when a shared store cannot be reached.
 */
export interface Store {
  /** Takes the lock `key` for at most `holdMs`; `undefined` when somebody else holds it. */
  acquire(key: string, holdMs: number): Promise<Lock | undefined>
  /** The value kept under `key`, or undefined. */
  get(key: string): Promise<string | undefined>
  /** Keeps `value` for `ttlSeconds`. */
  put(key: string, value: string, ttlSeconds: number): Promise<void>
  /** Adds to the counter `key` and answers the new count; the counter disappears `ttlSeconds` after its first use. */
  count(key: string, ttlSeconds: number): Promise<number>
  /** Marks sessions as ended on every replica; those replicas that cannot be reached now hear of it later. */
  end(entry: EndedEntry): Promise<void>
  /** True when the session was ended; answers from local memory, which pushes keep current, so it costs no round trip. */
  hasEnded(session: SessionKey): boolean
  /** False while the shared store cannot be reached. */
  readonly available: boolean
  /** Since when, by the steady clock, it has been reached without a break; what was kept before that may be lost. */
  readonly reachedSinceMs: number
  close(): Promise<void>
}

/** A lock that is held. */
export interface Lock {
  release(): Promise<void>
}

/** The three names under which a session can be ended. */
export interface SessionKey {
  /** Our own session id. */
  readonly sessionId: string
  readonly subject: string
  /** The `sid` claim of the authorization server, if the ID token had one. */
  readonly providerSessionId?: string
  /** When the user signed in, seconds since 1970. */
  readonly createdAt: number
}

/** What is over: one session, or several by a name that the authorization server gave them. */
export type EndedEntry =
  | { readonly kind: 'session'; readonly sessionId: string; readonly ttlSeconds: number }
  | { readonly kind: 'provider-session'; readonly providerSessionId: string; readonly ttlSeconds: number }
  | {
      /** All sessions of the user, or only those of which no `sid` of the authorization server is known. */
      readonly kind: 'subject' | 'subject-without-provider-session'
      readonly subject: string
      /** Sessions that were created in this second since 1970 or before it end. */
      readonly createdUntil: number
      readonly ttlSeconds: number
    }

/** The shared store cannot be reached; each use has its own documented fallback. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
  /** Why, as in the event `store.unavailable`, where it is known. */
  readonly reason: string | undefined

  constructor(reason?: string, options?: ErrorOptions) {
    super(reason, options)
    this.reason = reason
  }
}

/** Undefined for a store that is away; throws any other failure. */
export function ignoreUnavailable(error: unknown): undefined {
  if (!(error instanceof StoreUnavailable)) throw error
  return undefined
}
