import { expect, it } from 'vitest'
import { createCircuitBreaker } from '../../../shared/oauth/circuit-breaker.ts'
import { createManualClock } from '../../support/manual-clock.ts'

it('opens after failures in a row, lets one call through at a time, and closes when that succeeds', () => {
  const clock = createManualClock()
  const circuit = createCircuitBreaker(clock, { failures: 2, openMs: 4000 })
  circuit.failed()
  expect(circuit.admit()).toBe(0)
  circuit.failed()
  expect(circuit.admit()).toBe(4)
  clock.pass(4)
  expect([circuit.admit(), circuit.admit()]).toEqual([0, 4])
  circuit.succeeded()
  expect([circuit.admit(), circuit.admit()]).toEqual([0, 0])
  circuit.failed()
  expect(circuit.admit()).toBe(0)
})

it('stays open no longer when the clock is set back', () => {
  const clock = createManualClock()
  const circuit = createCircuitBreaker(clock, { failures: 1, openMs: 4000 })
  circuit.failed()
  clock.pass(-3600)
  expect([circuit.admit(), circuit.admit()]).toEqual([0, 4])
})
