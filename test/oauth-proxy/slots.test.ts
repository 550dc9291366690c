import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createSlots, type Slots } from '../../oauth-proxy/slots.ts'
import { TokenHandlerError } from '../../shared/errors.ts'

function outcome(slots: Slots, sessionId: string | undefined): string {
  try {
    slots.take(sessionId)
    return 'taken'
  } catch (error) {
    return error instanceof TokenHandlerError ? error.code : 'thrown'
  }
}

it('a session has its share, and leaves the rest to others', () => {
  const slots = createSlots(4, 2)
  const asked = ['alice', 'alice', 'alice', 'bob', 'bob', 'carol', undefined]
  expect(asked.map((sessionId) => outcome(slots, sessionId))).toEqual([
    'taken',
    'taken',
    'too_many_concurrent_requests',
    'taken',
    'taken',
    'overloaded',
    'overloaded',
  ])
})

it('whoever gets no place is told to come back after a second', () => {
  const [full, shared] = [createSlots(0, 1), createSlots(1, 0)]
  const asked = { fields: { retry_after: 1 } }
  expect(() => full.take('alice')).toThrow(expect.objectContaining({ code: 'overloaded', ...asked }))
  expect(() => shared.take('alice')).toThrow(
    expect.objectContaining({ code: 'too_many_concurrent_requests', ...asked }),
  )
})

it('who has no session has only the limit of the route', () => {
  const slots = createSlots(3, 1)
  expect([1, 2, 3, 4].map(() => outcome(slots, undefined))).toEqual(['taken', 'taken', 'taken', 'overloaded'])
})

it('whatever comes and goes: a call gets a place exactly when one is left for it, and nobody who has gone is remembered', () => {
  const size = 5
  const perSession = 2
  const step = fc.record({ who: fc.constantFrom('alice', 'bob', 'carol', undefined), takes: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const takenBy = new Map<string, number>()
      const slots = createSlots(size, perSession, takenBy)
      const held: (string | undefined)[] = []
      for (const { who, takes } of steps) {
        const own = held.filter((holder) => holder === who).length
        if (takes) {
          const share = who !== undefined && own >= perSession
          const expected = held.length >= size ? 'overloaded' : share ? 'too_many_concurrent_requests' : 'taken'
          expect(outcome(slots, who)).toBe(expected)
          if (expected === 'taken') held.push(who)
        } else if (own > 0) {
          slots.release(who)
          held.splice(held.indexOf(who), 1)
        }
        expect(new Set(takenBy.keys())).toEqual(new Set(held.filter((holder) => holder !== undefined)))
      }
    }),
  )
})
