import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createDoor, type Door } from '../../bin/parts.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'

const clock = createManualClock()
const api = createServer()
let door: Door
let config: Config
const front = createServer((request, response) => void door.handle(request, response))

beforeEach(async () => {
  for (const server of [api, front]) await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = api.address() as AddressInfo
  const upstream = `http://127.0.0.1:${port}`
  config = parse(
    settingsFile({
      proxy: { routes: [{ path: '/api/**', upstream, credential: { kind: 'none' }, anonymous: 'none' }] },
    }),
  )
  door = await createDoor('proxy', {
    config,
    keys: fixedKeys(createKeyRing(testKeys())),
    store: createMemoryStore({ clock }),
    clock,
    observe: { emit: () => undefined },
  })
})
afterEach(async () => {
  await door.close()
  for (const server of [api, front]) {
    server.closeAllConnections()
    server.close()
  }
})

/** A call of which the API has answered the head and one byte; it goes on when `response` is used. */
async function callUnderWay(): Promise<{ answer: IncomingMessage; response: ServerResponse }> {
  const arrived = once(api, 'request') as Promise<[IncomingMessage, ServerResponse]>
  const { port } = front.address() as AddressInfo
  const { host } = new URL(config.publicOrigin)
  const headers = { host, 'token-handler-version': '1', 'sec-fetch-site': 'same-origin' }
  const answered = once(get({ port, host: '127.0.0.1', path: '/api/x', agent: false, headers }), 'response')
  const [, response] = await arrived
  response.writeHead(200, { 'content-length': '2' }).write('a')
  const [answer] = (await answered) as [IncomingMessage]
  return { answer, response }
}

it('a call in flight finishes under the routes it began with, however long it takes', async () => {
  const { answer, response } = await callUnderWay()
  await door.replaceRoutes(config)
  const { shutdownDrainSeconds } = config.operations
  for (let round = 0; round < 4; round++) clock.pass(shutdownDrainSeconds)
  response.end('b')
  expect(Buffer.concat(await answer.toArray()).toString()).toBe('ab')
})

it('when it has ended, no connection to its API is left', async () => {
  const { answer, response } = await callUnderWay()
  await door.replaceRoutes(config)
  clock.pass(config.operations.shutdownDrainSeconds)
  const connections = () => new Promise((resolve) => api.getConnections((_, count) => resolve(count)))
  expect(await connections()).toBe(1)
  response.end('b')
  await answer.toArray()
  await expect.poll(connections).toBe(0)
})
