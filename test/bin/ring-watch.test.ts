import { describe, expect, it } from 'vitest'
import { watchRing } from '../../bin/ring-watch.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'

const [one, two] = [testKeys('one'), testKeys('two')]

function replicas() {
  const clock = createManualClock()
  const memory = createMemoryStore({ clock })
  let failing: 'get' | 'put' | undefined
  const unlessFailing = <T>(operation: 'get' | 'put', work: () => Promise<T>): Promise<T> => {
    if (operation !== failing) return work()
    failing = undefined
    return Promise.reject(new StoreUnavailable())
  }
  const store: Pick<Store, 'get' | 'put'> = {
    get: (key) => unlessFailing('get', () => memory.get(key)),
    put: (key, value, ttlSeconds) => unlessFailing('put', () => memory.put(key, value, ttlSeconds)),
  }
  const start = (entries: typeof one) => {
    let ring = createKeyRing(entries)
    const watch = watchRing({ keys: { current: () => ring }, store, clock })
    return { ...watch, use: (next: typeof one) => void (ring = createKeyRing(next)) }
  }
  /** Lets time pass second by second, so that replicas that started apart take turns at the store. */
  const pass = async (seconds: number) => {
    for (let passed = 0; passed < seconds; passed++) {
      clock.pass(1)
      for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    }
  }
  const failNext = (operation: 'get' | 'put') => void (failing = operation)
  return { start, pass, begin: () => clock.pass(0), failNext }
}

describe('replicas that share a store (FI-08)', () => {
  it('with equal rings are ready', async () => {
    const { start, pass } = replicas()
    const both = [start(one), start(one)]
    await pass(30)
    expect(both.map(({ problem }) => problem())).toEqual([undefined, undefined])
  })
  it('are ready through a staged rotation', async () => {
    const { start, pass } = replicas()
    const both = [start(one), start(one)]
    for (const entries of [
      [...one, ...two],
      [...two, ...one],
    ]) {
      for (const replica of both) {
        replica.use(entries)
        await pass(10)
        expect(both.map(({ problem }) => problem())).toEqual([undefined, undefined])
      }
    }
  })
  it('that lack the key of another are not ready until they have it', async () => {
    const { start, pass } = replicas()
    const first = start([...two, ...one])
    await pass(5)
    const late = start(one)
    for (let look = 0; look < 6; look++) {
      await pass(5)
      expect(first.problem()).toBeUndefined()
      expect(late.problem()).toContain(two[0]?.id)
    }
    late.use([...one, ...two])
    expect(late.problem()).toBeUndefined()
  })
  it('that are not ready do not make others so', async () => {
    const { start, pass } = replicas()
    const first = start(two)
    await pass(7)
    const stranger = start(one)
    for (let look = 0; look < 6; look++) {
      await pass(5)
      expect([first.problem() === undefined, stranger.problem() === undefined]).toEqual([true, false])
    }
  })
  it('stay ready when a leaked key is replaced by another, and those that still seal with it do not', async () => {
    const { start, pass } = replicas()
    const all: ReturnType<typeof start>[] = []
    for (let count = 0; count < 3; count++) {
      all.push(start(one))
      await pass(1)
    }
    const problems = () => all.map(({ problem }) => problem() !== undefined)
    for (const replica of all.slice(0, 2)) replica.use(two)
    await pass(10)
    expect(problems()).toEqual([false, false, true])
    all[2]?.use(two)
    for (let look = 0; look < 14; look++) {
      await pass(5)
      expect(problems()).toEqual([false, false, false])
    }
  })
  it.each([
    ['the agents', [0, 1]],
    ['the proxies', [1, 0]],
  ])('stay ready when a leaked key leaves with the step that follows the staged one, %s first', async (_, order) => {
    const { start, pass } = replicas()
    const all = [start(one)]
    await pass(1)
    all.push(start(one))
    await pass(10)
    for (const entries of [[...one, ...two], two]) {
      for (const which of order) {
        all[which]?.use(entries)
        await pass(20)
        expect(all.map(({ problem }) => problem())).toEqual([undefined, undefined])
      }
    }
  })
  it('turn not ready when a leaked key leaves at once, until their own ring has arrived', async () => {
    const { start, pass } = replicas()
    const all = [start(one)]
    await pass(1)
    all.push(start(one))
    await pass(10)
    all[0]?.use(two)
    await pass(20)
    expect(all.map(({ problem }) => problem() !== undefined)).toEqual([false, true])
    all[1]?.use(two)
    expect(all.map(({ problem }) => problem())).toEqual([undefined, undefined])
  })
  it('that stop while they compare do not go on to do so', async () => {
    const { start, pass, begin } = replicas()
    const first = start(one)
    begin()
    first.close()
    await pass(70)
    const next = start(two)
    await pass(10)
    expect(next.problem()).toBeUndefined()
  })
  it.each(['get', 'put'] as const)('compare again after the store has failed in %s', async (operation) => {
    const { start, pass, failNext } = replicas()
    failNext(operation)
    start(two)
    await pass(6)
    const late = start(one)
    await pass(1)
    expect(late.problem()).toContain(two[0]?.id)
  })
  it('that lack the key of one that is gone are ready again', async () => {
    const { start, pass } = replicas()
    const first = start([...two, ...one])
    await pass(5)
    const late = start(one)
    await pass(10)
    first.close()
    await pass(70)
    expect(late.problem()).toBeUndefined()
  })
})
