import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { examine } from '../../bin/doctor/doctor.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import type { EventName, Observe } from '../../shared/observe/events.ts'
import { Secret } from '../../shared/secret.ts'
import { StoreUnavailable, type Store } from '../../shared/store/store.ts'
import { openValkeyStore } from '../../shared/store/valkey.ts'
import { acquireScript, endScript, readScript, releaseScript } from '../../shared/store/valkey-scripts.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { testKeys } from '../support/installation.ts'
import { startPausingLink } from '../support/pausing-link.ts'
import { createShiftedClock } from '../support/shifted-clock.ts'
import { describeStore } from '../support/store-contract.ts'
import { startValkey, type ValkeyServer } from '../support/valkey.ts'

const command = fileURLToPath(new URL('../../bin/token-handler.ts', import.meta.url))

let server: ValkeyServer
const opened: Store[] = []
beforeAll(async () => {
  server = await startValkey()
})
afterAll(() => server.stop())
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
})

let prefixes = 0
const newPrefix = () => `test-${(prefixes += 1)}:`

async function openStore(change: { url?: string; keyPrefix?: string; timeoutMs?: number; clock?: Clock } = {}) {
  const events: { name: EventName; fields: object }[] = []
  const observe: Observe = { emit: (name, fields) => events.push({ name, fields }) }
  const store = await openValkeyStore({
    settings: {
      kind: 'valkey',
      url: new Secret(change.url ?? server.url),
      keyPrefix: change.keyPrefix ?? newPrefix(),
      timeoutMs: change.timeoutMs ?? 300,
    },
    clock: change.clock ?? systemClock,
    observe,
  })
  opened.push(store)
  return { store, events }
}

const session = { sessionId: 'AAAAAAAAAAAAAAAAAAAAAA', subject: 'alice', createdAt: 1000 }
const endOfSession = { kind: 'session', sessionId: session.sessionId, ttlSeconds: 60 } as const

describeStore('Valkey', {
  async open() {
    const keyPrefix = newPrefix()
    return [(await openStore({ keyPrefix })).store, (await openStore({ keyPrefix })).store]
  },
  // The clock of the server cannot be moved, so these few seconds really pass.
  pass: (seconds) => wait(seconds * 1000),
})

describe('Valkey out of reach', () => {
  const uses = {
    acquire: (store: Store) => store.acquire('k', 1000),
    get: (store: Store) => store.get('k'),
    put: (store: Store) => store.put('k', 'v', 60),
    count: (store: Store) => store.count('k', 60),
  }

  it.each(Object.entries(uses))('%s says so, and works again when the server is back', async (_, use) => {
    const { store, events } = await openStore()
    await server.stop()
    await expect(use(store)).rejects.toBeInstanceOf(StoreUnavailable)
    expect(store.available).toBe(false)
    await server.start()
    await expect.poll(() => store.available, { timeout: 10_000 }).toBe(true)
    await use(store)
    expect(events.map(({ name }) => name)).toEqual(['store.unavailable', 'store.available'])
    expect(events[0]?.fields).toMatchObject({ reason: expect.stringMatching(/^[A-Z_]+$/) })
  })

  it('since when it has been reached counts from the connection that holds', async () => {
    const clock = createShiftedClock()
    const { store } = await openStore({ clock })
    const atFirst = store.reachedSinceMs
    clock.pass(60)
    await store.get('k')
    expect(store.reachedSinceMs).toBe(atFirst)
    await server.stop()
    await server.start()
    await expect.poll(() => store.available, { timeout: 10_000 }).toBe(true)
    expect(store.reachedSinceMs - atFirst).toBeGreaterThanOrEqual(60_000)
  })

  it('a connection that breaks is replaced within the call, whatever the call was', async () => {
    // However slow the machine is, the next connection is there before the call gives up.
    const { store, events } = await openStore({ timeoutMs: 15_000 })
    const { createClient } = await import('@redis/client')
    const operator = createClient({ url: server.url })
    operator.on('error', () => {})
    await operator.connect()
    for (const use of Object.values(uses)) {
      const before = events.length
      await operator.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
      await use(store)
      // The next connection is killed only when it stands: one that breaks twice within a call is told, not mended.
      await expect.poll(() => events.length, { timeout: 10_000 }).toBe(before + 2)
      expect(events.slice(before).map(({ name }) => name)).toEqual(['store.unavailable', 'store.available'])
    }
    operator.destroy()
  })

  it('a server that hangs costs a moment, not a time limit for each use', async () => {
    const { store, events } = await openStore()
    server.freeze()
    try {
      await expect(store.get('k')).rejects.toBeInstanceOf(StoreUnavailable)
      expect(events).toEqual([{ name: 'store.unavailable', fields: { operation: 'get', reason: 'TIMEOUT' } }])
      expect(store.available).toBe(false)
      for (let use = 0; use < 1000; use += 1) await expect(store.get('k')).rejects.toBeInstanceOf(StoreUnavailable)
    } finally {
      server.thaw()
    }
    await expect.poll(() => store.available, { timeout: 10_000 }).toBe(true)
  })

  it('whoever held a lock when the store went away is not failed by its release: the work is done', async () => {
    const { store } = await openStore()
    const lock = await store.acquire('held', 1000)
    await server.stop()
    const failure: unknown = await lock?.release().catch((error: unknown) => error)
    await server.start()
    expect(failure).toBeUndefined()
  })

  it('an end of a session holds here at once and reaches the others when the server is back', async () => {
    const keyPrefix = newPrefix()
    const one = await openStore({ keyPrefix })
    const two = await openStore({ keyPrefix })
    await server.stop()
    await one.store.end(endOfSession)
    expect(one.store.hasEnded(session)).toBe(true)
    expect(two.store.hasEnded(session)).toBe(false)
    await server.start()
    await expect.poll(() => two.store.hasEnded(session), { timeout: 10_000 }).toBe(true)
  })

  it.each([1, 1201])('a server that comes back empty learns of %i ends what the replicas know', async (count) => {
    const keyPrefix = newPrefix()
    const one = await openStore({ keyPrefix })
    const ids = Array.from({ length: count }, (_, index) => `s${index}`)
    for (const sessionId of ids) await one.store.end({ kind: 'session', sessionId, ttlSeconds: 60 })
    await server.stop()
    await server.start()
    await expect.poll(() => one.events.at(-1)?.name, { timeout: 10_000 }).toBe('store.available')
    const late = await openStore({ keyPrefix })
    expect(ids.filter((sessionId) => !late.store.hasEnded({ sessionId, subject: 'alice', createdAt: 1 }))).toEqual([])
  })

  it('a replica that starts before an empty server has learned them is told of ended sessions', async () => {
    const keyPrefix = newPrefix()
    const link = await startPausingLink(server.port)
    const one = await openStore({ url: link.url, keyPrefix })
    await one.store.end(endOfSession)
    await link.goAway()
    await server.stop()
    await server.start()
    const late = await openStore({ keyPrefix })
    expect(late.store.hasEnded(session)).toBe(false)
    await link.restore()
    await expect.poll(() => late.store.hasEnded(session), { timeout: 10_000 }).toBe(true)
    await link.close()
  })

  it('an end of the same user that comes while the one that waited is sent reaches the others too', async () => {
    const keyPrefix = newPrefix()
    const link = await startPausingLink(server.port)
    const clock = createShiftedClock()
    const one = await openStore({ url: link.url, keyPrefix, clock })
    const two = await openStore({ keyPrefix })
    const endAt = (createdUntil: number) =>
      one.store.end({ kind: 'subject', subject: 'alice', createdUntil, ttlSeconds: 60 })
    await link.goAway()
    await endAt(1000)
    // By now the store has been away for so long that nobody waits for it.
    clock.pass(10)
    link.pauseAt('ZADD', () => endAt(2000))
    await link.restore()
    await expect.poll(() => one.store.available, { timeout: 10_000 }).toBe(true)
    await expect.poll(() => two.store.hasEnded({ ...session, subject: 'alice', createdAt: 2000 })).toBe(true)
    await link.close()
  })

  it.each([
    [1000, 2000],
    [2000, 1000],
  ])('of two ends of one user that wait, at %i and at %i, the later counts', async (first, second) => {
    const keyPrefix = newPrefix()
    const one = await openStore({ keyPrefix })
    const two = await openStore({ keyPrefix })
    await server.stop()
    for (const createdUntil of [first, second]) {
      await one.store.end({ kind: 'subject', subject: 'alice', createdUntil, ttlSeconds: 60 })
    }
    await server.start()
    await expect.poll(() => two.store.hasEnded({ ...session, subject: 'alice', createdAt: 2000 })).toBe(true)
  })

  it('what ended while a replica was away is read when it comes back, all pages of it', async () => {
    const keyPrefix = newPrefix()
    const one = await openStore({ keyPrefix })
    const ids = Array.from({ length: 4500 }, (_, index) => `s${index}`)
    for (const sessionId of ids) await one.store.end({ kind: 'session', sessionId, ttlSeconds: 60 })
    const two = await openStore({ keyPrefix })
    expect(ids.filter((sessionId) => !two.store.hasEnded({ sessionId, subject: 'alice', createdAt: 1 }))).toEqual([])
  })

  it('a replica that starts later reads the longest life that was given', async () => {
    const keyPrefix = newPrefix()
    const { store } = await openStore({ keyPrefix })
    await store.end(endOfSession)
    await store.end({ ...endOfSession, ttlSeconds: 1 })
    await wait(1100)
    expect((await openStore({ keyPrefix })).store.hasEnded(session)).toBe(true)
  })

  it('a process starts without the server, says why, and takes part when it comes', async () => {
    await server.stop()
    const { store, events } = await openStore()
    expect(store.available).toBe(false)
    expect(events).toEqual([{ name: 'store.unavailable', fields: { operation: 'connect', reason: 'ECONNREFUSED' } }])
    await server.start()
    await expect.poll(() => store.available, { timeout: 10_000 }).toBe(true)
  })

  it('its connection keeps no process alive that could not start', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'token-handler-'))
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    await writeFile(join(folder, 'keys.json'), formatKeyRingFile(testKeys()))
    await writeFile(
      join(folder, 'settings.yaml'),
      `public_origin: https://www.example.com
authorization_server: { issuer: "https://login.example.com" }
client: { id: app, authentication: client_secret_basic, secret: not-so-secret }
keys: { file: keys.json }
proxy: { listen: { port: ${(taken.address() as AddressInfo).port} } }
store: { kind: valkey, url: "${server.url}" }
`,
    )
    const child = spawn(process.execPath, [command, '-c', join(folder, 'settings.yaml'), 'serve'], { stdio: 'ignore' })
    expect(await once(child, 'exit')).toEqual([1, null])
    taken.close()
    await rm(folder, { recursive: true })
  })

  it('a server that cannot write is not available', async () => {
    const full = await startValkey({ arguments: ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'] })
    const { store } = await openStore({ url: full.url })
    expect(store.available).toBe(false)
    await store.close()
    await full.stop()
  })

  it('a wrong password is reported without the password', async () => {
    const locked = await startValkey({ arguments: ['--requirepass', 'correct horse'] })
    const { store, events } = await openStore({ url: locked.url.replace('//', '//:battery@') })
    expect(store.available).toBe(false)
    expect(events).toEqual([{ name: 'store.unavailable', fields: { operation: 'connect', reason: 'WRONGPASS' } }])
    expect(JSON.stringify(events)).not.toContain('battery')
    await store.close()
    await locked.stop()
  })

  it('needs no more rights than deploy/valkey/rights.acl grants', async () => {
    const rights = (await readFile('deploy/valkey/rights.acl', 'utf8')).trim().split(' ')
    const narrow = await startValkey({
      arguments: ['--user', 'default', 'off', '--user', 'token-handler', 'on', '>example', ...rights],
    })
    const { store, events } = await openStore({
      url: narrow.url.replace('//', '//token-handler:example@'),
      keyPrefix: 'token-handler:',
    })
    const lock = await store.acquire('k', 1000)
    await lock?.release()
    expect(await store.acquire('k', 1000)).toBeDefined()
    await store.put('k', 'v', 60)
    expect(await store.get('k')).toBe('v')
    expect(await store.count('k', 60)).toBe(1)
    await store.end(endOfSession)
    expect(store.available).toBe(true)
    expect(events).toEqual([])
    await narrow.stop()
  })

  it.each([
    ['', 'takes, gives, locks, counts'],
    ['-set', 'cannot be used (NOPERM)'],
    ['-del', 'does not lock and release'],
    ['-incr', 'does not count'],
    ['-expire', 'does not count'],
    ['-publish', 'does not tell others'],
    ['-zadd', 'does not tell others'],
    ['-expireat', 'does not tell others'],
  ])('the doctor notices rights that are less than these: %s', async (less, found) => {
    const rights = `${(await readFile('deploy/valkey/rights.acl', 'utf8')).trim()} ${less}`.trim().split(' ')
    const narrow = await startValkey({
      arguments: ['--user', 'default', 'off', '--user', 'token-handler', 'on', '>example', ...rights],
    })
    const url = narrow.url.replace('//', '//token-handler:example@')
    const text = settingsFile({
      authorization_server: { issuer: 'http://127.0.0.1:9' },
      insecure_allow_http: true,
      public_origin: 'http://localhost',
      store: { kind: 'valkey', url },
    })
    const findings = await examine({ config: parse(text), clock: systemClock, userId: undefined })
    await narrow.stop()
    expect(findings.find(({ check }) => check === 'store')).toMatchObject({
      level: less === '' ? 'ok' : 'error',
      found: expect.stringContaining(found) as string,
    })
  })

  it('closing ends everything: nothing connects again', async () => {
    const { store, events } = await openStore()
    await store.close()
    await expect(store.get('k')).rejects.toBeInstanceOf(StoreUnavailable)
    expect(store.available).toBe(false)
    expect(events).toEqual([])
  })
})

describe('what others write into the store', () => {
  it('lines that are not ours end nobody and break nothing', async () => {
    const keyPrefix = newPrefix()
    const { store } = await openStore({ keyPrefix })
    const { createClient } = await import('@redis/client')
    const stranger = createClient({ url: server.url })
    await stranger.connect()
    const bad = ['', 'x', `s.${session.sessionId}`, `s.${session.sessionId} 99999 -1`, `s.${session.sessionId} 1e9 60`]
    for (const line of bad) await stranger.publish(`${keyPrefix}ended`, line)
    await store.end({ kind: 'session', sessionId: 'B', ttlSeconds: 60 })
    await stranger.publish(`${keyPrefix}ended`, `s.C 9999 60`)
    await expect
      .poll(() => store.hasEnded({ sessionId: 'C', subject: 'alice', createdAt: 1 }), { interval: 5 })
      .toBe(true)
    expect(store.hasEnded(session)).toBe(false)
    stranger.destroy()
  })
})

it('the list of ended sessions forgets what is over, and what ends first where it is full, and ends with the last of it', async () => {
  const { createClient } = await import('@redis/client')
  const client = createClient({ url: server.url })
  client.on('error', () => {})
  await client.connect()
  const key = `${newPrefix()}ended`
  const end = (most: number, ...entries: string[]) =>
    client.eval(endScript, { keys: [key, 'nobody'], arguments: [String(most), ...entries] })
  const held = () => client.zRange(key, 0, -1)
  await client.zAdd(key, { value: 'over 0', score: 1 })
  expect(await client.eval(readScript, { keys: [key], arguments: ['0', '9'] })).toEqual([])
  await end(10, 'a 0', '60', 'b 0', '30', 'c 0', '90')
  expect(await held()).toEqual(['b 0', 'a 0', 'c 0'])
  await end(3, 'd 0', '40')
  expect(await held()).toEqual(['d 0', 'a 0', 'c 0'])
  const ttlSeconds = await client.ttl(key)
  expect(ttlSeconds > 60 && ttlSeconds <= 90).toBe(true)
  client.destroy()
})

it('every replica is told of an end that it does not know, or not for as long, and of no other', async () => {
  const { createClient } = await import('@redis/client')
  const [client, listener] = [createClient({ url: server.url }), createClient({ url: server.url })]
  for (const each of [client, listener]) await each.on('error', () => {}).connect()
  const [key, channel] = [`${newPrefix()}ended`, `${newPrefix()}channel`]
  const told: string[] = []
  await listener.subscribe(channel, (line) => void told.push(line))
  for (const seconds of ['60', '60', '30', '90'])
    await client.eval(endScript, { keys: [key, channel], arguments: ['10', 'a 0', seconds] })
  await client.publish(channel, 'over')
  await expect.poll(() => told.at(-1)).toBe('over')
  expect(told).toEqual(['a 0 60', 'a 0 90', 'over'])
  client.destroy()
  listener.destroy()
})

it('no end is missed by whoever reads in pages while the life of another grows, of which it is told', async () => {
  const { createClient } = await import('@redis/client')
  const client = createClient({ url: server.url })
  client.on('error', () => {})
  await client.connect()
  const key = `${newPrefix()}ended`
  const end = (...entries: string[]) => client.eval(endScript, { keys: [key, 'nobody'], arguments: ['10', ...entries] })
  const read = async (from: string, to: string) => {
    const lines: unknown = await client.eval(readScript, { keys: [key], arguments: [from, to] })
    return (Array.isArray(lines) ? lines : []).map((line) => String(line)[0])
  }
  await end('a 0', '10', 'b 0', '20', 'c 0', '30', 'd 0', '40')
  const first = await read('0', '1')
  await end('a 0', '50')
  expect(new Set(['a', ...first, ...(await read('2', '3'))])).toEqual(new Set(['a', 'b', 'c', 'd']))
  client.destroy()
})

it('a lock is had by whoever asks once more, because the answer was lost, and freed by nobody else', async () => {
  const { createClient } = await import('@redis/client')
  const client = createClient({ url: server.url })
  client.on('error', () => {})
  await client.connect()
  const keys = [`${newPrefix()}lock`]
  const acquire = (token: string) => client.eval(acquireScript, { keys, arguments: [token, '5000'] })
  const release = (token: string) => client.eval(releaseScript, { keys, arguments: [token] })
  expect([await acquire('one'), await acquire('one'), await acquire('two')]).toEqual([1, 1, 0])
  expect([await release('two'), await acquire('two'), await release('one'), await acquire('two')]).toEqual([0, 0, 1, 1])
  client.destroy()
})
