import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Service, type Mode, createService, openStore } from '../../bin/parts.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import type { EventName } from '../../shared/observe/events.ts'
import type { CertificateInUse } from '../../shared/observe/metrics.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { StoreUnavailable } from '../../shared/store/store.ts'
import { createCertificate } from '../support/certificate.ts'
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

function service(mode: Mode, route: object, told: EventName[] = []): Promise<Service> {
  return serviceFor(mode, configWith(route), told)
}

function serviceFor(mode: Mode, config: Config, told: EventName[] = []): Promise<Service> {
  const clock = createManualClock()
  return createService(mode, {
    config,
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
    await expect(service(mode, route)).rejects.toThrow('ENOENT')
  })
  it.each<[Mode, object]>([
    ['agent', {}],
    ['proxy', ownTokens],
  ])('that cannot be reached is told of when %s starts, before anybody needs it', async (mode, route) => {
    writeFileSync(caFile, '')
    const told: EventName[] = []
    const started = await service(mode, route, told)
    await expect.poll(() => told).toContain('provider.unavailable')
    await started.close()
  })
  it('is not made for a proxy that never asks it', async () => {
    const proxy = await service('proxy', {})
    await proxy.reconfigure(configWith({ credential: { kind: 'none' } }))
    await proxy.close()
  })
  it.each<Mode>(['agent', 'serve', 'proxy'])('has the ring to prove bound tokens with, in %s', async (mode) => {
    writeFileSync(caFile, '')
    const config = configWith(ownTokens)
    const started = await serviceFor(mode, { ...config, client: { ...config.client, dpopBoundAccessTokens: true } })
    await started.close()
  })
  it('is made for new routes that ask it; when that fails, the next reload tries again', async () => {
    const proxy = await service('proxy', {})
    await expect(proxy.reconfigure(configWith(ownTokens))).rejects.toThrow('ENOENT')
    writeFileSync(caFile, '')
    await proxy.reconfigure(configWith(ownTokens))
    await proxy.close()
  })
})

describe('the certificates in use', () => {
  /** A certificate and its key in files, as the settings of a client name them. */
  function pair(name: string, until: string): { certificateFile: string; privateKeyFile: string } {
    const { certificate, privateKey } = createCertificate({ name, until })
    const [certificateFile, privateKeyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
    writeFileSync(certificateFile, certificate)
    writeFileSync(privateKeyFile, privateKey)
    return { certificateFile, privateKeyFile }
  }
  const shownBy = (config: Config, path: string, files: ReturnType<typeof pair>): Config => {
    const routes = config.proxy.routes.map((route) => ({
      ...route,
      path,
      clientCertificateFile: files.certificateFile,
      clientPrivateKeyFile: files.privateKeyFile,
    }))
    return { ...config, proxy: { ...config.proxy, routes } }
  }
  /** As seconds, the moment that `until` of a test certificate names. */
  const at = (iso: string): number => Date.parse(iso) / 1000

  it.each<[Mode, readonly string[]]>([
    ['agent', ['authorization_server']],
    ['serve', ['authorization_server', 'api']],
    ['proxy', ['api']],
  ])('of %s are told with what they are shown to', async (mode, shownTo) => {
    writeFileSync(caFile, '')
    const config = shownBy(configWith({}), '/orders', pair('for-api', '300601000000Z'))
    const client = {
      id: 'app',
      authentication: 'tls_client_auth',
      dpopBoundAccessTokens: false,
      ...pair('for-server', '310101000000Z'),
    } as const
    const started = await serviceFor(mode, { ...config, client })
    const all: readonly CertificateInUse[] = [
      { file: 'certificate', shownTo: 'authorization_server', expiresAtSeconds: at('2031-01-01T00:00:00Z') },
      { file: 'certificate', shownTo: 'api', route: '/orders', expiresAtSeconds: at('2030-06-01T00:00:00Z') },
    ]
    expect(started.certificates()).toEqual(all.filter((each) => shownTo.includes(each.shownTo)))
    await started.close()
  })

  it('are those of the routes in force', async () => {
    const files = pair('for-api', '300601000000Z')
    const config = shownBy(configWith({}), '/orders', files)
    const started = await serviceFor('proxy', config)
    const before = started.certificates()
    pair('for-api', '320601000000Z')
    expect(started.certificates()).toEqual(before)
    await started.reconfigure(config)
    expect(started.certificates()).toEqual([
      { file: 'certificate', shownTo: 'api', route: '/orders', expiresAtSeconds: at('2032-06-01T00:00:00Z') },
    ])
    writeFileSync(files.certificateFile, 'no certificate')
    await expect(started.reconfigure(config)).rejects.toThrow()
    expect(started.certificates()).toHaveLength(1)
    await started.reconfigure(configWith({}))
    expect(started.certificates()).toEqual([])
    await started.close()
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
