import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { clearStaleSocket } from '../../bin/stale-socket.ts'
import { parseConfig } from '../../shared/config/load.ts'

let folder: string
let socket: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
  socket = join(folder, 'proxy.sock')
})
afterEach(() => rmSync(folder, { recursive: true }))

const config = () =>
  parseConfig(
    `public_origin: https://www.example.com
authorization_server: { issuer: "https://login.example.com" }
client: { id: app, authentication: client_secret_basic, secret: secret }
keys: { file: keys.json }
proxy: { listen: { socket: "${socket}" } }
operations: { trusted_proxies: ["unix:"] }
`,
    { env: {}, readFile: () => '' },
  )

it('what a killed process left is taken away', async () => {
  // The process ends without a chance to take its socket with it.
  spawnSync(process.execPath, [
    '-e',
    `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  expect(existsSync(socket)).toBe(true)
  await clearStaleSocket(config(), 'proxy')
  expect(existsSync(socket)).toBe(false)
})

it('a path that nobody uses yet is no problem, and the path of another mode none of ours', async () => {
  await clearStaleSocket(config(), 'serve')
  writeFileSync(socket, 'text')
  await clearStaleSocket(config(), 'agent')
})

it('a socket at which a process answers stays', async () => {
  const other = createServer().listen(socket)
  await once(other, 'listening')
  await expect(clearStaleSocket(config(), 'proxy')).rejects.toThrow(
    `${socket} is in use by another process. Free it, or change proxy.listen.socket.`,
  )
  expect(existsSync(socket)).toBe(true)
  // An attempt that stayed open would keep both processes.
  await new Promise((resolve) => other.close(resolve))
})

// Linux says of a full queue that it is one; others cannot tell it from a socket that nobody listens at.
it.runIf(process.platform === 'linux')('a socket whose process is too busy to answer stays', async () => {
  const busy = spawn(process.execPath, [
    '-e',
    `require('node:net').createServer().listen({ path: ${JSON.stringify(socket)}, backlog: 1 }, () => {
      require('node:fs').writeSync(1, 'listening')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`,
  ])
  const waiting: Socket[] = []
  try {
    await once(busy.stdout, 'data')
    const connects = async () => {
      const connection = connect(socket)
      waiting.push(connection)
      return once(connection, 'connect').then(
        () => true,
        () => false,
      )
    }
    while (await connects());
    await expect(clearStaleSocket(config(), 'proxy')).rejects.toThrow(`${socket} cannot be connected to (EAGAIN).`)
    expect(existsSync(socket)).toBe(true)
  } finally {
    for (const connection of waiting) connection.destroy()
    busy.kill('SIGKILL')
  }
})

it('a file that is no socket stays', async () => {
  writeFileSync(socket, 'text')
  await expect(clearStaleSocket(config(), 'serve')).rejects.toThrow(`${socket} is no socket.`)
  expect(readFileSync(socket, 'utf8')).toBe('text')
})
