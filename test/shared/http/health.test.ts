import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../shared/clock.ts'
import { createHealth, type Health } from '../../../shared/http/health.ts'
import { type RunningServer, serve } from '../../../shared/http/serve.ts'

let reason: string | undefined
let health: Health
let server: RunningServer

beforeEach(async () => {
  reason = undefined
  health = createHealth({
    checks: { keys: () => reason, store: () => undefined },
    metrics: async () => ({ contentType: 'text/plain', text: 'a 1\n' }),
  })
  server = await serve({
    handler: health,
    listen: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    observe: { emit: () => undefined },
  })
})
afterEach(() => server.stop(0))

const ask = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${server.port}${path}`, { method })

describe('the operations port', () => {
  it.each([
    ['/livez', 200, '{"live":true}'],
    ['/readyz', 200, '{"ready":true}'],
    ['/metrics', 200, 'a 1\n'],
  ])('%s', async (path, status, body) => {
    const answer = await ask(path)
    expect([answer.status, await answer.text()]).toEqual([status, body])
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })
  it.each([
    ['/', 'GET', 404, 'route_not_found'],
    ['/metrics?x', 'GET', 404, 'route_not_found'],
    ['/readyz', 'POST', 405, 'method_not_allowed'],
  ])('%s by %s is refused', async (path, method, status, code) => {
    const answer = await ask(path, method)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ error_code: code })
    expect(answer.headers.get('allow')).toBe(status === 405 ? 'GET, HEAD' : null)
  })
  it('answers HEAD without a body', async () => {
    const answer = await ask('/readyz', 'HEAD')
    expect([answer.status, await answer.text()]).toEqual([200, ''])
  })
  it('names what keeps it from being ready, and is ready again', async () => {
    reason = 'no keys'
    const answer = await ask('/readyz')
    expect([answer.status, await answer.json()]).toEqual([503, { ready: false, reasons: { keys: 'no keys' } }])
    reason = undefined
    expect((await ask('/readyz')).status).toBe(200)
  })
  it('stays alive but not ready while stopping', async () => {
    health.stopping()
    expect((await ask('/readyz')).status).toBe(503)
    expect((await ask('/livez')).status).toBe(200)
  })
})

it('without metrics there is no such path', async () => {
  const bare = createHealth({ checks: {} })
  const other = await serve({
    handler: bare,
    listen: { host: '127.0.0.1', port: 0 },
    clock: systemClock,
    observe: { emit: () => undefined },
  })
  expect((await fetch(`http://127.0.0.1:${other.port}/metrics`)).status).toBe(404)
  await other.stop(0)
})
