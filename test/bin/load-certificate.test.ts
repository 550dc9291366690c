import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listenerCertificates, openCertificate } from '../../bin/load-certificate.ts'
import type { FollowedFile } from '../../shared/config/followed-file.ts'
import type { ServerCertificate } from '../../shared/http/server-certificate.ts'
import { createCertificate } from '../support/certificate.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

const [first, second, third] = ['first', 'second', 'third'].map((name) => createCertificate({ name }))
const expired = createCertificate({ name: 'expired', until: '210101000000Z' })

const authorities = String(first?.certificate) + String(second?.certificate)

let folder: string
let clock: ManualClock
let events: string[]
let said: string[]
let followed: FollowedFile<ServerCertificate> | undefined

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-certificate-'))
  clock = createManualClock()
  events = []
  said = []
  put('tls.crt', first?.certificate)
  put('tls.key', first?.privateKey)
  put('ca.crt', authorities)
  const config = parse(settingsFile())
  const listen = {
    ...config.proxy.listen,
    certificateFile: path('tls.crt'),
    privateKeyFile: path('tls.key'),
    clientCaFile: path('ca.crt'),
  }
  followed = await openCertificate({ ...config, proxy: { ...config.proxy, listen } }, 'proxy', {
    clock,
    observe: { emit: (name) => void events.push(name) },
    say: (text) => void said.push(text),
  })
})
afterEach(() => {
  followed?.close()
  rmSync(folder, { recursive: true })
})

const path = (name: string): string => join(folder, name)
const put = (name: string, text = ''): void => writeFileSync(path(name), text)

/** Lets the next reading happen. */
async function pass(): Promise<void> {
  clock.pass(5)
  await new Promise(setImmediate)
}

const replacements: readonly (readonly [string, () => void])[] = [
  ['tls.crt', () => put('tls.crt', second?.certificate)],
  ['tls.key', () => put('tls.key', second?.privateKey)],
]

describe('what the metrics tell of', () => {
  it('is the first certificate of each file to expire', () => {
    const earlier = createCertificate({ name: 'earlier', until: '300101000000Z' }).certificate
    const [certificate, privateKey] = [`${first?.certificate}${earlier}`, `${first?.privateKey}`]
    const told = (current: ServerCertificate) =>
      listenerCertificates({ current: () => current, onChange: () => undefined })
    const [early, late] = [Date.UTC(2030, 0), Date.UTC(2049, 11, 31, 23, 59, 59)].map((ms) => ms / 1000)
    const shown = { file: 'certificate', shownTo: 'gateway', expiresAtSeconds: early }
    expect(told({ certificate, privateKey })).toEqual([shown])
    expect(told({ certificate, privateKey, clientCa: authorities })).toEqual([
      shown,
      { ...shown, file: 'client_ca', expiresAtSeconds: late },
    ])
    expect(told({ certificate: authorities, privateKey, clientCa: authorities + earlier })).toEqual([
      { ...shown, expiresAtSeconds: late },
      { ...shown, file: 'client_ca' },
    ])
    expect(listenerCertificates(undefined)).toEqual([])
  })
})

describe('certificate and key', () => {
  it('that are replaced between two readings are taken by the next', async () => {
    for (const [, replace] of replacements) replace()
    await pass()
    expect(followed?.current().certificate).toBe(second?.certificate)
    expect(events).toEqual(['config.reloaded'])
  })

  it.each([
    ['certificate', replacements],
    ['key', replacements.toReversed()],
  ])('are not reported while they are replaced one after the other, the %s first', async (_, order) => {
    const [[, one] = [], [, other] = []] = order
    one?.()
    await pass()
    expect([events, followed?.current().certificate]).toEqual([[], first?.certificate])
    other?.()
    await pass()
    expect(events).toEqual(['config.reloaded'])
    expect(followed?.current()).toMatchObject({ certificate: second?.certificate, privateKey: second?.privateKey })
  })

  it.each([
    ['certificate', 'tls.crt', String(first?.certificate) + String(third?.certificate)],
    ['key', 'tls.key', String(first?.privateKey)],
    ['list of authorities', 'ca.crt', authorities + String(third?.certificate)],
  ])('are not reported while the %s is written, and nothing is taken of it', async (_, name, text) => {
    const before = followed?.current()
    put(name, text.slice(0, -20))
    await pass()
    expect([events, followed?.current()]).toEqual([[], before])
    put(name, `${text}\n`)
    await pass()
    expect(events).toEqual(['config.reloaded'])
    put(name)
    await pass()
    expect(events).toEqual(['config.reloaded'])
    await pass()
    expect(events).toEqual(['config.reloaded', 'config.rejected'])
  })

  it('that do not fit at two readings are reported once, and taken when they do', async () => {
    put('tls.crt', second?.certificate)
    for (const _ of [1, 2, 3, 4]) await pass()
    expect(events).toEqual(['config.rejected'])
    expect(said.join()).toContain('proxy.listen.private_key_file: is not the key of the certificate')
    expect(followed?.current().certificate).toBe(first?.certificate)
    put('tls.key', second?.privateKey)
    await pass()
    expect(events).toEqual(['config.rejected', 'config.reloaded'])
  })

  it('that fit no better after another change are reported', async () => {
    put('tls.crt', second?.certificate)
    await pass()
    put('tls.crt', third?.certificate)
    await pass()
    expect(events).toEqual(['config.rejected'])
  })

  it.each([
    ['an expired certificate with its key', expired.certificate, expired.privateKey],
    ['a certificate that cannot be read', 'no certificate', first?.privateKey],
    ['a key that cannot be read', first?.certificate, 'no key'],
  ])('are reported at once: %s', async (_, certificate, privateKey) => {
    put('tls.crt', certificate)
    put('tls.key', privateKey)
    await pass()
    expect(events).toEqual(['config.rejected'])
    expect(followed?.current().certificate).toBe(first?.certificate)
  })

  it('of which one is gone are reported at once', async () => {
    rmSync(path('tls.key'))
    await pass()
    expect(events).toEqual(['config.rejected'])
  })
})
