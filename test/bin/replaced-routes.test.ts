import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createService, type Service } from '../../bin/parts.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { createCookieWriter } from '../../shared/cookies/write.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { Secret } from '../../shared/secret.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { browserAfter, cookieHeader, noCookies, sessionCookies, testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'

const clock = createManualClock()
const api = createServer()
let service: Service
let config: Config
const keys = fixedKeys(createKeyRing(testKeys()))
const front = createServer((request, response) => void service.handle(request, response))

beforeEach(async () => {
  for (const server of [api, front]) await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = api.address() as AddressInfo
  const upstream = `http://127.0.0.1:${port}`
  config = parse(
    settingsFile({
      proxy: {
        routes: [
          {
            path: '/api/**',
            methods: ['GET', 'HEAD', 'DELETE'],
            upstream,
            credential: { kind: 'none' },
            anonymous: 'none',
          },
        ],
      },
    }),
  )
  service = await createService('proxy', {
    config,
    keys,
    store: createMemoryStore({ clock }),
    clock,
    observe: { emit: () => undefined },
  })
})
afterEach(async () => {
  await service.close()
  for (const server of [api, front]) {
    server.closeAllConnections()
    server.close()
  }
})

/** The Cookie field of a signed-in browser whose session falls idle at this time. */
function cookie(idleExpiresAt: number): { readonly cookie: string } {
  const parts = { keys, settings: config, clock, random: systemRandomBytes }
  const writer = createCookieWriter({ ...parts, catalogue: createCatalogue(config), binding: bindingOf(config) })
  const session = sessionCookies({ accessTokenExpiresAt: idleExpiresAt, idleExpiresAt })
  return { cookie: cookieHeader(browserAfter(writer.setSession(session, noCookies))) }
}

/** A call that the API has taken and not answered. */
async function callTaken(
  method = 'GET',
  more: Readonly<Record<string, string>> = {},
): Promise<{ answered: Promise<[IncomingMessage]>; response: ServerResponse }> {
  const arrived = once(api, 'request') as Promise<[IncomingMessage, ServerResponse]>
  const { port } = front.address() as AddressInfo
  const { host } = new URL(config.publicOrigin)
  const headers = { host, 'token-handler-version': '1', 'sec-fetch-site': 'same-origin', ...more }
  const call = request({ method, port, host: '127.0.0.1', path: '/api/x', agent: false, headers }).end()
  const answered = once(call, 'response') as Promise<[IncomingMessage]>
  const [, response] = await arrived
  return { answered, response }
}

/** A call of which the API has answered the head and one byte; it goes on when `response` is used. */
async function callUnderWay(
  head: Readonly<Record<string, string>> = { 'content-length': '2' },
  more: Readonly<Record<string, string>> = {},
): Promise<{ answer: IncomingMessage; response: ServerResponse }> {
  const { answered, response } = await callTaken('GET', more)
  response.writeHead(200, head).write('a')
  const [answer] = await answered
  return { answer, response }
}

/** Resolves when all of this has come; rejects when the answer breaks off before. */
async function received(answer: IncomingMessage, text: string): Promise<void> {
  let read = ''
  while (read !== text) {
    const [chunk] = (await once(answer, 'data')) as [Buffer]
    read += chunk.toString()
  }
}

it('a call in flight finishes under the routes it began with, however long it takes', async () => {
  const { answer, response } = await callUnderWay()
  await service.reconfigure(config)
  const { shutdownDrainSeconds } = config.operations
  for (let round = 0; round < 4; round++) clock.pass(shutdownDrainSeconds)
  response.end('b')
  expect(Buffer.concat(await answer.toArray()).toString()).toBe('ab')
})

describe('an answer without a length', () => {
  const ndjson = { 'content-type': 'application/x-ndjson' }
  const without = (): Config => ({ ...config, proxy: { ...config.proxy, routes: [] } })
  const changed = (): Config => ({
    ...config,
    proxy: {
      ...config.proxy,
      routes: config.proxy.routes.map((route) => ({ ...route, maxBodyBytes: route.maxBodyBytes + 1 })),
    },
  })
  const withKey = (key: string): Config => ({
    ...config,
    proxy: {
      ...config.proxy,
      routes: config.proxy.routes.map((route) => ({
        ...route,
        credential: { kind: 'api_key', header: 'x-api-key', prefix: '', value: new Secret(key) },
      })),
    },
  })
  const drain = () => clock.pass(config.operations.shutdownDrainSeconds)

  it.each([
    ['taken away', without],
    ['changed', changed],
  ])('breaks off after the drain time when its route was %s', async (_, next) => {
    const { answer } = await callUnderWay(ndjson)
    await service.reconfigure(next())
    const over = answer.toArray().catch((error: NodeJS.ErrnoException) => error.code)
    drain()
    expect(await over).toBe('ECONNRESET')
  })

  it('goes on when its route is still the same, until that is taken away by another reload', async () => {
    const { answer, response } = await callUnderWay(ndjson)
    await service.reconfigure({ ...config, proxy: { ...config.proxy, routes: [...config.proxy.routes] } })
    drain()
    response.write('b')
    await received(answer, 'ab')
    await service.reconfigure(without())
    const broken = once(answer, 'error')
    drain()
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it.each([
    ['HEAD', 200],
    ['DELETE', 204],
    ['GET', 304],
  ])('is whole with its head where it has no body: %s %i', async (method, status) => {
    const { answered, response } = await callTaken(method)
    answered.catch(() => undefined)
    await service.reconfigure(without())
    drain()
    response.writeHead(status).end()
    const [answer] = await answered
    expect(await answer.toArray()).toEqual([])
    expect([answer.statusCode, answer.complete]).toEqual([status, true])
  })

  it('breaks off when the secret that its route sends is another', async () => {
    await service.reconfigure(withKey('one'))
    const { answer } = await callUnderWay(ndjson)
    await service.reconfigure(withKey('two'))
    const over = answer.toArray().catch((error: NodeJS.ErrnoException) => error.code)
    drain()
    expect(await over).toBe('ECONNRESET')
  })

  it('goes on beyond the idle limit of its cookie while newer ones come under later routes, and not beyond theirs', async () => {
    const now = clock.nowSeconds()
    const { answer, response } = await callUnderWay(ndjson, cookie(now + 60))
    await service.reconfigure({ ...config })
    const later = await callUnderWay({ 'content-length': '2' }, cookie(now + 120))
    later.response.end('b')
    clock.pass(100)
    response.write('b')
    await received(answer, 'ab')
    const broken = once(answer, 'error')
    clock.pass(25)
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it('has the whole drain time from the reload that took its route away, whatever other reloads came before', async () => {
    const { answer, response } = await callUnderWay(ndjson)
    await service.reconfigure({ ...config })
    clock.pass(config.operations.shutdownDrainSeconds - 1)
    await service.reconfigure(without())
    clock.pass(1)
    const over = answer.toArray()
    response.end('b')
    expect(Buffer.concat(await over).toString()).toBe('ab')
  })
})

it('when it has ended, no connection to its API is left', async () => {
  const { answer, response } = await callUnderWay()
  await service.reconfigure(config)
  clock.pass(config.operations.shutdownDrainSeconds)
  const connections = () => new Promise((resolve) => api.getConnections((_, count) => resolve(count)))
  expect(await connections()).toBe(1)
  response.end('b')
  await answer.toArray()
  await expect.poll(connections).toBe(0)
})
