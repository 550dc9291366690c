import type { Clock } from '../../../shared/clock.ts'
import { createMemoryStore } from '../../../shared/store/memory.ts'
import { describeStore } from '../../support/store-contract.ts'

const time = { ms: 1_000_000 }
const timers = new Set<{ atMs: number; run: () => void }>()
const clock: Clock = {
  nowMs: () => time.ms,
  nowSeconds: () => Math.floor(time.ms / 1000),
  after(delayMs, run) {
    const timer = { atMs: time.ms + delayMs, run }
    timers.add(timer)
    return () => timers.delete(timer)
  },
}

describeStore('memory', {
  open() {
    const store = createMemoryStore({ clock })
    return Promise.resolve([store, store])
  },
  pass(seconds) {
    time.ms += seconds * 1000
    for (const timer of [...timers].filter(({ atMs }) => atMs <= time.ms)) {
      timers.delete(timer)
      timer.run()
    }
    return Promise.resolve()
  },
})
