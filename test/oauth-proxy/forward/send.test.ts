import { IncomingMessage, ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Pool } from 'undici'
import { send, type UpstreamCall } from '../../../oauth-proxy/forward/send.ts'
import type { Upstream, Upstreams } from '../../../oauth-proxy/forward/upstreams.ts'
import { createManualClock } from '../../support/manual-clock.ts'

/** How the connection of a place fails: before it was ready, or when the request has arrived. */
interface Failure {
  readonly begun: boolean
  readonly code: string
}

/** Where requests arrive; the connection then fails on our side, as the kernel would have it. */
let server: Server
let port: number
let onArrival: (socket: Socket) => void
const pools: Pool[] = []
beforeEach(async () => {
  server = createServer((socket) => void socket.on('error', () => {}).once('data', () => onArrival(socket)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.destroy()
  await new Promise((resolve) => server.close(resolve))
})

/** A place with the client library that is in use, and the failure of its connections. */
function place(index: number, { begun, code }: Failure, report: Upstream['report'], onTry: () => void): Upstream {
  const failure = Object.assign(new Error('failed on purpose'), { code })
  const pool = new Pool(`http://127.0.0.1:${port}`, {
    pipelining: 1,
    connect: (_, ready) => {
      onTry()
      if (!begun) {
        ready(failure, null)
        return
      }
      const socket = connect(port, '127.0.0.1', () => ready(null, socket))
      onArrival = () => void socket.destroy(failure)
    },
  })
  pools.push(pool)
  return { origin: `http://127.0.0.1:${port}`, index, pool, tls: {}, report }
}

/** Which places were tried, in order, and which were reported as away, where the first fails as said. */
async function tried({ method, ...failure }: Failure & { method: string }) {
  const places: string[] = []
  const away: string[] = []
  const named = (index: number, name: string, how: Failure) =>
    place(
      index,
      how,
      (answered) => void (answered || away.push(name)),
      () => void places.push(name),
    )
  const [first, second] = [named(0, 'first', failure), named(1, 'second', { begun: true, code: 'EPIPE' })]
  const turns = [first, second]
  const request = new IncomingMessage(new Socket())
  const pick = () => turns.shift() ?? second
  const other: Upstreams['other'] = (than) => [first, second].find((target) => !than.includes(target))
  await expect(send({ ...callOf(request, { pick, other }), method })).rejects.toThrow()
  return { places, away }
}

/** A call without a body or a proof. */
function callOf(request: IncomingMessage, places: Pick<Upstreams, 'pick' | 'other'>): UpstreamCall {
  return {
    request,
    response: new ServerResponse(request),
    proof: undefined,
    upstreams: {
      ...places,
      certificateExpiresAtSeconds: undefined,
      finish: () => Promise.resolve(),
      close: () => Promise.resolve(),
    },
    method: 'GET',
    path: '/',
    headers: {},
    hasBody: false,
    maxBodyBytes: 1,
    idleTimeoutMs: 1000,
    clock: createManualClock(),
    onHead: () => ({}),
    isCutting: () => false,
    onEndless: () => () => {},
    onUnreachable: () => {},
  }
}

it.each([
  ['refused', { begun: false, code: 'ECONNREFUSED', method: 'DELETE' }, ['first', 'second'], ['first']],
  // The second place breaks off, and that it was the second try already counts: a call has no third.
  ['refused under a GET', { begun: false, code: 'ECONNREFUSED', method: 'GET' }, ['first', 'second'], ['first']],
  ['reset before it was ready', { begun: false, code: 'ECONNRESET', method: 'DELETE' }, ['first', 'second'], ['first']],
  ['one of ours that cannot be made', { begun: false, code: 'EMFILE', method: 'GET' }, ['first'], []],
  ['reset under a DELETE', { begun: true, code: 'ECONNRESET', method: 'DELETE' }, ['first'], []],
  ['reset under a GET', { begun: true, code: 'ECONNRESET', method: 'GET' }, ['first', 'second'], []],
  // What is said of an address that is gone looks the same whether or not a connection to it had been made.
  ['timed out under a DELETE', { begun: true, code: 'ETIMEDOUT', method: 'DELETE' }, ['first'], ['first']],
  ['lost its way under a POST', { begun: true, code: 'EHOSTUNREACH', method: 'POST' }, ['first'], ['first']],
  ['lost its way under a GET', { begun: true, code: 'EHOSTUNREACH', method: 'GET' }, ['first'], ['first']],
] as const)('a connection %s', async (_, failure, places, away) => {
  expect(await tried(failure)).toEqual({ places, away })
})

it('the body of a proved call is copied no longer once the browser gets an answer, which may take hours', async () => {
  onArrival = (socket) => void socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
  const origin = `http://127.0.0.1:${port}`
  const pool = new Pool(origin)
  pools.push(pool)
  const only: Upstream = { origin, index: 0, pool, tls: {}, report: () => {} }
  const request = new IncomingMessage(new Socket())
  request.push('half')
  const readers: number[] = []
  const call = callOf(request, { pick: () => only, other: () => undefined })
  const { outcome } = await send({
    ...call,
    method: 'POST',
    hasBody: true,
    maxBodyBytes: 100,
    proof() {
      readers.push(request.listenerCount('data'))
      return 'proof'
    },
    onEndless(_kind, cut) {
      readers.push(request.listenerCount('data'))
      cut()
      return () => {}
    },
  })
  expect({ outcome, readers }).toEqual({ outcome: 'cut', readers: [2, 1] })
})
