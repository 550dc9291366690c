import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { closeFrame } from '../../../oauth-proxy/forward/frame-boundary.ts'
import { joinSockets } from '../../../oauth-proxy/forward/joined-sockets.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const closers: (() => unknown)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** A connection on loopback: our end of it, and that of a peer that closes nothing by itself. */
async function connection(): Promise<{ ours: Socket; theirs: Socket }> {
  const server = createServer({ allowHalfOpen: true })
  const accepted = once(server.listen(0, '127.0.0.1'), 'connection')
  await once(server, 'listening')
  const theirs = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const [ours] = (await accepted) as [Socket]
  server.close()
  closers.push(
    () => ours.destroy(),
    () => theirs.destroy(),
  )
  return { ours, theirs }
}

/** A WebSocket whose two connections are piped into each other, as the library does it. */
async function open() {
  const [{ ours: socket, theirs: browser }, { ours: upstreamSocket, theirs: api }] = [
    await connection(),
    await connection(),
  ]
  const clock = createManualClock()
  upstreamSocket.pipe(socket).pipe(upstreamSocket)
  const webSocket = joinSockets({ socket, idleTimeoutMs: 60_000, clock }, upstreamSocket)
  let heard = Buffer.alloc(0)
  browser.on('data', (chunk: Buffer) => (heard = Buffer.concat([heard, chunk])))
  const heardAll = (bytes: Buffer) => expect.poll(() => heard.toString('latin1')).toBe(bytes.toString('latin1'))
  return { webSocket, socket, upstreamSocket, api, clock, heardAll }
}

const overMessage = closeFrame(4401, 'token_expired')

it('a WebSocket whose browser has gone before it is joined is over', async () => {
  const { ours: socket } = await connection()
  const { ours: upstreamSocket } = await connection()
  const gone = once(socket, 'close')
  socket.destroy()
  await gone
  await joinSockets({ socket, idleTimeoutMs: 60_000, clock: createManualClock() }, upstreamSocket).closed
})

describe('a WebSocket that is ended', () => {
  it('within a message that comes in pieces says so behind the last of them, once, and then waits for the browser', async () => {
    const { webSocket, socket, api, clock, heardAll } = await open()
    const head = Buffer.from([0x81, 10])
    api.write(Buffer.concat([head, Buffer.from('hello')]))
    await heardAll(Buffer.concat([head, Buffer.from('hello')]))
    webSocket.close(4401, 'token_expired')
    webSocket.close(1001, 'stopping')
    api.write('wor')
    await heardAll(Buffer.concat([head, Buffer.from('hellowor')]))
    api.write('ldand more that is cut off')
    await heardAll(Buffer.concat([head, Buffer.from('helloworld'), overMessage]))
    clock.pass(1)
    expect(socket.destroyed).toBe(false)
    clock.pass(1)
    expect(socket.destroyed).toBe(true)
  })

  it('between two messages ends at the API at once, however long the browser takes', async () => {
    const { webSocket, socket, upstreamSocket, clock, heardAll } = await open()
    webSocket.close(4401, 'token_expired')
    webSocket.close(1001, 'stopping')
    clock.pass(1)
    expect([upstreamSocket.destroyed, socket.destroyed]).toEqual([true, false])
    await heardAll(overMessage)
  })
})
