import { randomInt } from 'node:crypto'
import {
  ClientClosedError,
  ClientOfflineError,
  ConnectionTimeoutError,
  createClient,
  DisconnectsClientError,
  ErrorReply,
  SocketClosedUnexpectedlyError,
  SocketTimeoutError,
} from '@redis/client'
import { type Cancel, type Clock, isWithin } from '../clock.ts'
import { tlsDemands } from '../crypto/tls-demands.ts'
import type { Observe } from '../observe/events.ts'
import type { Secret } from '../secret.ts'
import { StoreUnavailable } from './store.ts'

/** One connection to Valkey or Redis, speaking RESP3 so that it carries commands and pushes alike. */
export type ValkeyClient = ReturnType<typeof openClient>

/** A connection that mends itself, or says at once that it is broken. */
export interface ValkeyConnection {
  readonly available: boolean
  /** When the present connection came, or the last one, by the steady clock. */
  readonly reachedSinceMs: number
  /**
   * Runs a command that may be run twice: what fails with its connection is tried once more on the next one.
   *
   * Throws StoreUnavailable when there is no connection, no answer in time or an error for an answer; at once, when the
   * connection has been gone for longer than one time limit.
   */
  run<T>(operation: string, command: (client: ValkeyClient) => Promise<T>): Promise<T>
  /** Resolves after the first attempt to connect, whatever its outcome. */
  readonly attempted: Promise<void>
  close(): void
}

const firstRetryMs = 50
/** With the spread below at most 750 ms, so that a logout reaches a replica within a second also after the store was away. */
const lastRetryMs = 500

/**
 * Connects, and connects again after every failure: after a missing answer nobody knows which answer belongs to which
 * command, so a connection that has failed once is not used again.
 *
 * `prepare` runs on each new connection before anybody else may use it.
 */
export function connectValkey(parts: {
  settings: { url: Secret; timeoutMs: number; ca?: string | undefined }
  clock: Clock
  observe: Observe
  prepare(client: ValkeyClient, within: <T>(answer: Promise<T>) => Promise<T>): Promise<void>
}): ValkeyConnection {
  const { settings, clock, observe, prepare } = parts
  let client: ValkeyClient | undefined
  let available = false
  let reachedSinceMs = clock.steadyMs()
  let lostFor: string | undefined
  let reported: 'available' | 'unavailable' | undefined
  let closed = false
  let failures = 0
  let lostAtMs = 0
  let cancelRetry: Cancel = () => {}
  const waiting = new Set<() => void>()

  async function connect(): Promise<void> {
    const fresh = openClient(settings)
    client = fresh
    fresh.on('error', (failure: unknown) => lose(fresh, available ? 'connection' : 'connect', failure))
    // The library cannot destroy a socket that is still being connected, and goes on with it.
    fresh.on('connect', () => {
      if (client !== fresh) fresh.destroy()
    })
    try {
      await within(fresh.connect())
      await prepare(fresh, within)
    } catch (failure) {
      lose(fresh, 'connect', failure)
      return
    }
    if (client !== fresh) return
    available = true
    reachedSinceMs = clock.steadyMs()
    failures = 0
    if (reported === 'unavailable') observe.emit('store.available', {})
    reported = 'available'
    for (const goOn of waiting) goOn()
  }

  function lose(lost: ValkeyClient, operation: string, failure: unknown): void {
    if (client !== lost) return
    client = undefined
    if (available) lostAtMs = clock.nowMs()
    available = false
    lost.destroy()
    lostFor = reasonOf(failure)
    if (closed) return
    if (reported !== 'unavailable') observe.emit('store.unavailable', { operation, reason: lostFor })
    reported = 'unavailable'
    const delayMs = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(failures, 10))
    failures += 1
    // Replicas that lost the store together must not come back together.
    cancelRetry = clock.after(delayMs / 2 + randomInt(delayMs), () => void connect())
  }

  function within<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = clock.after(settings.timeoutMs, () => {
        // After a pause of this process timers run before the answers that came meanwhile are read.
        setImmediate(() => setImmediate(() => reject(new StoreTimeout())))
      })
      answer.then(resolve, reject).finally(cancel)
    })
  }

  /** The connection, or the next one if the last was lost a moment ago. */
  async function connection(): Promise<ValkeyClient> {
    if (!available && !closed && isWithin(clock, lostAtMs, settings.timeoutMs)) {
      const patienceMs = lostAtMs + settings.timeoutMs - clock.nowMs()
      await new Promise<void>((resolve) => {
        const goOn = () => {
          waiting.delete(goOn)
          cancel()
          resolve()
        }
        const cancel = clock.after(patienceMs, goOn)
        waiting.add(goOn)
      })
    }
    if (client === undefined || !available) throw new StoreUnavailable(lostFor)
    return client
  }

  return {
    attempted: connect(),
    get available() {
      return available
    },
    get reachedSinceMs() {
      return reachedSinceMs
    },
    async run(operation, command) {
      for (let attempt = 1; ; attempt += 1) {
        const used = await connection()
        try {
          return await within(command(used))
        } catch (failure) {
          lose(used, operation, failure)
          if (attempt === 2) throw new StoreUnavailable(lostFor, { cause: failure })
        }
      }
    },
    close() {
      closed = true
      cancelRetry()
      if (client !== undefined) lose(client, 'close', undefined)
      for (const goOn of waiting) goOn()
    },
  }
}

class StoreTimeout extends Error {
  override readonly name = 'StoreTimeout'
  readonly code = 'TIMEOUT'
}

function openClient(settings: { url: Secret; timeoutMs: number; ca?: string | undefined }) {
  const url = settings.url.reveal()
  const common = { connectTimeout: settings.timeoutMs, reconnectStrategy: false } as const
  const secured = { ...common, tls: true, ca: settings.ca, ...tlsDemands() } as const
  return createClient({
    url,
    RESP: 3,
    socket: new URL(url).protocol === 'rediss:' ? secured : common,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 10_000,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  })
}

/** What the library reports without a code of its own. */
const reasonsOfLibrary = [
  [SocketClosedUnexpectedlyError, 'CLOSED'],
  [ClientClosedError, 'CLOSED'],
  [ClientOfflineError, 'CLOSED'],
  [DisconnectsClientError, 'CLOSED'],
  [ConnectionTimeoutError, 'TIMEOUT'],
  [SocketTimeoutError, 'TIMEOUT'],
] as const

/** The code of a failed system call or of the server's answer (`NOAUTH`), or one of ours; never its text, which may quote a command. */
export function reasonOf(failure: unknown): string {
  if (!(failure instanceof Error)) return 'UNKNOWN'
  // RESP: an error begins with its kind, in capitals.
  if (failure instanceof ErrorReply) return /^[A-Z]{2,20}(?= |$)/.exec(failure.message)?.[0] ?? 'ERR'
  if ('code' in failure && typeof failure.code === 'string') return failure.code
  return reasonsOfLibrary.find(([kind]) => failure instanceof kind)?.[1] ?? 'UNKNOWN'
}
