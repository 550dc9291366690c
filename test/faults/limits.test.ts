import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import {
  type ClientRequest,
  createServer,
  get,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { systemClock } from '../../shared/clock.ts'
import { parseConfig } from '../../shared/config/load.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { randomId, systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { freePort } from '../support/free-port.ts'
import { browserAfter, cookieHeader, noCookies, sessionCookies, testKeys } from '../support/installation.ts'

const command = fileURLToPath(new URL('../../bin/token-handler.ts', import.meta.url))
const origin = 'http://localhost:3000'
const mebibyte = 1024 * 1024
const patience = { timeout: 30_000 }

let folder: string
let api: Server
let operationsPort: number
let child: ChildProcess | undefined
const keys = testKeys()

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-limits-'))
  writeFileSync(join(folder, 'keys.json'), formatKeyRingFile(keys))
  api = createServer((request, response) => {
    if (request.url === '/api/large') return sendLarge(response, 64)
    if (request.url === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: first\n\n')
      return
    }
    response.end(request.headers.authorization ?? 'ok')
  })
  new WebSocketServer({ server: api }).on('connection', (socket) => socket.send('hello'))
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
})

afterEach(async () => {
  child?.kill('SIGKILL')
  child = undefined
  rmSync(folder, { recursive: true })
  await new Promise((resolve) => {
    api.close(resolve)
    api.closeAllConnections()
  })
})

const settingsText = (): string => `public_origin: ${origin}
insecure_allow_http: true
authorization_server: { issuer: "http://127.0.0.1:9" }
client: { id: app, authentication: client_secret_basic, secret: not-a-real-secret }
keys: { file: keys.json }
cookies: { max_total_bytes: 8192 }
proxy:
  listen: { port: 0 }
  routes:
    - path: /api/**
      upstream: http://127.0.0.1:${(api.address() as AddressInfo).port}
      credential: { kind: none }
      anonymous: none
      headerless: [websocket, event_stream]
      websocket: true
    - { path: /api/own, upstream: "http://127.0.0.1:${(api.address() as AddressInfo).port}" }
operations: { listen: { port: ${operationsPort} }, shutdown_wait_seconds: 0, shutdown_drain_seconds: 5 }
`

/** Starts a proxy of its own process, under the limits that a shell sets first. */
async function startProxyProcess(limits: string): Promise<number> {
  operationsPort = await freePort()
  writeFileSync(join(folder, 'settings.yaml'), settingsText())
  child = spawn(
    'sh',
    ['-c', `${limits} exec "$0" "$@"`, process.execPath, command, 'proxy', '--config', 'settings.yaml'],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let out = ''
  child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  await expect.poll(() => /"process\.started".*"port":(\d+)/.exec(out)?.[1], patience).toBeDefined()
  return Number(/"process\.started".*"port":(\d+)/.exec(out)?.[1])
}

const headers = { host: 'localhost:3000', 'token-handler-version': '1', 'sec-fetch-site': 'same-origin' }

function call(port: number, path: string, more: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request: ClientRequest = get(
      { host: '127.0.0.1', port, path, agent: false, headers: { ...headers, ...more } },
      resolve,
    )
    request.on('error', reject)
  })
}

async function statusOf(port: number, path: string, more: Record<string, string> = {}): Promise<number> {
  const answer = await call(port, path, more)
  answer.resume()
  return answer.statusCode ?? 0
}

/** What a metric counts, over all the series with this label. */
async function counted(metric: string, label: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${operationsPort}/metrics`)).text()
  const series = text.split('\n').filter((line) => line.startsWith(metric) && line.includes(label))
  return series.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

/** Highest memory in use so far, from the kernel. */
function peakMebibytes(): number {
  const status = readFileSync(`/proc/${child?.pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

function sendLarge(response: ServerResponse, mebibytes: number): void {
  const piece = Buffer.alloc(64 * 1024)
  let left = (mebibytes * mebibyte) / piece.length
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  const more = (): void => {
    while (left > 0) {
      left--
      if (!response.write(piece)) {
        response.once('drain', more)
        return
      }
    }
    response.end()
  }
  more()
}

describe('a process short of something', () => {
  it('FI-15: with few file descriptors it stays alive, and recovers when the crowd has gone', async () => {
    const port = await startProxyProcess('ulimit -n 128;')
    const crowd: Socket[] = []
    const statuses: string[] = []
    for (let client = 0; client < 400; client++) {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.once('data', (chunk: Buffer) => void statuses.push(chunk.toString('latin1', 9, 12)))
      socket.write(
        `GET /api/x HTTP/1.1\r\n${Object.entries(headers)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join('')}\r\n`,
      )
      crowd.push(socket)
    }
    // Some are answered, be it with a failure: connections to the API need descriptors, too.
    await expect.poll(() => statuses.includes('503'), patience).toBe(true)
    for (const socket of crowd) socket.destroy()
    await expect.poll(() => statusOf(port, '/api/x').catch(() => 0), patience).toBe(200)
    expect(child?.exitCode).toBeNull()
    expect(statuses.filter((status) => status !== '200' && status !== '503')).toEqual([])
    // The kernel's queue is emptied below Node, which tells nobody; what is counted are the calls that got no descriptor.
    const shed = statuses.filter((status) => status === '503').length
    expect(await counted('token_handler_errors_total', 'error_code="overloaded"')).toBeGreaterThanOrEqual(shed)
    expect(await counted('process_max_fds', '')).toBe(128)
  })

  it('FI-16: large bodies and slow readers do not fill its memory', async () => {
    const port = await startProxyProcess('')
    const idle = await Promise.all(Array.from({ length: 12 }, () => call(port, '/api/large')))
    for (const answer of idle) answer.pause()
    let received = 0
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(Array.from({ length: 4 }, () => call(port, '/api/large')))
      await Promise.all(
        answers.map(async (answer) => {
          for await (const chunk of answer as AsyncIterable<Buffer>) received += chunk.length
        }),
      )
    }
    expect(received).toBe(16 * 64 * mebibyte)
    expect(peakMebibytes()).toBeLessThan(320)
    for (const answer of idle) answer.destroy()
    expect(await statusOf(port, '/api/x')).toBe(200)
  })

  it('FI-25: when it is asked to stop, streams end with a reason and the process ends well', async () => {
    const port = await startProxyProcess('')
    const events = await call(port, '/api/events', { accept: 'text/event-stream' })
    let text = ''
    events.setEncoding('utf8').on('data', (piece: string) => void (text += piece))
    const eventsEnd = Promise.race([
      once(events, 'end').then(() => 'ended'),
      once(events, 'error').then(() => 'broken'),
    ])
    const socket = new WebSocket(`ws://127.0.0.1:${port}/api/chat`, {
      headers: { host: 'localhost:3000', 'sec-fetch-site': 'same-origin' },
      origin,
    })
    const [greeting] = (await once(socket, 'message')) as [Buffer]
    const closed = once(socket, 'close')
    await expect.poll(() => text, patience).toContain('first')

    const exit = once(child as ChildProcess, 'exit')
    child?.kill('SIGTERM')
    expect(await eventsEnd).toBe('ended')
    const [code] = (await closed) as [number]
    expect([greeting.toString(), code]).toEqual(['hello', 1001])
    expect((await exit)[0]).toBe(0)
  })

  it('FI-30: many requests with as many cookies as a head may hold are answered or shed, never mistaken', async () => {
    const port = await startProxyProcess('')
    const cookie = Array.from({ length: 200 }, (_, at) => `name-${at}=${'v'.repeat(30)}`).join('; ')
    const statuses = new Map<number, number>()
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => statusOf(port, '/api/x', { cookie })))
      for (const status of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    expect([...statuses.keys()].filter((status) => status !== 200 && status !== 503)).toEqual([])
    expect(statuses.get(200) ?? 0).toBeGreaterThan(1000)
  })

  it('FI-30: many sessions in cookies of 8 KB at once each get their own token, or are shed', async () => {
    const port = await startProxyProcess('')
    const users = Array.from({ length: 100 }, (_, at) => signedIn(`user-${at}-`.padEnd(7200, 'x')))
    expect(users.filter(({ cookie }) => cookie.length < 7500 || cookie.length > 8192)).toEqual([])
    const seen = { whole: 0, shed: 0, other: [] as unknown[] }
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(users.map(({ cookie }) => call(port, '/api/own', { cookie })))
      await Promise.all(
        answers.map(async (answer, at) => {
          const text = (await answer.setEncoding('latin1').toArray()).join('')
          if (answer.statusCode === 200 && text === `Bearer ${users[at]?.accessToken}`) seen.whole++
          else if (answer.statusCode === 503) seen.shed++
          else seen.other.push([at, answer.statusCode, text.slice(0, 100)])
        }),
      )
    }
    expect(seen.other).toEqual([])
    expect(seen.whole).toBeGreaterThan(1000)
    expect(await counted('token_handler_cookies_unreadable_total', '')).toBe(0)
  })
})

/** The cookies of a browser in which somebody with this access token has signed in. */
function signedIn(accessToken: string): { accessToken: string; cookie: string } {
  const config = parseConfig(settingsText(), { env: {}, readFile: () => formatKeyRingFile(keys) })
  const writer = createCookieWriter({
    keys: fixedKeys(createKeyRing(keys)),
    catalogue: createCatalogue(config),
    binding: bindingOf(config),
    settings: config,
    clock: systemClock,
    random: systemRandomBytes,
  })
  const now = systemClock.nowSeconds()
  const limits = { createdAt: now, idleExpiresAt: now + 3600, absoluteExpiresAt: now + 7200 }
  const { access, refresh, identity } = sessionCookies()
  const facts = { ...limits, sessionId: randomId(systemRandomBytes) }
  const session = {
    access: { ...access, ...facts, accessToken, accessTokenExpiresAt: now + 3600 },
    ...(refresh && { refresh: { ...refresh, ...facts } }),
    identity: { ...identity, ...facts },
  }
  const cookie = cookieHeader(browserAfter(writer.setSession(session, noCookies)))
  return { accessToken, cookie }
}
