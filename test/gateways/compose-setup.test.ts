import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

const rootFolder = join(import.meta.dirname, '../..')
const script = readFileSync(join(rootFolder, 'deploy/compose/setup.sh'), 'utf8')
const certificates = ['gateway/certificate.pem', 'provider/certificate.pem']
const secrets = ['client/secret', 'partner/api-key', 'store/url', 'valkey/valkey.conf']

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-setup-'))
  for (const volume of ['authority', 'gateway', 'provider', 'client', 'partner', 'store', 'valkey']) {
    mkdirSync(join(folder, volume))
  }
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the script with folders of the test in place of its volumes, which belong to nobody in particular. */
function setUp(change: (text: string) => string = (text) => text): string {
  const text = script
    .replaceAll('/out/', `${folder}/`)
    .replaceAll('/rights.acl', join(rootFolder, 'deploy/valkey/rights.acl'))
    .replaceAll(' -o "$2" -g "$2"', '')
    .replaceAll(/^ *chown .*$/gm, ':')
  return execFileSync('sh', ['-c', change(text)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

const read = (files: readonly string[]) => files.map((file) => readFileSync(join(folder, file), 'utf8'))

function expectGood() {
  const authority = new X509Certificate(read(['authority/ca.pem'])[0]!)
  for (const [index, text] of read(certificates).entries()) {
    const certificate = new X509Certificate(text)
    expect(certificate.verify(authority.publicKey)).toBe(true)
    expect(certificate.checkHost(index === 0 ? 'gateway' : 'login.localhost')).toBeDefined()
    expect(Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)).toBe(397 * 86_400_000)
    const [key] = read([certificates[index]!.replace('certificate', 'key')])
    expect(execFileSync('openssl', ['pkey', '-pubout'], { input: key, encoding: 'utf8' })).toBe(
      certificate.publicKey.export({ type: 'spki', format: 'pem' }),
    )
  }
}

it('certificates and secrets are made once', () => {
  expect(setUp()).toContain('Made secrets.')
  expectGood()
  const files = [...certificates, ...secrets, 'authority/ca.pem']
  const first = read(files)
  expect(setUp()).toBe('Certificates and secrets are there.\n')
  expect(read(files)).toEqual(first)
})

it('Valkey answers other hosts, although its default user has no password', () => {
  setUp()
  expect(read(['valkey/valkey.conf'])[0]).toContain('\nprotected-mode no\nuser default on nopass -@all +ping\n')
})

it.each([
  ['fewer than 30 days are left', (text: string) => text.replace('-days 397', '-days 29')],
  ['one of two is left from before', (text: string) => text.replace(/^ *issue .*provider.*$/m, 'exit 0')],
  ['the authority is left from before', (text: string) => text.replace(/^ *install .*ca\.pem .*$/m, 'exit 0')],
])('new certificates are made when %s, and the secrets stay', (_, change) => {
  setUp()
  rmSync(join(folder, certificates[0]!))
  setUp(change)
  const before = read(secrets)
  expect(setUp()).toContain('Made certificates.')
  expectGood()
  expect(read(secrets)).toEqual(before)
  expect(setUp()).toBe('Certificates and secrets are there.\n')
})
