import { spawn, spawnSync } from 'node:child_process'
import { type EventEmitter, once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { listening } from '../../bin/listening.ts'
import { createProgram, runProgram } from '../../bin/program.ts'
import { deriveKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { parseKeyRing } from '../../shared/crypto/key-ring.ts'
import { formatKeyRingFile, parseKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { pseudonym } from '../../shared/crypto/pseudonym.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { createCertificate } from '../support/certificate.ts'
import { testKeys } from '../support/installation.ts'
import { root } from '../house/source-files.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'token-handler-'))
  await run('keys', 'generate', at('keys.json'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const at = (name: string) => join(folder, name)

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** What a command that serves listens to; left behind, it would end the process of other tests at a failure, unsaid. */
const processEvents: readonly string[] = ['uncaughtException', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1']

/** Runs a command in this process, as the executable does. */
async function run(...args: string[]): Promise<Ended> {
  const ended = { code: 0, out: '', err: '' }
  const present: EventEmitter = process
  const before = processEvents.map((name) => [name, present.listeners(name)] as const)
  await runProgram(args, {
    out: (text) => void (ended.out += `${text}\n`),
    err: (text) => void (ended.err += `${text}\n`),
    exitWith: (code) => void (ended.code = code),
  })
  for (const [name, kept] of before) {
    for (const each of present.listeners(name)) if (!kept.includes(each)) present.off(name, each as () => void)
  }
  return { ...ended, err: ended.err.trimEnd() }
}

/** Writes a settings file whose ports are free ones, or those given. */
function settings(
  name: string,
  change: { port?: number; operations?: string; keys?: string; route?: string } = {},
): string {
  const { port = 0, operations = '', keys = 'keys.json', route = '/api/**' } = change
  writeFileSync(
    at(name),
    `public_origin: http://localhost:3000
insecure_allow_http: true
authorization_server: { issuer: "http://127.0.0.1:9" }
client: { id: app, authentication: client_secret_basic, secret: do-not-show-me }
keys: { file: ${keys} }
agent: { listen: { port: ${port} } }
proxy: { listen: { port: ${port} }, routes: [{ path: ${route}, upstream: "http://127.0.0.1:9" }] }
operations: { listen: { port: 0 }, shutdown_wait_seconds: 0, ${operations} }
`,
  )
  return at(name)
}

describe('keys', () => {
  it('are made, staged, promoted, derived and listed, and only their owner may read them', async () => {
    await run('keys', 'generate', at('ring.json'))
    expect(statSync(at('ring.json')).mode & 0o777).toBe(0o600)
    const secrets = [...readFileSync(at('ring.json'), 'utf8').matchAll(/[0-9a-f]{64}/g)].map(String)
    const staged = await run('keys', 'rotate', at('ring.json'))
    const id = /Key ([0-9a-f]{8}) is staged/.exec(staged.out)?.[1] ?? ''
    await run('keys', 'promote', at('ring.json'), id)
    const listed = await run('keys', 'list', at('ring.json'), '--json')
    expect(JSON.parse(listed.out)).toMatchObject([{ id, role: 'seals and opens' }, { role: 'opens only' }])
    for (const secret of secrets) expect(listed.out + staged.out).not.toContain(secret)
    const derived = await run('keys', 'derive', at('ring.json'), '-')
    expect(derived.out).not.toContain('"refresh"')
    expect(derived.out).not.toContain('master')
    expect(derived.out).not.toContain('dpop')
    const proving = await run('keys', 'derive', '--dpop', at('ring.json'), '-')
    expect(proving.out).toContain('"dpop"')
    expect(proving.out).not.toContain('"refresh"')
  })
  it('tell how a user appears in logs, before a rotation and after it, also where they were derived', async () => {
    await run('keys', 'generate', at('names.json'))
    const used = () => pseudonym(parseKeyRing(readFileSync(at('names.json'), 'utf8')), 'subject', 'alice')
    const before = used()
    await run('keys', 'rotate', at('names.json'), '--now')
    const { out } = await run('keys', 'pseudonym', at('names.json'), 'alice')
    expect(out).toBe(`${used()}\n${before}\n`)
    expect(used()).not.toBe(before)

    await run('keys', 'derive', at('names.json'), at('names-derived.json'))
    expect(await run('keys', 'pseudonym', at('names-derived.json'), 'alice')).toMatchObject({ code: 0, out })
    const others = deriveKeyRing(parseKeyRingFile(readFileSync(at('names.json'), 'utf8')), ['access'])
    writeFileSync(at('nameless.json'), formatKeyRingFile(others))
    const { code, err } = await run('keys', 'pseudonym', at('nameless.json'), 'alice')
    expect([code, err]).toEqual([1, expect.stringContaining('no key for pseudonyms')])
  })
  it('stay readable for whoever could read them, at the place to which a link leads', async () => {
    await run('keys', 'generate', at('shared.json'))
    chmodSync(at('shared.json'), 0o640)
    symlinkSync(at('shared.json'), at('link.json'))
    const isRoot = process.getuid?.() === 0
    if (isRoot) chownSync(at('shared.json'), 1234, 1235)
    expect((await run('keys', 'rotate', at('link.json'))).code).toBe(0)
    const { mode, uid, gid } = statSync(at('shared.json'))
    expect(mode & 0o777).toBe(0o640)
    if (isRoot) expect([uid, gid]).toEqual([1234, 1235])
    expect(readFileSync(at('shared.json'), 'utf8')).toContain(
      (await run('keys', 'list', at('link.json'))).out.slice(0, 8),
    )
    expect(lstatSync(at('link.json')).isSymbolicLink()).toBe(true)
  })
  it('are made for standard output, and nothing beside them', async () => {
    const { code, out } = await run('keys', 'generate', '-')
    expect(code).toBe(0)
    expect(parseKeyRingFile(out)).toHaveLength(1)
    expect(existsSync('-')).toBe(false)
  })
  it.each([
    ['rotate', '-'],
    ['promote', '-', '00000000'],
    ['remove', '-', '00000000'],
    ['derive', '-', '-'],
    ['list', '-'],
    ['pseudonym', '-', 'alice'],
  ])('are not read from standard output: %s %s', async (...args) => {
    const { code, err } = await run('keys', ...args)
    expect([code, err]).toEqual([1, expect.stringContaining('Name a file')])
  })
  it('are not lost by deriving over them', async () => {
    await run('keys', 'generate', at('master.json'))
    const before = readFileSync(at('master.json'), 'utf8')
    const derived = await run('keys', 'derive', at('master.json'), at('master.json'))
    expect([derived.code, derived.err]).toEqual([1, expect.stringContaining('holds master keys')])
    expect(readFileSync(at('master.json'), 'utf8')).toBe(before)
    for (let time = 0; time < 2; time++) {
      expect((await run('keys', 'derive', at('master.json'), at('derived.json'))).code).toBe(0)
    }
  })
  it('do not replace a file that was named by mistake', async () => {
    writeFileSync(at('client-secret'), 'correct-horse-battery-staple')
    const mistaken = await run('keys', 'derive', at('keys.json'), at('client-secret'))
    expect([mistaken.code, mistaken.err]).toEqual([1, expect.stringContaining('is no key ring')])
    expect(readFileSync(at('client-secret'), 'utf8')).toBe('correct-horse-battery-staple')
    writeFileSync(at('made-before.json'), '', { mode: 0o640 })
    expect((await run('keys', 'derive', at('keys.json'), at('made-before.json'))).code).toBe(0)
  })
  it('say what can be done where a word of the command line does not fit', async () => {
    const { err: unread } = await run('keys', 'list', at('absent.json'))
    expect(unread).toBe(
      `${at('absent.json')} cannot be read (ENOENT). Check the path and that this user may read the file.`,
    )
    writeFileSync(at('no-token'), '\n')
    for (const [file, words] of [
      ['absent', 'cannot be read (ENOENT)'],
      ['no-token', 'is empty'],
    ] as const) {
      const doctor = await run('doctor', '--config', settings('good.yaml'), '--refresh-token-file', at(file))
      expect([doctor.code, doctor.err]).toEqual([1, expect.stringContaining(`${at(file)} ${words}`)])
    }
    const [{ id }] = JSON.parse((await run('keys', 'list', at('keys.json'), '--json')).out) as [{ id: string }]
    const { err: unknown } = await run('keys', 'promote', at('keys.json'), 'abc')
    expect(unknown).toBe(`There is no key "abc" in this ring. It has: ${id}.`)
    // An unset variable in a script: its pseudonym exists, but nobody's events have it.
    const { code, out } = await run('keys', 'pseudonym', at('keys.json'), '')
    expect([code, out]).toEqual([1, ''])
  })
  it('are not given to nginx with more in them than it needs', async () => {
    await run('keys', 'derive', at('keys.json'), at('for-nginx.json'))
    const remarks = async (keys: string) => {
      const file = settings(`nginx-${keys}.yaml`, { keys, port: 8081 })
      return (await run('--config', file, 'config', 'nginx', '--write', at('nginx-files'))).err
    }
    expect(await remarks('keys.json')).toContain('it also opens refresh, identity, login. Give nginx one made with')
    expect(await remarks('for-nginx.json')).toBe('')
  })
  it('name the option of the whole program in the help of a command', async () => {
    const silent = { out: () => undefined, err: () => undefined, exitWith: () => undefined }
    const check = createProgram(silent).commands.find((each) => each.name() === 'config')?.commands[0]
    expect(check?.helpInformation()).toContain('--config <file>')
  })
  it.each([[['keys', 'rotate']], [['keys']], [['doctor']], [[]]])('show the same help of %j in both ways', (words) => {
    const shown = (...args: string[]) =>
      spawnSync(process.execPath, ['bin/token-handler.ts', ...args], { encoding: 'utf8', cwd: root })
    const { status, stdout } = shown('help', ...words)
    expect([status, stdout]).toEqual([0, shown(...words, '--help').stdout])
    expect(stdout).toContain(['Usage: token-handler', ...words, '[options]'].join(' '))
  })
  it.each([
    ['in a folder that does not exist', ['keys', 'generate'], 'nowhere/ring.json'],
    ['in place of a folder', ['keys', 'derive'], 'a-folder'],
    ['below a file', ['config', 'nginx', '--write'], 'keys.json/nginx'],
  ])('a command says in a sentence that it cannot write %s', async (_, command, target) => {
    mkdirSync(at('a-folder'), { recursive: true })
    const from = command.includes('derive') ? [at('keys.json')] : []
    const ended = await run('--config', settings('of-a-port.yaml', { port: 8081 }), ...command, ...from, at(target))
    expect([ended.code, ended.err]).toEqual([
      1,
      expect.stringMatching(/cannot be written \(E\w+\)\. Check the path .*there\.$/),
    ])
    expect(ended.err).toContain(at(target))
    expect(readdirSync(folder).filter((name) => name.endsWith('.new'))).toEqual([])
  })
  it('are not written to where somebody else has led their next name', async () => {
    writeFileSync(at('of-somebody-else'), 'kept')
    symlinkSync(at('of-somebody-else'), at(`led.json.${process.pid}.new`))
    const { code, err } = await run('keys', 'generate', at('led.json'))
    expect([code, err]).toEqual([1, expect.stringContaining(at('led.json'))])
    expect(readFileSync(at('of-somebody-else'), 'utf8')).toBe('kept')
    rmSync(at(`led.json.${process.pid}.new`))
  })
  it('name the file that is no key ring', async () => {
    const listed = await run('keys', 'list', settings('good.yaml'))
    expect([listed.code, listed.err]).toEqual([78, expect.stringContaining(`${at('good.yaml')}: is not a JSON object`)])
  })
  it('are not overwritten', async () => {
    const again = await run('keys', 'generate', at('keys.json'))
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('exists already')])
  })
})

describe('config', () => {
  it('check says that all is good', async () => {
    expect(await run('--config', settings('good.yaml'), 'config', 'check')).toMatchObject({ code: 0, err: '' })
  })
  const ringFor = (keys: string) => settings('ring.yaml', { keys })
  it.each([
    ['is missing', 'absent.json', 'absent.json cannot be read (ENOENT)'],
    ['is a folder', '.', 'cannot be read (EISDIR)'],
    ['is no ring', 'no-ring.json', 'keys.file version: must be 1'],
    ['holds too little for any process', 'little.json', 'has no keys for csrf, pseudonym, which every process needs'],
  ])('check finds a key ring that %s', async (_, keys, words) => {
    writeFileSync(at('no-ring.json'), '{}')
    writeFileSync(at('little.json'), formatKeyRingFile(deriveKeyRing(testKeys(), ['access'])))
    const { code, out } = await run('--config', ringFor(keys), 'config', 'check')
    expect([code, out]).toEqual([78, expect.stringContaining(words)])
  })
  it.each([
    [[], 0, ''],
    [['--for', 'proxy'], 0, ''],
    [['--for', 'agent'], 78, 'which agent needs'],
    [['--for', 'serve'], 78, 'which serve needs'],
  ])('check with %j judges a ring that was derived for proxies', async (option, code, words) => {
    await run('keys', 'derive', at('keys.json'), at('for-proxies.json'))
    const ended = await run('--config', ringFor('for-proxies.json'), 'config', 'check', ...option)
    expect(ended).toMatchObject({ code, out: expect.stringContaining(words) as string })
  })
  it.each([
    [[], true],
    [['--for', 'serve'], true],
    [['--for', 'proxy'], true],
    [['--for', 'agent'], false],
  ])('check with %j warns of a proxy without any API: %j', async (option, isWarned) => {
    const file = settings('no-routes.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/, routes: .*\]/, ''))
    const warned =
      /^Warning: proxy\.routes \(line \d+\): lists no API[^]*List the APIs under proxy\.routes[^]*--for agent/
    const plain = await run('--config', file, 'config', 'check', ...option)
    expect(plain).toEqual({
      code: 0,
      out: 'The settings are good.\n',
      err: isWarned ? expect.stringMatching(warned) : '',
    })
    const { code, out, err } = await run('--config', file, 'config', 'check', ...option, '--json')
    expect([code, err, JSON.parse(out)]).toEqual([
      0,
      '',
      { ok: true, problems: [], warnings: isWarned ? [expect.objectContaining({ path: 'proxy.routes' })] : [] },
    ])
  })
  it.each([
    ['websocket: true', [], true],
    ['websocket: true', ['--for', 'agent'], false],
    ['websocket: true, headerless: [event_stream]', [], true],
    ['websocket: true, headerless: [websocket]', [], false],
    ['headerless: [event_stream]', [], false],
  ])(
    'check of a route with %s and %j warns that no browser can open a WebSocket: %j',
    async (words, option, isWarned) => {
      const file = settings('websocket.yaml')
      writeFileSync(file, readFileSync(file, 'utf8').replace(/(routes: \[\{ )/, `$1${words}, `))
      const { code, err } = await run('--config', file, 'config', 'check', ...option)
      expect([code, err]).toEqual([
        0,
        isWarned
          ? expect.stringMatching(/^Warning: proxy\.routes\[0\]\.websocket \(line 7\): [^]*headerless: \[websocket\]/)
          : '',
      ])
    },
  )
  it('check knows what agent and proxy need where each runs alone', async () => {
    const file = settings('alone.yaml')
    writeFileSync(file, 'logout: { backchannel: true }\n', { flag: 'a' })
    expect((await run('--config', file, 'config', 'check')).code).toBe(0)
    expect((await run('--config', file, 'config', 'check', '--for', 'proxy')).out).toContain('store.kind: is memory')
  })
  it.each([
    ['in a folder that does not exist', 'nowhere/audit.jsonl'],
    ['below a file', 'keys.json/audit.jsonl'],
    ['that is a folder', '.'],
  ])('check finds an audit file %s, together with everything else', async (_, name) => {
    const file = settings('audit.yaml', { keys: 'absent.json', route: 'bad' })
    writeFileSync(file, `observability: { audit_file: ${name} }\n`, { flag: 'a' })
    const { code, out } = await run('--config', file, 'config', 'check', '--json')
    expect(code).toBe(78)
    const { problems } = JSON.parse(out) as { problems: { path: string }[] }
    expect(problems.map(({ path }) => path).toSorted()).toEqual([
      'keys.file',
      'observability.audit_file',
      'proxy.routes[0].path',
    ])
    const started = await run('--config', file, 'serve')
    for (const { path } of problems) expect(started.err).toContain(path)
  })
  describe('check with certificates for TLS', () => {
    const authority = createCertificate({ name: 'authority' })
    const good = createCertificate({ name: 'proxy', issuer: authority, hosts: ['localhost'] })
    const old = createCertificate({ name: 'proxy', issuer: authority, until: '210101000000Z' })
    const oldAuthority = createCertificate({ name: 'authority', until: '210101000000Z' })
    const weak = createCertificate({ name: 'proxy', issuer: authority, curve: 'secp112r1' })
    const files = {
      'weak.crt': weak.certificate,
      'weak.key': weak.privateKey,
      'tls.crt': good.certificate + authority.certificate,
      'tls.key': good.privateKey,
      'other.key': old.privateKey,
      'old.crt': old.certificate,
      'broken-chain.crt': `${good.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      'ca.crt': oldAuthority.certificate + authority.certificate,
      'old-ca.crt': oldAuthority.certificate,
      'no-ca.crt': authority.certificate + good.certificate,
      'half-ca.crt': `${authority.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      'unfinished.crt': (good.certificate + authority.certificate).slice(0, -9),
      'unfinished-ca.crt': (authority.certificate + good.certificate).slice(0, -40),
      'empty.pem': '',
    }
    beforeAll(() => {
      for (const [name, text] of Object.entries(files)) writeFileSync(at(name), text)
    })
    /** Settings whose agent or proxy listens with these files. */
    const listening = (part: 'agent' | 'proxy', certificate: string, key: string, ca?: string) => {
      const file = settings('tls.yaml')
      const more = `certificate_file: ${certificate}, private_key_file: ${key}${ca === undefined ? '' : `, client_ca_file: ${ca}`}`
      const text = readFileSync(file, 'utf8').replace(`${part}: { listen: { port: 0`, `$&, ${more}`)
      writeFileSync(file, text)
      return file
    }

    it('finds nothing wrong where nothing is', async () => {
      const file = listening('proxy', 'tls.crt', 'tls.key', 'ca.crt')
      expect(await run('--config', file, 'config', 'check')).toMatchObject({ code: 0, err: '' })
    })
    it.each([
      ['a certificate that is missing', 'absent.crt', 'tls.key', 'ca.crt', 'certificate_file', 'cannot be read'],
      ['a key that is missing', 'tls.crt', 'absent.key', 'ca.crt', 'private_key_file', 'cannot be read'],
      ['authorities that are missing', 'tls.crt', 'tls.key', 'absent.crt', 'client_ca_file', 'cannot be read'],
      ['a key of another certificate', 'tls.crt', 'other.key', 'ca.crt', 'private_key_file', 'is not the key'],
      ['a key for a certificate', 'tls.key', 'tls.key', 'ca.crt', 'certificate_file', 'no certificate'],
      ['a certificate for a key', 'tls.crt', 'tls.crt', 'ca.crt', 'private_key_file', 'no private key'],
      [
        'a certificate that has expired',
        'old.crt',
        'other.key',
        'ca.crt',
        'certificate_file',
        'at 2021-01-01T00:00:00',
      ],
      ['a chain that cannot be read', 'broken-chain.crt', 'tls.key', 'ca.crt', 'certificate_file', 'cannot be read'],
      ['a key that is too short', 'weak.crt', 'weak.key', 'ca.crt', 'certificate_file', 'cannot be served (EE_KEY'],
      ['authorities that have expired', 'tls.crt', 'tls.key', 'old-ca.crt', 'client_ca_file', 'only certificates that'],
      ['authorities that are none', 'tls.crt', 'tls.key', 'no-ca.crt', 'client_ca_file', 'not of an authority'],
      [
        'authorities of which one cannot be read',
        'tls.crt',
        'tls.key',
        'half-ca.crt',
        'client_ca_file',
        'not a certif',
      ],
      ['a chain that is still being written', 'unfinished.crt', 'tls.key', 'ca.crt', 'certificate_file', 'breaks off'],
      [
        'authorities that are still being written',
        'tls.crt',
        'tls.key',
        'unfinished-ca.crt',
        'client_ca_file',
        'breaks',
      ],
      ['no authorities', 'tls.crt', 'tls.key', 'empty.pem', 'client_ca_file', 'not a certificate'],
    ])('finds %s', async (_, certificate, key, ca, setting, words) => {
      const file = listening('proxy', certificate, key, ca)
      const { code, out } = await run('--config', file, 'config', 'check')
      expect([code, out]).toEqual([78, expect.stringMatching(new RegExp(`^proxy\\.listen\\.${setting}`))])
      expect(out).toContain(words)
    })
    it.each([
      ['proxy', [], 78],
      ['proxy', ['--for', 'proxy'], 78],
      ['proxy', ['--for', 'serve'], 78],
      ['proxy', ['--for', 'agent'], 0],
      ['agent', [], 78],
      ['agent', ['--for', 'agent'], 78],
      ['agent', ['--for', 'serve'], 0],
      ['agent', ['--for', 'proxy'], 0],
    ] as const)('of the %s alone judges with %j the files that this process reads', async (part, option, code) => {
      const file = listening(part, 'absent.crt', 'absent.key')
      expect((await run('--config', file, 'config', 'check', ...option)).code).toBe(code)
    })
    it('is needed before nginx with the Lua module, which speaks no TLS to agent and proxy', async () => {
      const file = listening('agent', 'tls.crt', 'tls.key')
      const { code, err } = await run('--config', file, 'config', 'nginx', '--write', at('nginx'))
      expect([code, err]).toEqual([78, expect.stringContaining('agent.listen.certificate_file')])
      expect(existsSync(at('nginx'))).toBe(false)
    })
  })
  it('check makes no audit file', async () => {
    const file = settings('audit.yaml')
    writeFileSync(file, 'observability: { audit_file: audit.jsonl }\n', { flag: 'a' })
    expect((await run('--config', file, 'config', 'check')).code).toBe(0)
    expect(readdirSync(folder)).not.toContain('audit.jsonl')
    writeFileSync(at('audit.jsonl'), '')
    expect((await run('--config', file, 'config', 'check')).code).toBe(0)
  })
  it('check says nothing of the ring where the section that names it is missing', async () => {
    const file = settings('no-keys.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^keys: .*\n/m, ''))
    const { out } = await run('--config', file, 'config', 'check', '--json')
    expect(JSON.parse(out)).toMatchObject({ problems: [{ path: 'keys' }] })
    expect(out).not.toContain('cannot be read')
  })
  it('check reports problems of every part to machines, with exit code 78', async () => {
    writeFileSync(
      at('bad.yaml'),
      readFileSync(settings('x.yaml'), 'utf8')
        .replace('id: app', 'idd: app')
        .replace('[{', '[{ path: /api/**, upstream: "https://a" }, {'),
    )
    const { code, out } = await run('--config', at('bad.yaml'), 'config', 'check', '--json')
    expect(code).toBe(78)
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      problems: [{ path: 'client.id' }, { path: 'client.idd' }, { path: 'proxy.routes[1].path' }],
    })
  })
  it('example names the schema that it says how to make', async () => {
    const { out, err } = await run('config', 'example')
    const file = /\$schema=\.\/(\S+)/.exec(out)?.[1]
    expect(err.trimEnd()).toMatch(new RegExp(`config schema > ${file}$`))
  })
  it('print shows defaults and masks secrets', async () => {
    const { out } = await run('--config', settings('good.yaml'), 'config', 'print')
    expect(out).toContain('idle_seconds: 3600')
    expect(out).toContain('secret: "[secret]"')
    expect(out).not.toContain('do-not-show-me')
  })
  it('print names the settings in JSON as in the file', async () => {
    const file = settings('good.yaml')
    const [yaml, json] = await Promise.all([
      run('--config', file, 'config', 'print'),
      run('--config', file, 'config', 'print', '--json'),
    ])
    expect(JSON.parse(json.out)).toEqual(parseYaml(yaml.out))
  })
})

describe('whoever asks for JSON gets it where there is no result, too:', () => {
  it.each([
    ['settings that cannot be used', 78, ['config', 'print'], 'bad.yaml', 'proxy.routes[0].path'],
    ['settings that cannot be examined', 78, ['doctor'], 'bad.yaml', 'proxy.routes[0].path'],
    ['no settings', 78, ['doctor', '--offline'], 'absent.yaml', ''],
    ['a ring that is none', 78, ['keys', 'list', 'bad.yaml'], 'bad.yaml', 'bad.yaml'],
    ['a ring that is not there', 1, ['keys', 'list', 'absent.json'], 'bad.yaml', ''],
  ])('%s', async (_, exitCode, command, file, path) => {
    settings('bad.yaml', { route: 'bad' })
    const words = command.map((word) => (/\./.test(word) ? at(word) : word))
    const { code, out, err } = await run('--config', at(file), ...words, '--json')
    expect([code, out]).toEqual([exitCode, ''])
    expect(JSON.parse(err)).toEqual({
      ok: false,
      problems: [
        expect.objectContaining({
          path: path === 'bad.yaml' ? at(path) : path,
          problem: expect.any(String) as string,
          remedy: expect.any(String) as string,
        }),
      ],
    })
    const { err: text } = await run('--config', at(file), ...words)
    expect(text).not.toContain('{')
  })
})

it('doctor judges the settings for one process, too', async () => {
  const file = settings('alone.yaml')
  writeFileSync(file, 'logout: { backchannel: true }\n', { flag: 'a' })
  const { code, err } = await run('--config', file, 'doctor', '--for', 'agent')
  expect([code, err]).toEqual([78, expect.stringContaining('store.kind')])
})

it('doctor leaves the public origin alone where it is told to', async () => {
  const { code, out } = await run('--config', settings('good.yaml'), 'doctor', '--offline', '--json')
  expect(code).toBe(1)
  expect(JSON.parse(out)).toContainEqual({
    level: 'skipped',
    check: 'cookies.round_trip',
    found: 'skipped (--offline)',
  })
})

it('doctor lives until it has told what it found, also while it waits for nothing but a time limit', async () => {
  // A store that is lost for good with the first command after those that every connection begins with.
  const store = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (asked) => {
      if (asked.includes(':value:')) {
        store.close()
        socket.destroy()
      } else if (asked.includes('HELLO')) socket.write('%0\r\n')
      else if (asked.includes('SUBSCRIBE'))
        socket.write('>3\r\n$9\r\nsubscribe\r\n$19\r\ntoken-handler:ended\r\n:1\r\n')
      else socket.write(asked.includes('EVAL') ? '*0\r\n' : '+OK\r\n')
    })
  })
  await once(store.listen(0, '127.0.0.1'), 'listening')
  const { port } = store.address() as AddressInfo
  const file = settings('lost-store.yaml')
  writeFileSync(file, `store: { kind: valkey, url: "redis://127.0.0.1:${port}" }\n`, { flag: 'a' })
  const doctor = spawn(process.execPath, ['bin/token-handler.ts', '--config', file, 'doctor', '--offline'], {
    cwd: root,
  })
  const out = text(doctor.stdout)
  const [code] = (await once(doctor, 'exit')) as [number]
  expect([code, await out]).toEqual([1, expect.stringContaining('✗ store: cannot be used (')])
})

describe('start is refused with exit code 78', () => {
  it.each([
    ['without settings', [], 'no settings file was named'],
    ['with a file that is not there', ['--config', 'none.yaml'], 'none.yaml cannot be read'],
  ])('%s', async (_, args, words) => {
    const { code, err } = await run(...args, 'serve')
    expect([code, err]).toEqual([78, expect.stringContaining(words)])
  })
  it.each([
    ['no key ring', undefined, 'keys.file (line 5): ', 'cannot be read'],
    ['an empty key ring', '', 'keys.file', 'JSON'],
    ['63 hex digits (A12)', ring('a1'.repeat(31) + 'b'), 'keys.file keys[0].master', '64 lower-case hex'],
    ['all zero (A12)', ring('0'.repeat(64)), 'keys.file keys[0].master', ''],
    ['a repeated byte (A12)', ring('ab'.repeat(32)), 'keys.file keys[0].master', ''],
  ])('with %s, naming the place and not the value', async (_, text, place, words) => {
    if (text !== undefined) writeFileSync(at('weak.json'), text)
    const { code, err } = await run(
      '--config',
      settings('weak.yaml', { keys: text === undefined ? 'absent.json' : 'weak.json' }),
      'serve',
    )
    expect(code).toBe(78)
    expect(err).toContain(place)
    expect(err).toContain(words)
    expect(err).not.toMatch(/[0-9a-f]{32}/)
  })
  it('with a proxy ring for the agent (EN-9)', async () => {
    await run('keys', 'derive', at('keys.json'), at('proxy-keys.json'))
    const { code, err } = await run('--config', settings('derived.yaml', { keys: 'proxy-keys.json' }), 'agent')
    expect([code, err]).toEqual([78, expect.stringContaining('has no keys for refresh')])
  })
})

it.each([
  ['EADDRNOTAVAIL', 78, '192.0.2.1 is not an address of this machine. Change operations.listen.host.'],
  ['ENOTFOUND', 78, '192.0.2.1 is not an address of this machine. Change operations.listen.host.'],
  ['EAI_AGAIN', 1, '192.0.2.1 cannot be looked up now. Check the name service, or change operations.listen.host.'],
])('a host at which nobody can listen (%s) ends the start with %i', async (code, exitCode, message) => {
  const config = parse(settingsFile({ operations: { listen: { host: '192.0.2.1' } } }))
  const refuse = () => Promise.reject(Object.assign(new Error('refused'), { code }))
  await expect(listening('operations.listen', config, refuse)).rejects.toMatchObject({ message, exitCode })
})

it('a port in use is said plainly, with the remedy', async () => {
  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
  const address = blocker.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { code, err } = await run('--config', settings('busy.yaml', { port }), 'proxy')
  const file = settings('busy-too.yaml')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('operations: { listen: { port: 0 }', `operations: { listen: { port: ${port} }`))
  const other = await run('--config', file, 'proxy')
  blocker.close()
  expect(other.err).toContain('change operations.listen.port. Agent and proxy on one machine need one each')
  expect(code).toBe(1)
  expect(err.trim()).toBe(`Port ${port} on 127.0.0.1 is in use. Stop what uses it, or change proxy.listen.port.`)
})

function ring(master: string): string {
  return JSON.stringify({ version: 1, keys: [{ id: '00000000', created_at: '2026-01-01T00:00:00Z', master }] })
}
