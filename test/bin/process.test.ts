import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ask, childrenOf, type CommandWorld, createCommandWorld, patience } from '../support/command-world.ts'
import { openRaw } from '../support/raw-http.ts'

const session = '/oauth-agent/session'

let world: CommandWorld
beforeEach(() => {
  world = createCommandWorld()
})
afterEach(() => world.close())

it('a process serves, reloads on SIGHUP, keeps the old settings when the new are bad, and ends with 0', async () => {
  const { child, ended, lines, ports, events, errors } = await world.start(1, 'serve')
  const [port = 0] = ports()
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  world.writeSettings('bad')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.rejected')
  expect(errors()).toContain('proxy.routes[0].path')
  world.writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.reloaded')
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(lines().at(-1)).toMatchObject({ event: 'process.stopping', signal: 'SIGTERM' })
  expect(errors() + JSON.stringify(lines())).not.toContain('do-not-show-me')
}, 60_000)

it('workers share one port, one that dies is replaced, and all end together', async () => {
  const { child, ended, ports, events, errors } = await world.start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGKILL')
  await expect.poll(() => ports().length, patience).toBe(3)
  expect(errors()).toContain('With store.kind: memory each of the 2 workers')
  expect(errors()).toContain('A worker ended')
  expect(new Set(ports())).toEqual(new Set([port]))
  expect(await ask(port, session)).toContain('{"is_logged_in":false}')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(events().filter((event) => event === 'process.stopping')).toHaveLength(2)
}, 90_000)

/** Starts the executable against a store that takes connections and then says nothing, until the first comes. */
async function startHeldUp(...args: string[]) {
  const store = createServer((connection) => connection.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(store, 'listening')
  const { port } = store.address() as AddressInfo
  world.writeSettings('/api/**', `store: { kind: valkey, url: "redis://127.0.0.1:${port}", timeout_ms: 5000 }`)
  const child = world.run(['serve', ...args], 'ignore')
  const ended = once(child, 'exit')
  await once(store, 'connection')
  return { child, ended, store }
}

it('a stop during the start ends the process with 0, and a reload does not end it', async () => {
  const { child, ended, store } = await startHeldUp()
  child.kill('SIGHUP')
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  store.close()
}, 60_000)

it('a worker that is killed during the start ends it as a failure', async () => {
  const { child, ended, store } = await startHeldUp('--workers', '2')
  process.kill(childrenOf(child.pid)[0] ?? 0, 'SIGKILL')
  expect(await ended).toEqual([1, null])
  store.close()
}, 60_000)

it.each([1, 2])(
  'a Unix socket serves, is taken over after a kill, and is gone at the end, with workers: %i',
  async (workers) => {
    const socket = join(world.folder, 'proxy.sock')
    world.settings.listen = `{ socket: ${socket} }`
    const first = await world.start(workers, 'serve', '--workers', String(workers))
    expect(await ask(socket, session)).toContain('{"is_logged_in":false}')
    expect(first.lines()[0]).not.toHaveProperty('port')
    for (const pid of [...childrenOf(first.child.pid), first.child.pid ?? 0]) process.kill(pid, 'SIGKILL')
    await first.ended
    expect(existsSync(socket)).toBe(true)
    const { child, ended } = await world.start(workers, 'serve', '--workers', String(workers))
    expect(await ask(socket, session)).toContain('{"is_logged_in":false}')
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(existsSync(socket)).toBe(false)
  },
  90_000,
)

it('a socket whose folder is missing ends the start with what to do', async () => {
  world.settings.listen = `{ socket: ${join(world.folder, 'missing', 'proxy.sock')} }`
  world.writeSettings('/api/**')
  const child = world.run(['serve'], ['ignore', 'ignore', 'pipe'])
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  expect(await once(child, 'close')).toEqual([1, null])
  expect(errors).toContain('missing/proxy.sock cannot be made. Check that its folder is there')
}, 60_000)

it.each([1, 2])(
  'a second signal ends everything at once, whatever is in flight, with workers: %i',
  async (workers) => {
    const { child, ended, ports, events } = await world.start(workers, 'serve', '--workers', String(workers))
    // The agent waits for a body that never comes.
    const connection = await openRaw(ports()[0] ?? 0)
    connection.write(
      'POST /oauth-agent/login/end HTTP/1.1\r\nHost: localhost:3000\r\nToken-Handler-Version: 1\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n',
    )
    expect(await connection.until((text) => text.includes('\r\n\r\n'))).toContain('100 Continue')
    // All write to the same pipe, so it closes when the last worker is gone.
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    await expect.poll(() => events().filter((event) => event === 'process.stopping').length, patience).toBe(workers)
    expect(connection.socket.closed).toBe(false)
    child.kill('SIGINT')
    expect(await ended).toBe(1)
    await closed
  },
  90_000,
)
