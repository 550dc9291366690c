import { randomInt } from 'node:crypto'
import { createClient } from '@redis/client'
import type { Cancel, Clock } from '../clock.ts'
import type { Observe } from '../observe/events.ts'
import type { Secret } from '../secret.ts'
import { StoreUnavailable } from './store.ts'

/** One connection to Valkey or Redis, speaking RESP3 so that it carries commands and pushes alike. */
export type ValkeyClient = ReturnType<typeof openClient>

/** A connection that mends itself, or says at once that it is broken. */
export interface ValkeyConnection {
  readonly available: boolean
  /** Runs one command; throws StoreUnavailable when there is no connection, no answer in time or an error for an answer. */
  run<T>(operation: string, command: (client: ValkeyClient) => Promise<T>): Promise<T>
  /** Resolves after the first attempt to connect, whatever its outcome. */
  readonly attempted: Promise<void>
  close(): void
}

const firstRetryMs = 50
const lastRetryMs = 2000

/**
 * Connects, and connects again after every failure: no command is ever repeated on a connection that has failed, and
 * none waits for one that is gone.
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
  let told: 'available' | 'unavailable' | undefined
  let closed = false
  let failures = 0
  let cancelRetry: Cancel = () => {}

  async function connect(): Promise<void> {
    const fresh = openClient(settings)
    client = fresh
    fresh.on('error', (failure: unknown) => lose(fresh, available ? 'connection' : 'connect', failure))
    try {
      await within(fresh.connect())
      await prepare(fresh, within)
    } catch (failure) {
      lose(fresh, 'connect', failure)
      return
    }
    if (client !== fresh) return
    available = true
    failures = 0
    if (told === 'unavailable') observe.emit('store.available', {})
    told = 'available'
  }

  /** Every failure ends the connection: after a missing answer nobody knows which answer belongs to which command. */
  function lose(lost: ValkeyClient, operation: string, failure: unknown): void {
    if (client !== lost) return
    client = undefined
    available = false
    lost.destroy()
    if (closed) return
    if (told !== 'unavailable') observe.emit('store.unavailable', { operation, reason: reasonOf(failure) })
    told = 'unavailable'
    const delayMs = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(failures, 10))
    failures += 1
    // Replicas that lost the store together must not come back together.
    cancelRetry = clock.after(delayMs / 2 + randomInt(delayMs), () => void connect())
  }

  function within<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = clock.after(settings.timeoutMs, () => reject(new StoreTimeout()))
      answer.then(resolve, reject).finally(cancel)
    })
  }

  return {
    attempted: connect(),
    get available() {
      return available
    },
    async run(operation, command) {
      const used = client
      if (used === undefined || !available) throw new StoreUnavailable()
      try {
        return await within(command(used))
      } catch (failure) {
        lose(used, operation, failure)
        throw new StoreUnavailable('', { cause: failure })
      }
    },
    close() {
      closed = true
      cancelRetry()
      if (client !== undefined) lose(client, 'close', undefined)
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
  return createClient({
    url,
    RESP: 3,
    socket: new URL(url).protocol === 'rediss:' ? { ...common, tls: true, ca: settings.ca } : common,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 10_000,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  })
}

/** The code of a failed system call, or the kind of error; never its text, which may quote a command. */
function reasonOf(failure: unknown): string {
  if (!(failure instanceof Error)) return 'unknown'
  if ('code' in failure && typeof failure.code === 'string') return failure.code
  return failure.constructor.name
}
