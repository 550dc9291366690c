import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { failureCode } from '../../shared/failure-code.ts'
import { ask, childrenOf, type CommandWorld, createCommandWorld, patience, stateOf } from '../support/command-world.ts'
import { freePort } from '../support/free-port.ts'
import { openRaw } from '../support/raw-http.ts'

let world: CommandWorld
beforeEach(() => {
  world = createCommandWorld()
})
afterEach(() => world.close())

it('a worker that is replaced gets the settings of the others, whatever the file says by then', async () => {
  const port = await freePort()
  world.settings.listen = `{ port: ${port} }`
  const { child, ended, lines, ports, events, errors } = await world.start(2, 'serve', '--workers', '2')
  const count = (event: string) => events().filter((each) => each === event).length
  world.writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect
    .poll(() => lines().filter(({ event, part }) => event === 'config.reloaded' && part === 'routes').length, patience)
    .toBe(2)
  world.settings.listen = `{ port: ${await freePort()} }`
  world.writeSettings('bad')
  const [rejected, workers] = [count('config.rejected'), childrenOf(child.pid)]
  for (const worker of workers) process.kill(worker, 'SIGKILL')
  await expect.poll(() => ports().length, patience).toBe(4)
  expect(new Set(ports())).toEqual(new Set([port]))
  expect(await ask(port, '/other/x')).toContain('session_missing')
  expect(await ask(port, '/api/x')).toContain('route_not_found')
  // The replacements follow the file as those before them did.
  await expect.poll(() => count('config.rejected'), patience).toBeGreaterThan(rejected)
  await expect.poll(errors, patience).toContain('The changed settings are not used.')
  world.writeSettings('/third/**')
  await expect.poll(() => count('config.restart_needed'), patience).toBe(2)
  await expect.poll(() => ask(port, '/third/x'), patience).toContain('session_missing')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('workers that cannot start again are missing in the metrics, and tried ever later', async () => {
  world.settings.operationsPort = await freePort()
  const { child, ended, ports, errors } = await world.start(2, 'serve', '--workers', '2')
  const metrics = () => world.askOperations('/metrics')
  await expect.poll(metrics, patience).toMatch(/^token_handler_workers_ready 2$/m)
  const [keys, away] = [join(world.folder, 'keys.json'), join(world.folder, 'away.json')]
  renameSync(keys, away)
  process.kill(childrenOf(child.pid)[0] ?? 0, 'SIGKILL')
  await expect.poll(errors, patience).toContain('A worker ended (code 78); another is started in 2 s.')
  expect(await metrics()).toMatch(/^token_handler_workers 2$/m)
  expect(await metrics()).toMatch(/^token_handler_workers_ready 1$/m)
  expect(await world.askOperations('/readyz')).toContain('200 OK')
  await expect.poll(errors, patience).toContain('A worker ended (code 78); another is started in 4 s.')
  renameSync(away, keys)
  await expect.poll(() => ports().length, patience).toBe(3)
  await expect.poll(metrics, patience).toMatch(/^token_handler_workers_ready 2$/m)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 120_000)

/** Lets a process have no more file descriptors than these. */
function limitFiles(pid: number, files: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`])
}

it('a worker that the system cannot start takes nobody with it, and is tried again', async () => {
  world.settings.operationsPort = await freePort()
  const { child, ended, ports, errors } = await world.start(2, 'serve', '--workers', '2')
  const { pid = 0 } = child
  // Their parent listens last, and needs a descriptor for that.
  await expect.poll(() => world.askOperations('/readyz').catch(String)).toContain('200 OK')
  limitFiles(pid, 10)
  process.kill(childrenOf(pid)[0] ?? 0, 'SIGKILL')
  const wanted =
    'A worker could not be started (EMFILE: raise the limit of open files); another is started in 2 s.\n' +
    'A worker could not be started (EMFILE: raise the limit of open files); another is started in 4 s.'
  await expect.poll(errors, patience).toContain(wanted)
  limitFiles(pid, 1024)
  await expect.poll(() => ports().length, patience).toBe(3)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('a worker that had no file descriptor left for a connection gets others later', async () => {
  const { child, ended, ports } = await world.start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  const workers = childrenOf(child.pid)
  for (const worker of workers) limitFiles(worker, 10)
  // More than there are workers, so that none of them can keep one.
  for (let round = 0; round < 4; round++) expect(await ask(port, '/oauth-agent/session')).toBe('')
  for (const worker of workers) limitFiles(worker, 1024)
  for (let round = 0; round < 4; round++) expect(await ask(port, '/oauth-agent/session')).toContain('200 OK')
  expect(childrenOf(child.pid)).toEqual(workers)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 60_000)

it('what workers have counted stays in the metrics when they end', async () => {
  world.settings.operationsPort = await freePort()
  const { child, ended, ports } = await world.start(2, 'serve', '--workers', '2')
  const answered = async () =>
    /^token_handler_requests_total\{.*\} (.*)$/m.exec(await world.askOperations('/metrics'))?.[1]
  for (const _ of [1, 2]) await ask(ports().at(-1) ?? 0, '/oauth-agent/session')
  expect(await answered()).toBe('2')
  for (const worker of childrenOf(child.pid)) process.kill(worker, 'SIGKILL')
  await expect.poll(() => ports().length, patience).toBe(4)
  expect(await answered()).toBe('2')
  await ask(ports().at(-1) ?? 0, '/oauth-agent/session')
  expect(await answered()).toBe('3')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('a worker that hangs is killed and replaced', async () => {
  const { child, ended, ports, errors } = await world.start(2, 'serve', '--workers', '2')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGSTOP')
  await expect.poll(() => ports().length, patience).toBe(3)
  await expect.poll(errors, patience).toContain(`Worker ${worker} has been silent for 10 s and is killed.`)
  expect(childrenOf(child.pid)).not.toContain(worker)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('a connection that was handed to a worker that hangs is closed when that is killed', async () => {
  const { child, ended, ports, errors } = await world.start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGSTOP')
  // More than there are workers, so that one of them goes to the one that hangs.
  const answers = await Promise.all(Array.from({ length: 4 }, () => ask(port, '/oauth-agent/session')))
  expect(answers.map((answer) => answer.slice(0, 15)).toSorted()).toEqual([
    '',
    'HTTP/1.1 200 OK',
    'HTTP/1.1 200 OK',
    'HTTP/1.1 200 OK',
  ])
  expect(errors()).toContain(`Worker ${worker} has been silent for 10 s and is killed.`)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('a stop does not wait for a worker that hangs', async () => {
  world.settings.drainSeconds = 0
  const { child, ended, events, errors } = await world.start(2, 'serve', '--workers', '2')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGSTOP')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  await expect.poll(errors, patience).toContain(`Worker ${worker} did not end in time and is killed.`)
  expect(events().filter((event) => event === 'process.stopping')).toHaveLength(1)
}, 90_000)

/** Has no worker take the processor until SIGCONT. */
async function pauseWorkers(primary: number | undefined): Promise<readonly number[]> {
  const workers = childrenOf(primary)
  for (const worker of workers) process.kill(worker, 'SIGSTOP')
  for (const worker of workers) await expect.poll(() => stateOf(worker), patience).toBe('T')
  return workers
}

it('a worker that is still starting at a stop ends without opening the port', async () => {
  const { child, ended, ports, events } = await world.start(2, 'serve', '--workers', '2')
  const [first = 0, second = 0] = childrenOf(child.pid)
  process.kill(first, 'SIGKILL')
  const others = () => childrenOf(child.pid).filter((pid) => pid !== first && pid !== second)
  await expect.poll(() => others().length, { ...patience, interval: 5 }).toBe(1)
  const [late = 0] = others()
  process.kill(late, 'SIGSTOP')
  child.kill('SIGTERM')
  await expect.poll(() => childrenOf(child.pid), patience).toEqual([late])
  process.kill(late, 'SIGCONT')
  expect(await ended).toBe(0)
  expect(ports()).toHaveLength(2)
  expect(events().filter((event) => event === 'process.stopping')).toHaveLength(1)
}, 60_000)

it('a stop loses no connection that waits for a worker', async () => {
  const { child, ended, ports } = await world.start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  const workers = await pauseWorkers(child.pid)
  const waiting = await Promise.all(Array.from({ length: 40 }, () => openRaw(port)))
  for (const connection of waiting)
    connection.write('POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')
  child.kill('SIGTERM')
  for (const worker of workers) process.kill(worker, 'SIGCONT')
  for (const connection of waiting) expect(await connection.closed()).toContain('HTTP/1.1 4')
  expect(await ended).toBe(0)
}, 90_000)

it('a stop closes the port when no worker can close its own server', async () => {
  const { child, ended, ports } = await world.start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  const workers = await pauseWorkers(child.pid)
  child.kill('SIGTERM')
  const attempt = () => openRaw(port).then((connection) => connection.close(), failureCode)
  await expect.poll(attempt, patience).toBe('ECONNREFUSED')
  // Their death would have closed it, too.
  expect(workers.map(stateOf)).toEqual(['T', 'T'])
  for (const worker of workers) process.kill(worker, 'SIGCONT')
  expect(await ended).toBe(0)
}, 90_000)

it('a worker that dies as it is asked something takes nobody with it', async () => {
  world.settings.operationsPort = await freePort()
  const { child, ended, ports } = await world.start(2, 'serve', '--workers', '2')
  const { pid = 0 } = child
  // The primary opens it when all workers listen.
  const scrape = await vi.waitFor(() => openRaw(world.settings.operationsPort), patience)
  const [worker = 0] = childrenOf(pid)
  // The primary wakes up with a question to pass on before it learns that the one it asks is dead.
  child.kill('SIGSTOP')
  await expect.poll(() => stateOf(pid), patience).toBe('T')
  scrape.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  process.kill(worker, 'SIGKILL')
  await expect.poll(() => stateOf(worker), patience).toBe('Z')
  child.kill('SIGCONT')
  expect(await scrape.closed()).toContain('token_handler_key_info')
  await expect.poll(() => ports().length, patience).toBe(3)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('N08 no signal opens the debugger, in no process of several', async () => {
  const { child, ended, events, errors } = await world.start(2, 'serve', '--workers', '2')
  const workers = childrenOf(child.pid)
  expect(workers).toHaveLength(2)
  for (const pid of [child.pid ?? 0, ...workers]) process.kill(pid, 'SIGUSR1')
  world.writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect.poll(() => events().filter((event) => event === 'config.reloaded').length, patience).toBeGreaterThan(1)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(errors()).not.toMatch(/debugger/i)
}, 90_000)

it('there is a worker for each core where no number is given', async () => {
  const { child, ended } = await world.start(Math.min(availableParallelism(), 64), 'serve', '--workers')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('workers end with their primary when the operations port is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  world.settings.operationsPort = port
  world.writeSettings('/api/**')
  const child = world.run(['serve', '--workers', '2'], ['ignore', 'ignore', 'pipe'])
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  const ended = once(child, 'exit')
  // Both write to the same pipe, so it closes when the last worker is gone.
  await once(child, 'close')
  expect(await ended).toEqual([1, null])
  expect(errors).toContain(`Port ${port} on 127.0.0.1 is in use`)
  taken.close()
}, 60_000)
