import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import { closeWhatIsNotTaken, type HandingProcess } from '../../bin/handed-over.ts'

/** The process of a worker, what was sent to it, and the connections that were closed meanwhile. */
function createWorker(connected: boolean) {
  const sent: unknown[][] = []
  const closed: string[] = []
  const send = (...given: unknown[]): boolean => {
    sent.push(given)
    return true
  }
  const worker = Object.assign(new EventEmitter(), { connected, send })
  closeWhatIsNotTaken(worker as unknown as HandingProcess)
  const connection = (name: string) => ({ close: () => void closed.push(name) })
  return { worker, send, sent, closed, connection }
}

it('a connection is closed with the worker that has not taken it, once, and no other is kept', () => {
  const { worker, sent, closed, connection } = createWorker(true)
  const [taken, lost, other] = [connection('taken'), connection('lost'), connection('other')]
  const messages = [
    [{ act: 'newconn', seq: 1 }, taken, {}],
    [{ act: 'newconn', seq: 2 }, lost, {}],
    [{ act: 'close', seq: 3 }, other],
    [{ act: 'newconn', seq: 4 }, null],
    [{ kind: 'ping' }],
  ]
  for (const message of messages) expect(Reflect.apply(worker.send, worker, message)).toBe(true)
  expect(sent).toEqual(messages)
  worker.emit('internalMessage', { ack: 1 })
  worker.emit('internalMessage', { act: 'listening' })
  expect(closed).toEqual([])
  for (const _ of [1, 2]) worker.emit('exit')
  expect(closed).toEqual(['lost'])
})

it('a process that could not be started is left alone', () => {
  const { worker, send } = createWorker(false)
  expect(worker.send).toBe(send)
})
