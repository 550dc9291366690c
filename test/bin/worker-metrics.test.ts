import { beforeEach, expect, it } from 'vitest'
import { createWorkerMetrics, type WorkerMetrics } from '../../bin/worker-metrics.ts'
import { createMetrics } from '../../shared/observe/metrics.ts'
import { sumMetrics } from '../../shared/observe/metrics-sum.ts'
import { createObserve } from '../../shared/observe/observe.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'

let clock: ManualClock
let workers: WorkerMetrics<string>
let asked: string[]
let hanging: Set<string>
let snapshots: Map<string, () => Promise<object>>

/** A worker that counts a sign-out and a call to an API each time that it is told to. */
function addWorker(name: string) {
  const metrics = createMetrics({ processMetrics: false })
  const observe = createObserve({ clock, sinks: [metrics.sink] })
  metrics.watch({
    storeAvailable: () => true,
    keys: () => ({ primaryKeyId: name, keyIds: () => [name] }),
    certificates: () => [],
  })
  snapshots.set(name, () => metrics.snapshot())
  return () => {
    observe.emit('logout.completed', { revoked: true })
    observe.emit('upstream.called', { route: '/api/**', duration_ms: 40, outcome: 'complete' })
  }
}

beforeEach(() => {
  clock = createManualClock()
  asked = []
  hanging = new Set()
  snapshots = new Map()
  workers = createWorkerMetrics({
    clock,
    ask(who) {
      asked.push(who)
      if (!hanging.has(who))
        void snapshots
          .get(who)?.()
          .then((snapshot) => workers.heard(who, snapshot))
    },
  })
})

/** The samples that tell workers, counters and histograms apart, after the two seconds in which hanging workers are awaited. */
async function samples(): Promise<string[]> {
  const collected = workers.collect([...snapshots.keys()])
  if (hanging.size > 0) {
    await new Promise(setImmediate)
    clock.pass(2)
  }
  return samplesOf(await collected)
}

async function samplesOf(collected: readonly object[]): Promise<string[]> {
  const { text } = await sumMetrics(collected, { asked: 2, ready: 2 })
  return text
    .split('\n')
    .filter((line) => /^token_handler_(?:logouts_total|upstream_call_\w+_count|key_info)/.test(line))
}

const counts = (count: number) => [
  `token_handler_logouts_total{revoked="true"} ${count}`,
  `token_handler_upstream_call_duration_seconds_count{route="/api/**"} ${count}`,
]
const keyOf = (name: string) => `token_handler_key_info{key_id="${name}",seals="true"} 1`

it('what workers have counted adds up', async () => {
  addWorker('one')()
  addWorker('two')()
  expect(await samples()).toEqual([...counts(2), keyOf('one'), keyOf('two')])
})

it('each that was asked is waited for', async () => {
  addWorker('one')()
  addWorker('two')()
  hanging = new Set(snapshots.keys())
  const collected = workers.collect([...snapshots.keys()])
  for (const [name, snapshot] of snapshots) {
    workers.heard(name, await snapshot())
    await new Promise(setImmediate)
  }
  expect(await samplesOf(await collected)).toEqual([...counts(2), keyOf('one'), keyOf('two')])
})

it('what a worker has counted stays when it ends, and its readings of the moment do not', async () => {
  const [one, two] = [addWorker('one'), addWorker('two')]
  one()
  two()
  for (const _ of ['both', 'and once more']) {
    await samples()
    workers.remove('one')
    snapshots.delete('one')
    expect(await samples()).toEqual([...counts(2), keyOf('two')])
  }
  two()
  expect(await samples()).toEqual([...counts(3), keyOf('two')])
})

it('what a worker that hangs had counted stays until it answers again', async () => {
  const [one, two] = [addWorker('one'), addWorker('two')]
  one()
  two()
  await samples()
  hanging.add('one')
  one()
  two()
  expect(await samples()).toEqual([...counts(3), keyOf('two')])
  hanging.clear()
  expect(await samples()).toEqual([...counts(4), keyOf('one'), keyOf('two')])
})

it('a worker that ends as it is asked is not waited for', async () => {
  addWorker('one')()
  await samples()
  hanging.add('one')
  const collected = workers.collect(['one'])
  workers.remove('one')
  expect(await collected).toHaveLength(1)
})

it('scrapes at the same time ask each worker once', async () => {
  addWorker('one')
  addWorker('two')
  await Promise.all(Array.from({ length: 20 }, () => samples()))
  expect(asked).toEqual(['one', 'two'])
})

it('nobody is waited for where no worker is left', async () => {
  expect(await workers.collect([])).toHaveLength(1)
})
