import { request as send } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { createDice } from '../fuzz/mutate.ts'
import { type ProviderWorld, startProviderWorld } from '../support/provider-world.ts'
import { type Upstream, answer, okBytes, startUpstream } from '../support/upstream.ts'

/** TOKEN_HANDLER_LONG=1 goes on for 200,000 requests. */
const rounds = process.env['TOKEN_HANDLER_LONG'] === '1' ? 40 : 3
const perRound = process.env['TOKEN_HANDLER_LONG'] === '1' ? 5000 : 1200

let world: ProviderWorld | undefined
let upstream: Upstream | undefined
afterEach(async () => {
  await world?.close()
  await upstream?.close()
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapMebibytes(): number {
  for (let pass = 0; pass < 3; pass++) collectGarbage()
  return process.memoryUsage().heapUsed / 1024 / 1024
}

/** A call of which nothing is remembered; `leaves` gives it up as soon as it is under way. */
function call(origin: string, method: string, path: string, cookie: string, leaves = false): Promise<void> {
  const { host, port } = new URL(origin)
  return new Promise((resolve) => {
    const headers = {
      host,
      cookie,
      'token-handler-version': '1',
      'sec-fetch-site': 'same-origin',
      ...(method === 'POST' ? { origin, 'content-length': '0' } : {}),
    }
    const request = send({ host: '127.0.0.1', port, method, path, agent: false, headers }, (answer) => answer.resume())
    request.on('error', () => {})
    request.on('close', () => resolve())
    if (leaves) request.on('socket', (socket) => socket.once('connect', () => setImmediate(() => request.destroy())))
    request.end()
  })
}

describe('a long life', () => {
  it('L08, FI-24: after thousands of calls, strangers and callers who left, memory and sockets are as before', async () => {
    upstream = await startUpstream()
    const api = upstream
    api.behave(answer(okBytes('{}')))
    world = await startProviderWorld({
      settings: `
login:
  scope: openid profile
  # The provider runs in this process too, and would keep what is pushed to it for a minute.
  pushed_authorization_requests: never
agent:
  rate_limits:
    login: { requests: 1000000, window_seconds: 60 }
    session: { requests: 1000000, window_seconds: 60 }
    refresh: { requests: 1000000, window_seconds: 60 }
proxy:
  routes:
    - path: /api/**
      upstream: ${upstream.origin}`,
    })
    const { publicOrigin, events, tap } = world
    const dice = createDice(8)
    const page = world.browser()
    await page.signIn('alice')

    const mine = page.jar.header('localhost', '/api', 'same-site') ?? ''
    const oneCall = (at: number): Promise<void> => {
      switch (dice(6)) {
        case 0:
          return call(publicOrigin, 'GET', `/api/${at}`, mine, true)
        case 1:
          return call(publicOrigin, 'GET', `/api/${at}`, `__Host-Http-th-at=AQ${'x'.repeat(dice(3000))}`)
        case 2:
          return call(publicOrigin, 'POST', '/oauth-agent/login/start', '')
        case 3:
          return call(publicOrigin, 'GET', '/oauth-agent/session', mine)
        default:
          return call(publicOrigin, 'GET', `/api/${at}`, mine)
      }
    }
    const heaps: number[] = []
    for (let round = 0; round < rounds; round++) {
      for (let at = 0; at < perRound; at += 20) {
        await Promise.all(Array.from({ length: 20 }, (_, each) => oneCall(at + each)))
      }
      // What the test itself remembers is not what is measured.
      events.length = 0
      tap.calls.length = 0
      api.seen.length = 0
      heaps.push(heapMebibytes())
    }
    process.stdout.write(
      `\nL08, heap in MB after each ${perRound} calls: ${heaps.map((heap) => heap.toFixed(1)).join(', ')}\n`,
    )
    const [first = 0] = heaps
    expect((heaps.at(-1) ?? 0) - first).toBeLessThan(4)
    await expect.poll(() => api.open.size, { timeout: 20_000 }).toBeLessThanOrEqual(64)
    expect(page.jar.names('localhost').length).toBeGreaterThan(0)
  })
})
