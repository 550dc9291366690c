import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type ConnectProxy, startConnectProxy } from '../support/connect-proxy.ts'

/** Attack: lead the calls that carry codes, tokens and secrets through a proxy, by a variable of the environment. */

let server: Server
let heard: string[]
let ambush: ConnectProxy
beforeEach(async () => {
  heard = []
  server = createServer((request, response) => {
    heard.push(request.url ?? '')
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ambush = await startConnectProxy()
})
afterEach(async () => {
  await ambush.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const program = (origin: string): string => `
import { createTransport } from '${new URL('../../shared/oauth/transport.ts', import.meta.url).href}'
import { systemClock } from '${new URL('../../shared/clock.ts', import.meta.url).href}'
const authorizationServer = { timeoutMs: 5000, maxConcurrentRequests: 5, clockToleranceSeconds: 30 }
const transport = createTransport({ config: { authorizationServer }, clock: systemClock, observe: { emit() {} } })
const { status } = await transport.call('token', '${origin}/token', { method: 'POST', headers: {}, body: 'secret' })
await transport.close()
console.log(status)
await fetch('${origin}/fetch').catch(() => {})
`

it('N14 the environment leads no call to the authorization server through a proxy', async () => {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy']
  const env = { NODE_USE_ENV_PROXY: '1', ...Object.fromEntries(names.map((name) => [name, ambush.origin])) }
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program(origin)], { env })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  await once(child, 'close')
  expect(out).toBe('200\n')
  expect(heard).toContain('/token')
  expect(ambush.carried()).not.toContain('secret')
  // What Node itself sends obeys the variables, so they were there to be obeyed.
  expect([...ambush.readable, ...ambush.asked]).toHaveLength(1)
}, 30_000)
