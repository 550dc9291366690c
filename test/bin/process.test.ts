import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createCertificate } from '../support/certificate.ts'
import {
  ask,
  bundleCommand,
  childrenOf,
  type CommandProgram,
  type CommandWorld,
  createCommandWorld,
  patience,
} from '../support/command-world.ts'
import { freePort } from '../support/free-port.ts'
import { openRaw } from '../support/raw-http.ts'
import { startScriptedServer } from '../support/scripted-authorization-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const session = '/oauth-agent/session'

const { path: folder } = temporaryFolder()
let program: CommandProgram
beforeAll(() => {
  program = bundleCommand(join(folder, 'image'))
}, 120_000)

let world: CommandWorld
beforeEach(() => {
  world = createCommandWorld(program)
})
afterEach(() => world.close())

it('a process goes on when nobody is left to read its standard error', async () => {
  const { child, ended, events } = await world.start(1, 'serve')
  child.stderr?.destroy()
  world.writeSettings('bad')
  child.kill('SIGHUP')
  await expect.poll(events, patience).toContain('config.rejected')
  world.writeSettings('/other/**')
  child.kill('SIGHUP')
  await expect.poll(() => events().filter((event) => event === 'config.reloaded'), patience).toHaveLength(1)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 60_000)

it('an audit file that is a pipe without a reader ends the start with what to do', async () => {
  execFileSync('mkfifo', [join(world.folder, 'audit.pipe')])
  world.writeSettings('/api/**', 'observability: { audit_file: audit.pipe }')
  const child = world.run(['serve'], ['ignore', 'ignore', 'pipe'])
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  expect(await once(child, 'close')).toEqual([78, null])
  expect(errors).toContain('a pipe needs somebody who reads it')
}, 60_000)

it('an audit file that cannot be opened again after a rotation is told of in the log, in the old file and to people', async () => {
  const [logs, moved] = ['logs', 'moved'].map((name) => join(world.folder, name)) as [string, string]
  mkdirSync(logs)
  world.writeSettings('/api/**', 'observability: { audit_file: logs/audit.jsonl }')
  const child = world.run(['serve'])
  let [log, errors] = ['', '']
  child.stdout?.on('data', (chunk: Buffer) => void (log += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
  const audit = (folder: string) => readFileSync(join(folder, 'audit.jsonl'), { encoding: 'utf8', flag: 'a+' })
  await expect.poll(() => audit(logs), patience).toContain('process.started')
  renameSync(logs, moved)
  child.kill('SIGHUP')
  const told = '"event":"config.rejected","part":"audit_file"'
  await expect.poll(() => log, patience).toContain(told)
  await expect
    .poll(() => audit(moved), patience)
    .toContain('"event":"config.rejected","audit":true,"part":"audit_file"')
  await expect.poll(() => errors, patience).toContain('The audit file cannot be opened again (ENOENT)')
}, 60_000)

it.each([
  ['serve', 1],
  ['serve', 2],
  ['agent', 1],
])(
  'a client secret that was replaced in its file is sent after SIGHUP: %s, workers: %i',
  async (mode, workers) => {
    const server = await startScriptedServer()
    server.changeMetadata({ pushed_authorization_request_endpoint: `${server.issuer}/par` })
    writeFileSync(join(world.folder, 'secret'), 'the-first')
    writeFileSync(
      join(world.folder, 'settings.yaml'),
      `public_origin: http://localhost:3000
insecure_allow_http: true
authorization_server: { issuer: "${server.issuer}" }
client: { id: spa, authentication: client_secret_basic, secret_file: secret }
keys: { file: keys.json }
agent: { listen: { port: 0 } }
proxy: { listen: { port: 0 }, routes: [{ path: /api/**, upstream: "http://127.0.0.1:9" }] }
operations: { listen: { port: 0 } }
`,
    )
    const child = world.run([mode, '--workers', String(workers)])
    let log = ''
    child.stdout?.on('data', (chunk: Buffer) => void (log += chunk.toString()))
    const count = (text: string) => log.split(text).length - 1
    await expect.poll(() => count('"event":"process.started"'), patience).toBe(workers)
    const port = Number(/"event":"process.started".*"port":(\d+)/.exec(log)?.[1])
    const sent = async () => {
      const connection = await openRaw(port)
      connection.write(
        'POST /oauth-agent/login/start HTTP/1.1\r\nHost: localhost:3000\r\nToken-Handler-Version: 1\r\nSec-Fetch-Site: same-origin\r\nOrigin: http://localhost:3000\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
      )
      expect(await connection.closed()).toContain('authorization_url')
      return server.requests.findLast(({ endpoint }) => endpoint === 'par')?.headers.authorization
    }
    expect(await sent()).toBe(`Basic ${btoa('spa:the-first')}`)
    writeFileSync(join(world.folder, 'secret'), 'the-second')
    child.kill('SIGHUP')
    await expect.poll(() => count('"part":"client_secret"'), patience).toBe(workers)
    for (let each = 0; each < 4; each += 1) expect(await sent()).toBe(`Basic ${btoa('spa:the-second')}`)
    await server.close()
  },
  60_000,
)

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

it.each([
  [
    'a socket whose folder is missing',
    '{ socket: missing/proxy.sock }',
    1,
    'missing/proxy.sock cannot be made. Check that its folder is there',
  ],
  [
    'a certificate that is missing',
    '{ port: 0, certificate_file: missing.crt, private_key_file: missing.key }',
    78,
    'proxy.listen.certificate_file (line 6): names a file that cannot be read',
  ],
])(
  '%s ends the start with what to do',
  async (_, listen, code, words) => {
    world.settings.listen = listen
    world.writeSettings('/api/**')
    const child = world.run(['serve'], ['ignore', 'ignore', 'pipe'])
    let errors = ''
    child.stderr?.on('data', (chunk: Buffer) => void (errors += chunk.toString()))
    expect(await once(child, 'close')).toEqual([code, null])
    expect(errors).toContain(words)
  },
  60_000,
)

it.each([1, 2])(
  'TLS is spoken, its certificate replaced on SIGHUP, and one that cannot be used is not, with workers: %i',
  async (workers) => {
    const authority = createCertificate({ name: 'authority' })
    const make = (name: string, until?: string) =>
      createCertificate({ name, issuer: authority, hosts: ['127.0.0.1'], ...(until !== undefined && { until }) })
    const [first, second, gateway] = [make('first', '400101000000Z'), make('second', '410101000000Z'), make('gateway')]
    const write = (name: string, text: string) => writeFileSync(join(world.folder, name), text)
    write('ca.crt', authority.certificate)
    write('tls.crt', first.certificate)
    write('tls.key', first.privateKey)
    world.settings.listen = '{ port: 0, certificate_file: tls.crt, private_key_file: tls.key, client_ca_file: ca.crt }'
    world.settings.operationsPort = await freePort()
    const { child, ended, ports, events, errors } = await world.start(workers, 'serve', '--workers', String(workers))
    const [port = 0] = ports()
    const tls = { ca: authority.certificate, cert: gateway.certificate, key: gateway.privateKey }
    const shown = async () => {
      const connection = await openRaw(port, tls)
      const { subject } = (connection.socket as TLSSocket).getPeerCertificate()
      connection.close()
      return subject.CN
    }
    /** Asks one after the other, so that every worker has its turn. */
    const shownByAll = async () => [await shown(), await shown()]
    const expiry = async () =>
      /^token_handler_certificate_expiry_timestamp_seconds\{file="certificate",shown_to="gateway",route=""\} (.*)$/m.exec(
        await world.askOperations('/metrics'),
      )?.[1]
    const seconds = (moment: string) => String(Date.parse(moment) / 1000)
    const count = (event: string) => events().filter((each) => each === event).length
    expect(await ask(port, session, tls)).toContain('{"is_logged_in":false}')
    expect(await shownByAll()).toEqual(['first', 'first'])
    expect(await expiry()).toBe(seconds('2040-01-01T00:00:00Z'))

    write('tls.crt', second.certificate)
    // The key might come between two readings, so only the second of them is reported. Routes are read again as well.
    for (const readings of [1, 2]) {
      child.kill('SIGHUP')
      await expect.poll(() => count('config.reloaded'), patience).toBe(readings * workers)
    }
    await expect.poll(() => count('config.rejected'), patience).toBe(workers)
    await expect.poll(errors, patience).toContain('proxy.listen.private_key_file: is not the key of the certificate')
    await expect.poll(errors, patience).toContain('The changed certificate is not used.')
    expect(await shownByAll()).toEqual(['first', 'first'])
    expect(await expiry()).toBe(seconds('2040-01-01T00:00:00Z'))

    write('tls.key', second.privateKey)
    child.kill('SIGHUP')
    await expect.poll(() => count('config.reloaded'), patience).toBe(4 * workers)
    expect(await shownByAll()).toEqual(['second', 'second'])
    expect(await expiry()).toBe(seconds('2041-01-01T00:00:00Z'))
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  },
  90_000,
)

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
