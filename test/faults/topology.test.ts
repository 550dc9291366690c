import { readFile } from 'node:fs/promises'
import { setTimeout as pass } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser } from '../support/topology/browser.ts'
import { createScenarios } from '../support/topology/scenarios.ts'
import { startTopology, type Topology } from '../support/topology/topology.ts'

/** TOKEN_HANDLER_LONG=1 runs three replicas of each, 200 browsers and five minutes per scenario (the store is away for one). */
const size =
  process.env['TOKEN_HANDLER_LONG'] === '1'
    ? { replicas: 3, browsers: 200, tabs: 3, paceMs: 3000, seconds: 300, storeSeconds: 60, accessTokenSeconds: 30 }
    : { replicas: 2, browsers: 16, tabs: 3, paceMs: 250, seconds: 8, storeSeconds: 8, accessTokenSeconds: 5 }

const scenarios = createScenarios(size)

/** Does it once, and again until the time of a scenario has passed. */
async function again(work: () => Promise<void>): Promise<void> {
  const end = performance.now() + size.seconds * 1000
  do await work()
  while (performance.now() < end)
}

afterAll(() => process.stdout.write(`\n${scenarios.table()}\n`))

describe('several replicas behind nginx with Valkey', () => {
  let topology: Topology
  beforeAll(async () => {
    topology = await startTopology({ ...size, store: 'valkey' })
  }, 120_000)
  afterAll(() => topology?.stop(), 60_000)

  const calm = { lost: 0, signedOut: 0, serverErrors: 0, askedToWait: 0, doubled: 0, wrongUser: 0, extraTokenCalls: 0 }

  it('mixed calls: one token call per expiry, nothing lost', async () => {
    const row = await scenarios.run('mixed calls', topology, { lock: 'none' }, () => pass(size.seconds * 1000))
    expect(row).toMatchObject(calm)
    expect(row.tokenCalls).toBeGreaterThan(0)
  })

  it('rolling restart of every process (FI-07)', async () => {
    const row = await scenarios.run('rolling restart', topology, { lock: 'none' }, () =>
      again(async () => {
        for (const replica of [...topology.agents, ...topology.proxies]) await replica.restart()
      }),
    )
    expect(row).toMatchObject(calm)
  })

  it('key rotation in stages: added, promoted, the old one removed (FI-08)', async () => {
    const replicas = [...topology.agents, ...topology.proxies]
    const ring = `${topology.folder}/agent-keys.json`
    const ids = (): string[] => JSON.parse(topology.keys('list', ring, '--json')).map(({ id }: { id: string }) => id)
    const reloaded = async (): Promise<number> =>
      (await readFile(`${topology.folder}/audit.log`, 'utf8'))
        .split('\n')
        .filter((line) => /config\.reloaded.*"keys"/.test(line)).length
    const distribute = async (...parameters: string[]): Promise<void> => {
      const before = await reloaded()
      topology.keys(...parameters)
      for (const replica of replicas) replica.reload()
      await expect.poll(reloaded, { timeout: 20_000 }).toBe(before + replicas.length)
    }
    const row = await scenarios.run('key rotation', topology, { lock: 'none' }, () =>
      again(async () => {
        const [old] = ids()
        await distribute('rotate', ring)
        const added = ids().find((id) => id !== old)
        const keyInfo = (seals: boolean) => `token_handler_key_info{key_id="${added}",seals="${seals}"}`
        for (const replica of replicas) expect(await replica.metric(keyInfo(false))).toBe(1)
        await distribute('promote', ring, String(added))
        for (const replica of replicas) expect(await replica.metric(keyInfo(true))).toBe(1)
        // Every cookie is sealed anew at the next refresh, so nothing needs the old key after that.
        await pass((size.accessTokenSeconds + 3) * 1000)
        await distribute('remove', ring, String(old))
        await pass(3000)
      }),
    )
    expect(row).toMatchObject(calm)
  })

  it('the store stops and comes back: nobody is signed out', async () => {
    const row = await scenarios.run('store stopped', topology, { lock: 'tabs' }, async () => {
      await topology.valkey?.stop()
      await pass(size.storeSeconds * 1000)
      const replicas = [...topology.agents, ...topology.proxies]
      for (const { metric } of replicas) expect(await metric('token_handler_store_available')).toBe(0)
      await topology.valkey?.start()
      for (const { metric } of replicas)
        await expect.poll(() => metric('token_handler_store_available'), { timeout: 10_000 }).toBe(1)
    })
    expect(row).toMatchObject({ ...calm, askedToWait: expect.any(Number) })
  })

  /** What every proxy answers `browser`, whichever of them the gateway would ask. */
  const statuses = (browser: Browser) =>
    Promise.all(
      topology.proxies.map(async ({ port }) => (await browser.fetch('GET', '/api/orders', undefined, port)).status),
    )

  /** Signs out three browsers, one after the other; the milliseconds until every proxy refused the quickest of them. */
  async function quickestEnd(signOut: (browser: Browser) => Promise<unknown>): Promise<number> {
    const durations: number[] = []
    for (const browser of await topology.signedIn(3)) {
      const copy = browser.copy()
      expect(await statuses(copy)).toEqual(topology.proxies.map(() => 200))
      await signOut(browser)
      const begin = performance.now()
      await expect
        .poll(() => statuses(copy), { timeout: 15_000, interval: 20 })
        .toEqual(topology.proxies.map(() => 401))
      durations.push(performance.now() - begin)
    }
    // A busy machine may hold up one of them; a replica that asks instead of being told would hold up all.
    return Math.min(...durations)
  }

  it('back-channel logout reaches every replica within a second', async () => {
    const issuer = `http://127.0.0.1:${topology.provider.port}`
    expect(await quickestEnd((browser) => browser.signOutAtProvider(issuer))).toBeLessThan(1000)
  })

  it('a signed-out session is refused by every proxy within a second', async () => {
    expect(await quickestEnd((browser) => browser.signOut())).toBeLessThan(1000)
  })
})

describe('several replicas without a shared store', () => {
  it('tabs that take turns are enough: nobody is signed out', async () => {
    const topology = await startTopology({ ...size, store: 'memory' })
    try {
      const row = await scenarios.run('no shared store', topology, { lock: 'tabs' }, () => pass(size.seconds * 1000))
      expect(row).toMatchObject({ lost: 0, signedOut: 0, serverErrors: 0, doubled: 0, wrongUser: 0 })
    } finally {
      await topology.stop()
    }
  })
})
