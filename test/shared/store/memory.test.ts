import { expect, it } from 'vitest'
import { createMemoryStore } from '../../../shared/store/memory.ts'
import { describeStore } from '../../support/store-contract.ts'

const time = { ms: 1_000_000 }
const timers = new Set<{ atMs: number; run: () => void }>()
const clock = {
  steadyMs: () => time.ms,
  after(delayMs: number, run: () => void) {
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

it('values and counters end with their second, and nothing waits for locks of a store that is closed', async () => {
  const store = createMemoryStore({ clock })
  await store.put('key', 'value', 1)
  await store.count('key', 1)
  await store.acquire('key', 60_000)
  time.ms += 1000
  expect([await store.get('key'), await store.count('key', 1)]).toEqual([undefined, 1])
  await store.close()
  expect(timers.size).toBe(0)
})

it('is bounded: the value that was put first gives way, and one that is put again is young again', async () => {
  const store = createMemoryStore({ clock, maxEntries: 3 })
  for (const key of ['a', 'b', 'c', 'a', 'd']) await store.put(key, `value of ${key}`, 60)
  const found = await Promise.all(['a', 'b', 'c', 'd'].map((key) => store.get(key)))
  expect(found).toEqual(['value of a', undefined, 'value of c', 'value of d'])
})

it('is bounded: the counter that was used first gives way', async () => {
  const store = createMemoryStore({ clock, maxEntries: 3 })
  for (const key of ['a', 'b', 'c', 'd']) await store.count(key, 60)
  expect([await store.count('d', 60), await store.count('a', 60)]).toEqual([2, 1])
})

it('is bounded: what has expired gives way before what lives, wherever it stands', async () => {
  const store = createMemoryStore({ clock, maxEntries: 3 })
  await store.put('long', 'lives', 3600)
  await store.put('short', 'is over', 30)
  await store.count('long', 3600)
  await store.count('short', 30)
  time.ms += 30_000
  for (const key of ['a', 'b']) {
    await store.put(key, 'new', 30)
    await store.count(key, 30)
  }
  expect([await store.get('long'), await store.count('long', 3600)]).toEqual(['lives', 2])
})
