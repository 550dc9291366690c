import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../../shared/clock.ts'
import { Secret } from '../../../shared/secret.ts'
import { connectValkey, type ValkeyConnection } from '../../../shared/store/valkey-connection.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const closers: (() => unknown)[] = []
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close()
})

const timeoutMs = 10_000

/** A place that hangs up on whoever connects. */
async function startRefusing() {
  const accepted: (number | undefined)[] = []
  const server = createServer((socket: Socket) => {
    accepted.push(socket.remotePort)
    socket.destroy()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => server.close())
  return { accepted, port: (server.address() as AddressInfo).port }
}

/** A connection to it; `waits` are those between two attempts, in milliseconds. */
async function start() {
  const { accepted, port } = await startRefusing()
  const manual = createManualClock()
  const waits: number[] = []
  const clock: Clock = {
    ...manual,
    after(delayMs, run) {
      if (delayMs !== timeoutMs) waits.push(delayMs)
      return manual.after(delayMs, run)
    },
  }
  const connection: ValkeyConnection = connectValkey({
    settings: { url: new Secret(`redis://127.0.0.1:${port}`), timeoutMs },
    clock,
    observe: { emit: () => undefined },
    prepare: () => expect.unreachable(),
  })
  closers.push(() => connection.close())
  await connection.attempted
  return { accepted, port, waits, connection, pass: manual.pass }
}

describe('a connection that cannot be made', () => {
  it('is tried again within 750 ms, however often it has failed: a logout waits no longer for its replicas', async () => {
    const { accepted, waits, pass } = await start()
    for (let attempt = 1; attempt <= 12; attempt += 1) {
      await expect.poll(() => [accepted.length, waits.length]).toEqual([attempt, attempt])
      pass(0.75)
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(750)
    // Nor do replicas that lost the store together come back together.
    expect(new Set(waits.slice(-6)).size).toBeGreaterThan(1)
  })

  it('is not tried again once it is closed', async () => {
    const { accepted, port, connection, pass } = await start()
    connection.close()
    pass(60)
    await new Promise(setImmediate)
    const last = connect(port, '127.0.0.1')
    await once(last, 'connect')
    await expect.poll(() => accepted.at(-1)).toBe(last.localPort)
    expect(accepted).toHaveLength(2)
  })
})

it('an answer that arrived within the time limit counts, though this process was paused until that was over', async () => {
  const clock = createManualClock()
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.on('data', (asked) => {
      if (!asked.includes('PING')) {
        // An empty map, to HELLO.
        socket.write('%0\r\n')
        return
      }
      socket.write('+PONG\r\n')
      clock.pass(timeoutMs / 1000)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => server.close())
  const connection = connectValkey({
    settings: { url: new Secret(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`), timeoutMs },
    clock,
    observe: { emit: () => undefined },
    prepare: () => Promise.resolve(),
  })
  closers.push(() => connection.close())
  await connection.attempted
  expect(await connection.run('get', (client) => client.ping())).toBe('PONG')
})

it('a connection that is closed while it is being made leaves no socket open', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket.resume())
    closers.push(() => socket.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => server.close())
  const connection = connectValkey({
    settings: { url: new Secret(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`), timeoutMs },
    clock: createManualClock(),
    observe: { emit: () => undefined },
    prepare: () => expect.unreachable(),
  })
  connection.close()
  await expect.poll(() => sockets.map(({ readableEnded, destroyed }) => readableEnded || destroyed)).toEqual([true])
})
