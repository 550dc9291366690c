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
const maxUnsent = 10_000
const pageSize = 2000

/**
 * Opens the store that replicas share on a Valkey or Redis server (6.2 or later).
 *
 * Waits for the first reading of the ended sessions, so that a restarted replica knows who has signed out, but not
 * longer than one attempt: the processes start while the store is down. Without it `acquire`, `get`, `put` and `count`
 * throw StoreUnavailable; `hasEnded` answers from what is known; `end` holds here at once and reaches the others
 * when the store is back.
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
  const unsent = new Map<string, { entry: EndedName; until: number }>()

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
      await within(client.subscribe(channel, receive))
      for (let from = 0; from < maxEnded; from += pageSize) {
        const lines = await within(readPage(client, from))
        for (const line of lines) receive(line)
        if (lines.length < pageSize) break
      }
      for (const [name, waiting] of unsent) {
        const ttlSeconds = waiting.until - clock.nowSeconds()
        if (ttlSeconds > 0) await within(send(client, { ...waiting.entry, ttlSeconds }))
        // What came for the same name meanwhile waits for its own turn, further on in this loop.
        if (unsent.get(name) === waiting) unsent.delete(name)
      }
    },
  })

  /** A line is `name notBefore ttlSeconds`; anything else on the channel is not ours. */
  function receive(line: string): void {
    const match = /^((?:s\.[\w-]{1,64})|(?:[npu]\.[\w-]{43})) (\d{1,16}) (\d{1,10})$/.exec(line)
    const [, name, notBefore, ttlSeconds] = match ?? []
    if (name === undefined) return
    ended.add({ kind: 'named', name, notBefore: Number(notBefore), ttlSeconds: Number(ttlSeconds) })
  }

  async function readPage(client: ValkeyClient, from: number): Promise<string[]> {
    const range = [String(from), String(from + pageSize - 1)]
    const reply: unknown = await client.eval(readScript, { keys: [endedKey], arguments: range })
    if (!Array.isArray(reply)) throw new UnexpectedReply()
    return reply.filter((line) => typeof line === 'string')
  }

  function send(client: ValkeyClient, entry: EndedName): Promise<unknown> {
    const member = `${entry.name} ${entry.notBefore}`
    return client.eval(endScript, {
      keys: [endedKey, channel],
      arguments: [member, String(entry.ttlSeconds), String(maxEnded)],
    })
  }

  /** As in the list of ended sessions: nothing is shortened by what comes later. */
  function keepUnsent(named: EndedName): void {
    const { name, notBefore, ttlSeconds } = named
    const earlier = unsent.get(name)
    const until = Math.max(clock.nowSeconds() + ttlSeconds, earlier?.until ?? 0)
    unsent.delete(name)
    unsent.set(name, { entry: { ...named, notBefore: Math.max(notBefore, earlier?.entry.notBefore ?? 0) }, until })
    const [oldest] = unsent.keys()
    if (unsent.size > maxUnsent && oldest !== undefined) unsent.delete(oldest)
  }

  await connection.attempted

  return {
    get available() {
      return connection.available
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
        await connection.run('end', (client) => send(client, named))
      } catch (failure) {
        if (!(failure instanceof StoreUnavailable)) throw failure
        keepUnsent(named)
      }
    },
    hasEnded: (session) => ended.has(session),
    close() {
      connection.close()
      return Promise.resolve()
    },
  }
}

class UnexpectedReply extends Error {
  override readonly name = 'UnexpectedReply'
  readonly code = 'UNEXPECTED_REPLY'
}
