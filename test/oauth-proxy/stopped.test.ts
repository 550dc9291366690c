import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RunningServer, serve } from '../../shared/http/serve.ts'
import { hostLine, ownPage, type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { errorCode, openRaw, rawRequest } from '../support/raw-http.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

/** Calls that are still in flight when the time for them is over, in the order in which a process stops. */

const drainSeconds = 25
let api: Upstream
let world: ProxyWorld
let server: RunningServer

beforeEach(async () => {
  api = await startUpstream()
  world = await startProxy(`
    - { path: /api/**, upstream: '${api.origin}', websocket: true, headerless: [websocket], methods: [GET, POST] }
`)
  const { proxy: handler, clock } = world
  server = await serve({ handler, listen: { host: '127.0.0.1', port: 0 }, clock, observe: { emit: () => undefined } })
})
afterEach(async () => {
  await world.close()
  await api.close()
})

const lines = () => [hostLine, ...ownPage, `Origin: ${publicOrigin}`, `Cookie: ${world.cookies()}`]

/** Sends this, stops once `isUnderWay`, and lets the time pass; what came of it, and what was told. */
async function cutByStop(request: string, isUnderWay: (received: string) => boolean) {
  const connection = await openRaw(server.port)
  connection.write(request)
  await api.until(() => api.seen.length === 1)
  await connection.until((text) => isUnderWay(text))
  const stopped = server.stop(drainSeconds * 1000)
  expect(told('upstream.called')).toEqual([])
  world.clock.pass(drainSeconds)
  await stopped
  await world.proxy.close()
  await expect.poll(() => told('request.answered')).toHaveLength(1)
  return connection.closed()
}

function told(name: string): Readonly<Record<string, unknown>>[] {
  return world.events.filter((event) => event.name === name).map(({ fields }) => fields)
}

const half = (framing: string, body: string) => (socket: Socket) =>
  void socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${body}`)

describe('a call that a stop cuts says so, and blames neither the API nor the browser', () => {
  it.each([
    ['POST', rawRequest('POST', '/api/x', [], 'body')],
    ['GET', rawRequest('GET', '/api/x')],
  ])('%s that the API has not answered', async (_, plain) => {
    api.behave(() => undefined)
    const request = plain.replace('\r\n', `\r\n${lines().join('\r\n')}\r\n`)
    expect(await cutByStop(request, () => true)).toBe('')
    expect(told('upstream.called')).toMatchObject([{ outcome: 'server_stopping' }])
    expect(told('upstream.failed')).toEqual([])
    expect(told('request.answered')).toMatchObject([{ error_code: 'server_stopping', status: 503 }])
  })

  it.each([
    ['with a length', half('Content-Length: 10', 'half'), 'half'],
    ['without', half('Transfer-Encoding: chunked', '4\r\nhalf\r\n'), '4\r\nhalf\r\n'],
  ])('an answer %s that has begun', async (_, behaviour, body) => {
    api.behave(behaviour)
    const text = await cutByStop(rawRequest('GET', '/api/x', lines()), (received) => received.endsWith(body))
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(body)
    expect(told('upstream.called')).toMatchObject([{ outcome: 'server_stopping', status: 200 }])
    expect(told('upstream.failed')).toEqual([])
    expect(told('request.answered')).toMatchObject([{ error_code: 'server_stopping', status: 200 }])
  })

  it('one that comes to be sent after its routes were replaced', async () => {
    await world.proxy.finish()
    const answered = await world.call('GET', '/api/x')
    expect([answered.status, errorCode(answered)]).toEqual([503, 'server_stopping'])
    expect(told('upstream.failed')).toEqual([])
  })

  it('a handshake that the API has not answered', async () => {
    api.behave(() => undefined)
    const handshake = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]
    expect(
      await cutByStop(
        rawRequest('GET', '/api/ws', [hostLine, `Origin: ${publicOrigin}`, `Cookie: ${world.cookies()}`, ...handshake]),
        () => true,
      ),
    ).toBe('')
    expect(told('upstream.called')).toMatchObject([{ outcome: 'server_stopping' }])
    expect(told('upstream.failed')).toEqual([])
    expect(told('request.answered')).toMatchObject([{ error_code: 'server_stopping', status: 503 }])
  })
})
