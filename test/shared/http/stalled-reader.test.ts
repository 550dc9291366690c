import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { cutStalledReader } from '../../../shared/http/stalled-reader.ts'
import { createManualClock } from '../../support/manual-clock.ts'

/** An answer of which `waiting` bytes have not left yet, watched with a limit of ten seconds. */
function watched(waiting: number) {
  const clock = createManualClock()
  const socket = {
    bytesWritten: 1000,
    writableLength: waiting,
    destroyed: false,
    destroy() {
      socket.destroyed = true
    },
  }
  const response = Object.assign(new EventEmitter(), { writableLength: waiting })
  cutStalledReader(socket, response, 10_000, clock, () => socket.destroy())
  return { clock, socket, response }
}

describe('a client of whose answer bytes wait', () => {
  it('is cut after ten seconds in which none has left', () => {
    const { clock, socket } = watched(500)
    clock.pass(9)
    // More of the answer is put into the queue, which is no byte that left.
    socket.bytesWritten += 100
    socket.writableLength += 100
    expect(socket.destroyed).toBe(false)
    clock.pass(1)
    expect(socket.destroyed).toBe(true)
  })

  it('has ten seconds again after each look that found it reading, and no more than that', () => {
    const { clock, socket } = watched(500)
    for (let look = 0; look < 3; look++) {
      socket.writableLength -= 1
      clock.pass(10)
      expect(socket.destroyed).toBe(false)
    }
    clock.pass(10)
    expect(socket.destroyed).toBe(true)
  })

  it('is left alone once the answer is over', () => {
    const { clock, socket, response } = watched(500)
    response.emit('close')
    clock.pass(60)
    expect(socket.destroyed).toBe(false)
  })
})

it('an answer that has left already is not watched', () => {
  const { clock, socket } = watched(0)
  clock.pass(60)
  expect(socket.destroyed).toBe(false)
})
