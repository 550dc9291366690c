import { beforeEach, describe, expect, it } from 'vitest'
import { type SilenceWatch, watchSilence } from '../../bin/silence.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'

let clock: ManualClock
let silent: string[]
let watch: SilenceWatch<string>
beforeEach(() => {
  clock = createManualClock()
  silent = []
  watch = watchSilence(clock, (who, problem) => void silent.push(`${who} ${problem}`))
})

describe('whoever has been heard', () => {
  it('is silent after ten seconds without a word, which is told once', () => {
    for (const who of ['one', 'two']) {
      watch.add(who)
      watch.heard(who)
    }
    for (let second = 0; second < 30; second++) {
      clock.pass(1)
      watch.heard('two')
    }
    expect(silent).toEqual(['one has been silent for 10 s'])
  })
  it('has ten seconds from each word on', () => {
    watch.add('one')
    watch.heard('one')
    for (const seconds of [9, 9, 9]) {
      clock.pass(seconds)
      watch.heard('one')
    }
    clock.pass(9)
    expect(silent).toEqual([])
    clock.pass(1)
    expect(silent).toHaveLength(1)
  })
  it('is not watched any more once it is gone, nor by a word that comes later', () => {
    watch.add('one')
    watch.heard('one')
    watch.remove('one')
    watch.heard('one')
    clock.pass(3600)
    expect(silent).toEqual([])
  })
})

it('a start has two minutes', () => {
  watch.add('one')
  clock.pass(119)
  expect(silent).toEqual([])
  clock.pass(1)
  expect(silent).toEqual(['one was not ready after 120 s'])
})

it('a machine that was suspended has not made anybody silent', () => {
  let nowMs = 0
  let tick = (): void => undefined
  const suspended = {
    nowMs: () => nowMs,
    after(_delayMs: number, run: () => void) {
      tick = run
      return () => undefined
    },
  }
  watch = watchSilence(suspended, (who) => void silent.push(who))
  watch.add('one')
  watch.heard('one')
  for (let second = 0; second < 5; second++) tick()
  nowMs += 3_600_000
  // A timer that fell due during the sleep fires once, before anything that has arrived is read.
  tick()
  expect(silent).toEqual([])
  watch.heard('one')
  for (let second = 0; second < 9; second++) tick()
  expect(silent).toEqual([])
})
