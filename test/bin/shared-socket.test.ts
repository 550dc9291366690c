import { EventEmitter, once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { closeSharedSocket } from '../../bin/shared-socket.ts'
import { createManualClock } from '../support/manual-clock.ts'

/** Workers as node:cluster sees them; `told` is what they heard, in turn. */
function createWorkers(...names: string[]) {
  const told: string[] = []
  const workers = names.map((name) => ({ name, process: new EventEmitter() }))
  for (const { name, process } of workers) process.on('disconnect', () => told.push(`${name} released`))
  return { told, workers }
}

it('the worker that answers first is the last, and each is told once it gets no more connections', async () => {
  const { told, workers } = createWorkers('slow', 'quick', 'other')
  let answerQuick = (): void => undefined
  const quickAnswered = new Promise<void>((resolve) => (answerQuick = resolve))
  await closeSharedSocket(workers, {
    ping: async ({ name }) => {
      if (name === 'quick') answerQuick()
      else await quickAnswered.then(() => undefined)
    },
    onReleased: ({ name }) => told.push(`${name} told`),
    clock: createManualClock(),
  })
  const [slow, other, quick] = ['slow', 'other', 'quick'].map((name) => [`${name} released`, `${name} told`])
  expect(told).toEqual([slow, other, quick].flat())
})

it.each([
  ['one that does not answer is not waited for', ['hangs', 'lives']],
  ['nor are all', ['hangs', 'hangs too']],
  ['and there may be none', []],
])('%s', async (_, names) => {
  const { told, workers } = createWorkers(...names)
  const clock = createManualClock()
  const closed = closeSharedSocket(workers, {
    ping: ({ name }) => (name === 'lives' ? Promise.resolve() : new Promise(() => undefined)),
    onReleased: () => undefined,
    clock,
  })
  let isOver = false
  void closed.then(() => (isOver = true))
  await expect
    .poll(() => {
      clock.pass(1)
      return isOver
    })
    .toBe(true)
  expect(told.toSorted()).toEqual(names.map((name) => `${name} released`))
  if (names.includes('lives')) expect(told.at(-1)).toBe('lives released')
})

it('the last is released after two answers with which nothing else arrived', async () => {
  const server = createServer((socket) => socket.end('taken')).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { workers } = createWorkers('only')
  // The first is not one of a round. In every second of the others a connection arrives.
  const arrives = [false, true, false, true, false, true, false]
  let pings = 0
  await closeSharedSocket(workers, {
    ping: async () => {
      pings++
      if (arrives.shift() === true) await once(connect(port, '127.0.0.1').resume(), 'close')
    },
    onReleased: () => undefined,
    clock: createManualClock(),
  })
  expect(pings).toBeGreaterThanOrEqual(8)
  // Not when it is given up, as under a flood.
  expect(pings).toBeLessThan(1000)
})
