import { expect, it } from 'vitest'
import { storeChecks } from '../../bin/doctor/store-checks.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { type Store, StoreUnavailable } from '../../shared/store/store.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { allOf } from '../support/checked-server.ts'
import { createManualClock } from '../support/manual-clock.ts'

const clock = createManualClock()
const refuse = () => Promise.reject(new StoreUnavailable('NOPERM'))
const lockOf = (release: () => Promise<void>) => () => Promise.resolve({ release })

type Change = (store: Store, lose: () => Promise<void>) => Partial<Store>

function find(change: Change = () => ({})) {
  const losses: string[] = []
  const memory = createMemoryStore({ clock })
  const lose = () => {
    losses.push('ERR')
    return Promise.resolve()
  }
  const config = parse(settingsFile({ store: { kind: 'valkey', url: 'rediss://valkey' } }))
  return allOf(storeChecks(config, { store: { ...memory, ...change(memory, lose) }, losses }, clock))
}

it('a store that does all that it is there for', async () => {
  expect(await find()).toMatchObject([{ level: 'ok', check: 'store' }])
})

it.each<[string, Change, string]>([
  ['takes nothing', () => ({ put: refuse }), 'cannot be used (NOPERM)'],
  ['gives nothing back', () => ({ get: () => Promise.resolve(undefined) }), 'does not give back'],
  ['refuses locks', () => ({ acquire: refuse }), 'does not lock and release, which keeps two refreshes apart (NOPERM)'],
  ['says that each lock is taken', () => ({ acquire: () => Promise.resolve(undefined) }), 'does not lock'],
  [
    'keeps each lock',
    (_, lose) => ({ acquire: lockOf(lose) }),
    'does not lock and release, which keeps two refreshes apart (ERR)',
  ],
  ['does not count', () => ({ count: refuse }), 'does not count, as rate limits do (NOPERM)'],
  [
    'counts without an end',
    (_, lose) => ({
      count: async () => {
        await lose()
        return 2
      },
    }),
    'does not count, as rate limits do (ERR)',
  ],
  [
    'tells nobody who has signed out',
    (_, lose) => ({ end: lose }),
    'does not tell others of a session that has ended (ERR)',
  ],
])('a store that %s', async (_, change, words) => {
  expect(await find(change)).toMatchObject([
    { level: 'error', check: 'store', found: expect.stringContaining(words) as string },
  ])
})

it('nothing that is tried outlives it for long, or is of anybody', async () => {
  const asked: unknown[][] = []
  await find((store) => ({
    put(...of) {
      asked.push(of)
      return store.put(...of)
    },
    acquire(key, holdMs) {
      asked.push([key, holdMs, holdMs / 1000])
      return store.acquire(key, holdMs)
    },
    count(key, ttlSeconds) {
      asked.push([key, ttlSeconds, ttlSeconds])
      return store.count(key, ttlSeconds)
    },
    end(entry) {
      asked.push(['sessionId' in entry ? entry.sessionId : '', entry.kind, entry.ttlSeconds])
      return store.end(entry)
    },
  }))
  const [[name] = []] = asked
  expect(name).toMatch(/^[\w-]{22}$/)
  expect(asked.map(([key, , seconds]) => [key, seconds])).toEqual(Array(4).fill([name, 10]))
})
