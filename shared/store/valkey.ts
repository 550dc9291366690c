import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { Observe } from '../observe/events.ts'
import { createEndedList, endedName, type EndedName } from './ended.ts'
import { StoreUnavailable, type Store } from './store.ts'
import { connectValkey, type ValkeyClient } from './valkey-connection.ts'
import { acquireScript, countScript, endScript, readScript, releaseScript } from './valkey-scripts.ts'

const maxEnded = 200_000
const pageSize = 2000
const batchSize = 500
/** Lives count in whole seconds, and reading and sending take a moment. */
const sameLifeSeconds = 2

/**
 * Opens the store that replicas share on a Valkey or Redis server (6.2 or later).
 *
 * Waits for the first reading of the ended sessions, so that a restarted replica knows who has signed out, but not
 * longer than one attempt: the processes start while the store is down. Without it `acquire`, `get`, `put` and `count`
 * throw StoreUnavailable; `hasEnded` answers from what is known; `end` holds here at once and reaches the others
 * when the store is back. A server that comes back empty gets from each replica what it knows.
 */
export async function openValkeyStore(parts: {
  settings: Extract<Config['store'], { kind: 'valkey' }>
  clock: Clock
  observe: Observe
}): Promise<Store> {
  const { settings, clock, observe } = parts
  const { keyPrefix } = settings
  const ended = createEndedList({ clock, maxEntries: maxEnded })
  const endedKey = `${keyPrefix}ended`
  const channel = `${keyPrefix}ended`

  const connection = connectValkey({
    settings: {
      url: settings.url,
      timeoutMs: settings.timeoutMs,
      ca: settings.caFile === undefined ? undefined : readFileSync(settings.caFile, 'utf8'),
    },
    clock,
    observe,
    async prepare(client, within) {
      // A server that cannot write (a read-only replica, no memory left) is of no use to anybody here.
      await within(client.set(`${keyPrefix}writable`, '1', { expiration: { type: 'EX', value: 60 } }))
      // Listening begins before reading, so that nothing falls between the two.
      await within(client.subscribe(channel, (line) => void receive(line)))
      const held = new Map<string, number>()
      for (let from = 0; from < maxEnded; from += pageSize) {
        const lines = await within(readPage(client, from))
        for (const line of lines) {
          const entry = receive(line)
          if (entry !== undefined) held.set(memberOf(entry), entry.ttlSeconds)
        }
        if (lines.length < pageSize) break
      }
      // A round for what came during the one before it; nothing comes between the last one and its end.
      while (await sendLacking(held, (entries) => within(send(client, entries))));
    },
  })

  /** Sends what ended while the store was away, and what a server has lost; true if there was any. */
  async function sendLacking(held: Map<string, number>, sendAll: (entries: EndedName[]) => Promise<unknown>) {
    let found = false
    let batch: EndedName[] = []
    for (const entry of ended.entries()) {
      const { ttlSeconds } = entry
      const heldSeconds = held.get(memberOf(entry))
      if (heldSeconds !== undefined && heldSeconds + sameLifeSeconds >= ttlSeconds) continue
      held.set(memberOf(entry), ttlSeconds)
      batch.push(entry)
      found = true
      if (batch.length < batchSize) continue
      await sendAll(batch)
      batch = []
    }
    if (batch.length > 0) await sendAll(batch)
    return found
  }

  /** A line is `name createdUntil ttlSeconds`; anything else on the channel is not ours. */
  function receive(line: string): EndedName | undefined {
    const match = /^((?:s\.[\w-]{1,64})|(?:[npu]\.[\w-]{43})) (\d{1,16}) (\d{1,10})$/.exec(line)
    const [, name, createdUntil, ttlSeconds] = match ?? []
    if (name === undefined) return undefined
    const entry = { kind: 'named', name, createdUntil: Number(createdUntil), ttlSeconds: Number(ttlSeconds) } as const
    ended.add(entry)
    return entry
  }

  async function readPage(client: ValkeyClient, from: number): Promise<string[]> {
    const range = [String(from), String(from + pageSize - 1)]
    const reply: unknown = await client.eval(readScript, { keys: [endedKey], arguments: range })
    if (!Array.isArray(reply)) throw new UnexpectedReply()
    return reply.filter((line) => typeof line === 'string')
  }

  function send(client: ValkeyClient, entries: readonly EndedName[]): Promise<unknown> {
    return client.eval(endScript, {
      keys: [endedKey, channel],
      arguments: [String(maxEnded), ...entries.flatMap((entry) => [memberOf(entry), String(entry.ttlSeconds)])],
    })
  }

  await connection.attempted

  return {
    get available() {
      return connection.available
    },
    get reachedSinceMs() {
      return connection.reachedSinceMs
    },
    async acquire(key, holdMs) {
      const name = `${keyPrefix}lock:${key}`
      const token = randomBytes(16).toString('base64url')
      const taken: unknown = await connection.run('acquire', (client) =>
        client.eval(acquireScript, { keys: [name], arguments: [token, String(holdMs)] }),
      )
      if (taken !== 1) return undefined
      return {
        async release() {
          try {
            await connection.run('release', (client) =>
              client.eval(releaseScript, { keys: [name], arguments: [token] }),
            )
          } catch (failure) {
            // The lock ends by itself after holdMs; the work it guarded is done.
            if (!(failure instanceof StoreUnavailable)) throw failure
          }
        },
      }
    },
    async get(key) {
      return (await connection.run('get', (client) => client.get(`${keyPrefix}value:${key}`))) ?? undefined
    },
    async put(key, value, ttlSeconds) {
      const expiration = { type: 'EX', value: ttlSeconds } as const
      await connection.run('put', (client) => client.set(`${keyPrefix}value:${key}`, value, { expiration }))
    },
    count(key, ttlSeconds) {
      return connection.run('count', async (client) => {
        const keys = [`${keyPrefix}count:${key}`]
        const count: unknown = await client.eval(countScript, { keys, arguments: [String(ttlSeconds)] })
        if (typeof count !== 'number') throw new UnexpectedReply()
        return count
      })
    },
    async end(entry) {
      const named = endedName(entry)
      ended.add(named)
      try {
        await connection.run('end', (client) => send(client, [named]))
      } catch (failure) {
        // It is in the list, from which the next connection takes what the server lacks.
        if (!(failure instanceof StoreUnavailable)) throw failure
      }
    },
    hasEnded: (session) => ended.has(session),
    close() {
      connection.close()
      return Promise.resolve()
    },
  }
}

/** An entry as the set of the server holds it. */
function memberOf({ name, createdUntil }: EndedName): string {
  return `${name} ${createdUntil}`
}

class UnexpectedReply extends Error {
  override readonly name = 'UnexpectedReply'
  readonly code = 'UNEXPECTED_REPLY'
}
