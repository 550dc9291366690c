import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Door, type Mode, createDoor, openStore } from '../../bin/parts.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import type { EventName } from '../../shared/observe/events.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { StoreUnavailable } from '../../shared/store/store.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { testKeys } from '../support/installation.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

const ownTokens = { credential: { kind: 'client_credentials' } }
let folder: string
let caFile: string

/** Settings whose authorization server has a file that went away after they were checked. */
function configWith(route: object): Config {
  const routes = [{ path: '/api/**', upstream: 'https://api.example.com', ...route }]
  const config = parse(settingsFile({ proxy: { routes } }))
  return { ...config, authorizationServer: { ...config.authorizationServer, issuer: 'https://127.0.0.1:9', caFile } }
}

function door(mode: Mode, route: object, told: EventName[] = []): Promise<Door> {
  const clock = createManualClock()
  return createDoor(mode, {
    config: configWith(route),
    keys: fixedKeys(createKeyRing(testKeys())),
    store: createMemoryStore({ clock }),
    clock,
    observe: { emit: (name) => void told.push(name) },
  })
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-parts-'))
  caFile = join(folder, 'ca.pem')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('the authorization server', () => {
  it.each<[Mode, object]>([
    ['agent', {}],
    ['serve', {}],
    ['proxy', ownTokens],
  ])('is made at the start of %s', async (mode, route) => {
    expect(existsSync(caFile)).toBe(false)
    await expect(door(mode, route)).rejects.toThrow('ENOENT')
  })
  it.each<[Mode, object]>([
    ['agent', {}],
    ['proxy', ownTokens],
  ])('that cannot be reached is told of when %s starts, before anybody needs it', async (mode, route) => {
    writeFileSync(caFile, '')
    const told: EventName[] = []
    const started = await door(mode, route, told)
    await expect.poll(() => told).toContain('provider.unavailable')
    await started.close()
  })
  it('is not made for a proxy that never asks it', async () => {
    const proxy = await door('proxy', {})
    await proxy.replaceRoutes(configWith({ credential: { kind: 'none' } }))
    await proxy.close()
  })
  it('is made for new routes that ask it; when that fails, the next reload tries again', async () => {
    const proxy = await door('proxy', {})
    await expect(proxy.replaceRoutes(configWith(ownTokens))).rejects.toThrow('ENOENT')
    writeFileSync(caFile, '')
    await proxy.replaceRoutes(configWith(ownTokens))
    await proxy.close()
  })
})

describe('the memory as a store', () => {
  const open = (alone: boolean) =>
    openStore({
      config: parse(settingsFile({})),
      clock: createManualClock(),
      observe: { emit: () => undefined },
      alone,
    })

  it('gives locks to a process that is alone', async () => {
    const store = await open(true)
    expect(await store.acquire('refresh', 1000)).toBeDefined()
    expect(await store.acquire('refresh', 1000)).toBeUndefined()
  })
  it('gives none to one of several workers, whose first refusal may be a lost race (D10)', async () => {
    const store = await open(false)
    await expect(store.acquire('refresh', 1000)).rejects.toBeInstanceOf(StoreUnavailable)
    await store.put('successor', 'value', 30)
    expect(await store.get('successor')).toBe('value')
  })
})
