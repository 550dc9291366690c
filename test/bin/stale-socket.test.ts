import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
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
  other.close()
})

it('a file that is no socket stays', async () => {
  writeFileSync(socket, 'text')
  await expect(clearStaleSocket(config(), 'serve')).rejects.toThrow(`${socket} is no socket.`)
  expect(readFileSync(socket, 'utf8')).toBe('text')
})
