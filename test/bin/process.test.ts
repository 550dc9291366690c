import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { freePort } from '../support/free-port.ts'
import { testKeys } from '../support/installation.ts'
import { openRaw } from '../support/raw-http.ts'

const command = fileURLToPath(new URL('../../bin/token-handler.ts', import.meta.url))
const patience = { timeout: 30_000 }

let folder: string
let child: ChildProcess | undefined
let operationsPort: number
let listen: string
let drainSeconds: number
beforeEach(() => {
  listen = '{ port: 0 }'
  operationsPort = 0
  drainSeconds = 600
  folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
  writeFileSync(join(folder, 'keys.json'), formatKeyRingFile(testKeys()))
})
afterEach(() => {
  child?.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

function writeSettings(route: string): void {
  writeFileSync(
    join(folder, 'settings.yaml'),
    `public_origin: http://localhost:3000
insecure_allow_http: true
authorization_server: { issuer: "http://127.0.0.1:9" }
client: { id: app, authentication: client_secret_basic, secret: "\${SECRET}" }
keys: { file: keys.json }
proxy: { listen: ${listen}, routes: [{ path: ${route}, upstream: "http://127.0.0.1:9" }] }
operations: { listen: { port: ${operationsPort} }, shutdown_wait_seconds: 0, shutdown_drain_seconds: ${drainSeconds}, trusted_proxies: ["unix:"] }
`,
  )
}

/** Starts the executable, and waits until `processes` of them listen. */
async function start(processes: number, ...args: string[]) {
  writeSettings('/api/**')
  const started = spawn(process.execPath, [command, ...args], {
    cwd: folder,
    env: { TOKEN_HANDLER_CONFIG: 'settings.yaml', SECRET: 'do-not-show-me' },
  })
  child = started
  let out = ''
  let errors = ''
  started.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  started.stderr.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => started.once('exit', resolve))
  const lines = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const ports = () => lines().flatMap(({ event, port }) => (event === 'process.started' ? [Number(port)] : []))
  await expect
    .poll(() => [ports().length, errors.replace(/^With store.kind: memory each .*\n/, '')], patience)
    .toEqual([processes, ''])
  return { child: started, ended, lines, ports, events: () => lines().map(({ event }) => event), errors: () => errors }
}

function askSession(at: number | string): Promise<string> {
  return ask(at, '/oauth-agent/session')
}

async function ask(at: number | string, path: string): Promise<string> {
  const connection = await openRaw(at)
  connection.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost:3000\r\nToken-Handler-Version: 1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n`,
  )
  return connection.closed()
}

async function askOperations(path: string): Promise<string> {
  const connection = await openRaw(operationsPort)
  connection.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
  return connection.closed()
}

it('a process serves, reloads on SIGHUP, keeps the old settings when the new are bad, and ends with 0', async () => {
  const { child, ended, lines, ports, events, errors } = await start(1, 'serve')
  const [port = 0] = ports()
  expect(await askSession(port)).toContain('{"is_logged_in":false}')
  writeSettings('bad')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.rejected')
  expect(errors()).toContain('proxy.routes[0].path')
  writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.reloaded')
  expect(await askSession(port)).toContain('{"is_logged_in":false}')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(lines().at(-1)).toMatchObject({ event: 'process.stopping', signal: 'SIGTERM' })
  expect(errors() + JSON.stringify(lines())).not.toContain('do-not-show-me')
}, 60_000)

it('workers share one port, one that dies is replaced, and all end together', async () => {
  const { child, ended, ports, events, errors } = await start(2, 'serve', '--workers', '2')
  const [port = 0] = ports()
  expect(await askSession(port)).toContain('{"is_logged_in":false}')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGKILL')
  await expect.poll(() => ports().length, patience).toBe(3)
  expect(errors()).toContain('With store.kind: memory each of the 2 workers')
  expect(errors()).toContain('A worker ended')
  expect(new Set(ports())).toEqual(new Set([port]))
  expect(await askSession(port)).toContain('{"is_logged_in":false}')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(events().filter((event) => event === 'process.stopping')).toHaveLength(2)
}, 90_000)

it('a worker that is replaced gets the settings of the others, whatever the file says by then', async () => {
  const port = await freePort()
  listen = `{ port: ${port} }`
  const { child, ended, lines, ports, events, errors } = await start(2, 'serve', '--workers', '2')
  const count = (event: string) => events().filter((each) => each === event).length
  writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect
    .poll(() => lines().filter(({ event, part }) => event === 'config.reloaded' && part === 'routes').length, patience)
    .toBe(2)
  listen = `{ port: ${await freePort()} }`
  writeSettings('bad')
  const [rejected, workers] = [count('config.rejected'), childrenOf(child.pid)]
  for (const worker of workers) process.kill(worker, 'SIGKILL')
  await expect.poll(() => ports().length, patience).toBe(4)
  expect(new Set(ports())).toEqual(new Set([port]))
  expect(await ask(port, '/other/x')).toContain('session_missing')
  expect(await ask(port, '/api/x')).toContain('route_not_found')
  // The replacements follow the file as those before them did.
  await expect.poll(() => count('config.rejected'), patience).toBeGreaterThan(rejected)
  expect(errors()).toContain('The changed settings are not used.')
  writeSettings('/third/**')
  await expect.poll(() => count('config.restart_needed'), patience).toBe(2)
  await expect.poll(() => ask(port, '/third/x'), patience).toContain('session_missing')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('workers that cannot start again are missing in the metrics, and tried ever later', async () => {
  operationsPort = await freePort()
  const { child, ended, ports, errors } = await start(2, 'serve', '--workers', '2')
  const metrics = () => askOperations('/metrics')
  await expect.poll(metrics, patience).toMatch(/^token_handler_workers_ready 2$/m)
  const [keys, away] = [join(folder, 'keys.json'), join(folder, 'away.json')]
  renameSync(keys, away)
  process.kill(childrenOf(child.pid)[0] ?? 0, 'SIGKILL')
  await expect.poll(errors, patience).toContain('A worker ended (code 78); another is started in 2 s.')
  expect(await metrics()).toMatch(/^token_handler_workers 2$/m)
  expect(await metrics()).toMatch(/^token_handler_workers_ready 1$/m)
  expect(await askOperations('/readyz')).toContain('200 OK')
  await expect.poll(errors, patience).toContain('A worker ended (code 78); another is started in 4 s.')
  renameSync(away, keys)
  await expect.poll(() => ports().length, patience).toBe(3)
  await expect.poll(metrics, patience).toMatch(/^token_handler_workers_ready 2$/m)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 120_000)

it('a worker that hangs is killed and replaced', async () => {
  const { child, ended, ports, errors } = await start(2, 'serve', '--workers', '2')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGSTOP')
  await expect.poll(() => ports().length, patience).toBe(3)
  expect(errors()).toContain(`Worker ${worker} has been silent for 10 s and is killed.`)
  expect(childrenOf(child.pid)).not.toContain(worker)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('a stop does not wait for a worker that hangs', async () => {
  drainSeconds = 0
  const { child, ended, events, errors } = await start(2, 'serve', '--workers', '2')
  const [worker = 0] = childrenOf(child.pid)
  process.kill(worker, 'SIGSTOP')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(errors()).toContain(`Worker ${worker} did not end in time and is killed.`)
  expect(events().filter((event) => event === 'process.stopping')).toHaveLength(1)
}, 90_000)

/** Starts the executable against a store that takes connections and then says nothing, until the first comes. */
async function startHeldUp(...args: string[]) {
  const store = createServer((connection) => connection.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(store, 'listening')
  const { port } = store.address() as AddressInfo
  writeSettings('/api/**')
  writeFileSync(
    join(folder, 'settings.yaml'),
    `store: { kind: valkey, url: "redis://127.0.0.1:${port}", timeout_ms: 5000 }\n`,
    { flag: 'a' },
  )
  child = spawn(process.execPath, [command, 'serve', ...args], {
    cwd: folder,
    env: { TOKEN_HANDLER_CONFIG: 'settings.yaml', SECRET: 'do-not-show-me' },
    stdio: 'ignore',
  })
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

it('N08 no signal opens the debugger, in no process of several', async () => {
  const { child, ended, events, errors } = await start(2, 'serve', '--workers', '2')
  const workers = childrenOf(child.pid)
  expect(workers).toHaveLength(2)
  for (const pid of [child.pid ?? 0, ...workers]) process.kill(pid, 'SIGUSR1')
  writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect.poll(() => events().filter((event) => event === 'config.reloaded').length, patience).toBeGreaterThan(1)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(errors()).not.toMatch(/debugger/i)
}, 90_000)

it.each([1, 2])(
  'a Unix socket serves, is taken over after a kill, and is gone at the end, with workers: %i',
  async (workers) => {
    const socket = join(folder, 'proxy.sock')
    listen = `{ socket: ${socket} }`
    const first = await start(workers, 'serve', '--workers', String(workers))
    expect(await askSession(socket)).toContain('{"is_logged_in":false}')
    expect(first.lines()[0]).not.toHaveProperty('port')
    for (const pid of [...childrenOf(first.child.pid), first.child.pid ?? 0]) process.kill(pid, 'SIGKILL')
    await first.ended
    expect(existsSync(socket)).toBe(true)
    const { child, ended } = await start(workers, 'serve', '--workers', String(workers))
    expect(await askSession(socket)).toContain('{"is_logged_in":false}')
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(existsSync(socket)).toBe(false)
  },
  90_000,
)

it('a socket whose folder is missing ends the start with what to do', async () => {
  listen = `{ socket: ${join(folder, 'missing', 'proxy.sock')} }`
  writeSettings('/api/**')
  child = spawn(process.execPath, [command, 'serve'], {
    cwd: folder,
    env: { TOKEN_HANDLER_CONFIG: 'settings.yaml', SECRET: 'do-not-show-me' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  expect(await once(child, 'close')).toEqual([1, null])
  expect(errors).toContain('missing/proxy.sock cannot be made. Check that its folder is there')
}, 60_000)

it('there is a worker for each core where no number is given', async () => {
  const { child, ended } = await start(Math.min(availableParallelism(), 64), 'serve', '--workers')
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 90_000)

it('a worker that dies as it is asked something takes nobody with it', async () => {
  operationsPort = await freePort()
  const { child, ended, ports } = await start(2, 'serve', '--workers', '2')
  const { pid = 0 } = child
  // The primary opens it when all workers listen.
  const scrape = await vi.waitFor(() => openRaw(operationsPort), patience)
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

/** `T` for a process that is stopped, `Z` for one that is dead and not yet noticed. */
function stateOf(pid: number): string | undefined {
  return statusOf(pid)?.[1]
}

/** The processes that `parent` has started; read here, because a bare Debian has no program that tells. */
function childrenOf(parent: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => Number(statusOf(pid)?.[2]) === parent)
}

/** State and parent of a process, if it is still there. */
function statusOf(pid: number): RegExpExecArray | null {
  try {
    return /\) (\w) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return null
  }
}

it('workers end with their primary when the operations port is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  operationsPort = port
  writeSettings('/api/**')
  child = spawn(process.execPath, [command, 'serve', '--workers', '2'], {
    cwd: folder,
    env: { TOKEN_HANDLER_CONFIG: 'settings.yaml', SECRET: 'do-not-show-me' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  const ended = once(child, 'exit')
  // Both write to the same pipe, so it closes when the last worker is gone.
  await once(child, 'close')
  expect(await ended).toEqual([1, null])
  expect(errors).toContain(`Port ${port} on 127.0.0.1 is in use`)
  taken.close()
}, 60_000)

it.each([1, 2])(
  'a second signal ends everything at once, whatever is in flight, with workers: %i',
  async (workers) => {
    const { child, ended, ports, events } = await start(workers, 'serve', '--workers', String(workers))
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
