import { generateKeyPairSync } from 'node:crypto'
import { chmodSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { certificateChecks } from '../../bin/doctor/certificate-checks.ts'
import type { Mode } from '../../bin/parts.ts'
import { systemReadFile } from '../../shared/read-file.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'
import { createCertificate } from '../support/certificate.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()
const filesOf = (name: string) => {
  const { certificate, privateKey } = createCertificate({ name, until: '300131000000Z' })
  return { certificate: folder.file(`${name}.crt`, certificate), key: folder.file(`${name}.key`, privateKey) }
}
const ours = filesOf('client')
const another = filesOf('another')
beforeAll(() => {
  chmodSync(ours.key, 0o600)
  chmodSync(another.key, 0o644)
})

function privateKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

const asClient = {
  client: {
    id: 'app',
    authentication: 'tls_client_auth',
    certificate_file: ours.certificate,
    private_key_file: ours.key,
    secret: undefined,
  },
}
const route = (path: string, { certificate, key }: typeof ours, more: object = {}) => ({
  path,
  upstream: 'https://api.test',
  client_certificate_file: certificate,
  client_private_key_file: key,
  ...more,
})
const plainRoute = { path: '/plain', upstream: 'https://api.test' }
const toApis = { proxy: { routes: [plainRoute, route('/a', another), route('/b', another), route('/c', ours)] } }

function find(now: string, mode: Mode | undefined, settings: Tree) {
  const config = parse(settingsFile(settings), { readFile: systemReadFile })
  const clock = createManualClock(Date.parse(now) / 1000)
  return [...certificateChecks(config, { clock, mode, userId: process.getuid?.() })]
}

describe('certificates that are shown to others', () => {
  it.each<[string, string, 'ok' | 'warning' | 'error', string]>([
    ['valid for long', '2029-01-30T00:00:00Z', 'ok', 'is valid for 366 days'],
    ['about to expire', '2030-01-20T00:00:00Z', 'warning', 'expires in 11 days'],
    ['expired', '2030-01-31T00:00:01Z', 'error', 'has expired'],
    ['not valid yet', '2019-12-31T23:59:59Z', 'error', 'is not valid before 2020-01-01T00:00:00.000Z'],
  ])('%s', (_, now, level, words) => {
    const found = find(now, 'serve', { ...asClient, ...toApis })
    expect(found.filter(({ check }) => check.endsWith('.certificate'))).toMatchObject(
      [
        ['client', 'client.certificate_file'],
        ['upstream', 'proxy.routes[1].client_certificate_file'],
        ['upstream', 'proxy.routes[3].client_certificate_file'],
      ].map(([of, setting]) => ({
        level,
        check: `${of}.certificate`,
        found: expect.stringMatching(`^${String(setting).replaceAll(/[[\].]/g, '\\$&')} .*${words}`) as string,
      })),
    )
  })

  it('have keys that nobody else may read', () => {
    const found = find('2029-01-30T00:00:00Z', undefined, { ...asClient, ...toApis })
    expect(found.filter(({ check }) => check.endsWith('.private_key'))).toMatchObject([
      { check: 'client.private_key', level: 'ok' },
      { check: 'upstream.private_key', level: 'warning', found: 'others may read it (mode 644)' },
      { check: 'upstream.private_key', level: 'ok' },
    ])
  })

  const exchanging = { proxy: { routes: [route('/a', another, { credential: { kind: 'client_credentials' } })] } }
  it.each<[string, Mode | undefined, Tree, readonly string[]]>([
    ['an agent', 'agent', toApis, ['client']],
    ['a proxy that asks for no tokens', 'proxy', toApis, ['upstream', 'upstream']],
    ['a proxy that asks for tokens', 'proxy', exchanging, ['client', 'upstream']],
    ['both, before APIs that ask for none', 'serve', { proxy: { routes: [plainRoute] } }, ['client']],
    ['any process', undefined, exchanging, ['client', 'upstream']],
  ])('are those that %s shows', (_, mode, settings, expected) => {
    const found = find('2029-01-30T00:00:00Z', mode, { ...asClient, ...settings })
    const shown = found.filter(({ check }) => check.endsWith('.certificate'))
    expect(shown.map(({ check }) => check.replace('.certificate', ''))).toEqual(expected)
  })
})

describe('keys that sign for the client', () => {
  const present = folder.file('present.pem', privateKeyPem())
  const next = folder.file('next.pem', privateKeyPem())
  const asSigner = {
    client: {
      id: 'app',
      authentication: 'private_key_jwt',
      private_key_file: present,
      next_private_key_file: next,
      secret: undefined,
    },
  }
  beforeAll(() => {
    chmodSync(present, 0o644)
    chmodSync(next, 0o600)
  })
  const ofOthers = { level: 'warning', check: 'client.private_key', found: 'others may read it (mode 644)' }
  const ofNobodyElse = { level: 'ok', check: 'client.private_key' }

  it.each<[string, Mode | undefined, Tree, readonly object[]]>([
    ['an agent', 'agent', {}, [ofOthers, ofNobodyElse]],
    ['any process', undefined, {}, [ofOthers, ofNobodyElse]],
    ['a proxy that asks for no tokens', 'proxy', { proxy: { routes: [plainRoute] } }, []],
  ])('are those of %s: nobody else may read them', (_, mode, settings, expected) => {
    expect(find('2029-01-30T00:00:00Z', mode, { ...asSigner, ...settings })).toMatchObject(expected)
  })
})
