import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { build } from 'vite'
import about from '../../package.json' with { type: 'json' }
import { temporaryFolder } from '../support/temporary-folder.ts'
import { clientSizeLimit } from './client-size.ts'
import { root } from './source-files.ts'

const { path: folder } = temporaryFolder()
const app = join(folder, 'app')
const clientPackage = join(app, 'node_modules/token-handler-client')
const packed = (name: string) => join(folder, `${name}-${about.version}.tgz`)
const run = (cwd: string, command: string, ...words: string[]) =>
  execFileSync(command, words, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

beforeAll(() => {
  // Beside the sources nothing is built: other tests look there.
  const main = join(folder, 'main')
  run(root, process.execPath, 'deploy/build.ts', join(main, 'dist'))
  copyFileSync(join(root, 'package.json'), join(main, 'package.json'))
  run(main, 'npm', 'pack', '--ignore-scripts', '--pack-destination', folder)
  run(main, 'npm', 'pack', './dist/spa-client', '--pack-destination', folder)

  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  run(app, 'npm', 'install', '--offline', '--no-audit', '--no-fund', packed('token-handler-client'))
  // npm would ask a registry for the dependencies of the server, which the client must not need.
  mkdirSync(join(app, 'node_modules/token-handler'))
  run(app, 'tar', '-xzf', packed('token-handler'), '-C', 'node_modules/token-handler', '--strip-components=1')
}, 120_000)

it('is built in an empty folder only, where one is named', () => {
  const full = join(folder, 'full')
  mkdirSync(full)
  writeFileSync(join(full, 'thesis.md'), 'nowhere else')
  const { status, stderr } = spawnSync(process.execPath, ['deploy/build.ts', full], { cwd: root, encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, expect.stringContaining(`${full} is not empty. Name another folder.`)])
  expect(readdirSync(full)).toEqual(['thesis.md'])
})

describe('the package of the browser client', () => {
  it('brings nothing along', () => {
    expect(readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
      'token-handler',
      'token-handler-client',
    ])
  })

  it('has the version and the license of the main package', () => {
    const { version, license } = JSON.parse(readFileSync(join(clientPackage, 'package.json'), 'utf8')) as typeof about
    expect({ version, license }).toEqual({ version: about.version, license: about.license })
    expect(readFileSync(join(clientPackage, 'LICENSE'), 'utf8')).toBe(readFileSync(join(root, 'LICENSE'), 'utf8'))
  })

  it('names files that exist to tools that do not read exports', () => {
    const manifest = JSON.parse(readFileSync(join(clientPackage, 'package.json'), 'utf8')) as Record<string, string>
    expect(existsSync(join(clientPackage, manifest['main'] ?? 'none'))).toBe(true)
    expect(existsSync(join(clientPackage, manifest['types'] ?? 'none'))).toBe(true)
  })

  it(`has a file for pages without a bundler of at most ${clientSizeLimit} bytes`, () => {
    const file = readFileSync(join(clientPackage, 'token-handler.min.js'))
    expect(gzipSync(file, { level: 9 }).length).toBeLessThanOrEqual(clientSizeLimit)
  })

  it('has a page that links to nothing outside of it', () => {
    const readme = readFileSync(join(clientPackage, 'README.md'), 'utf8')
    expect(readme).toContain("from 'token-handler-client'")
    expect([...readme.matchAll(/\]\((?!https:|#)[^)]*\)/g)].map(String)).toEqual([])
  })
})

it('the main package holds the browser client without a package of its own in it', () => {
  const names = readdirSync(join(app, 'node_modules/token-handler/dist/spa-client'))
  expect(names).toContain('token-handler.js')
  expect(names.filter((name) => !/(?<!\.min)\.(?:d\.ts|js)$/.test(name))).toEqual([])
})

describe.each(['token-handler-client', 'token-handler/client'])('%s', (name) => {
  it('can be imported', () => {
    const code = `console.log(Object.keys(await import('${name}')).join())`
    expect(run(app, process.execPath, '--input-type=module', '-e', code).trim()).toBe('AgentError,createTokenHandler')
  })

  it.each(['node16', 'bundler'])('has types with moduleResolution %s', (moduleResolution) => {
    // A type that is not found would be `any`, which is a number as well.
    const code = `import { type AgentError, createTokenHandler, type ErrorCode, type Session } from '${name}'
const session: Session = createTokenHandler().session()
export const isLoggedIn: boolean = session.isLoggedIn
export const wrong: number = session.isLoggedIn
export const misspelt: ErrorCode = 'session_expird'
export const isOver = ({ code }: AgentError) => code === 'session_expired' || code === 'a code of tomorrow'
const parameters: Record<string, string> = { prompt: 'none', kc_idp_hint: 'x' }
export const signIn = () => createTokenHandler().signIn({ parameters: { ...parameters, login_hint: 'a' } })
export const again = () => createTokenHandler().signIn({ parameters })`
    writeFileSync(join(app, 'app.ts'), code)
    const module = moduleResolution === 'bundler' ? 'esnext' : moduleResolution
    const compilerOptions = { module, moduleResolution, target: 'es2022', lib: ['es2022', 'dom'], types: [] }
    const strict = { strict: true, noEmit: true, skipLibCheck: false }
    const settings = { compilerOptions: { ...compilerOptions, ...strict }, files: ['app.ts'] }
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify(settings))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = spawnSync(process.execPath, [compiler, '-p', app], { cwd: app, encoding: 'utf8' })
    expect(stdout.trim().split(/\r?\n/)).toEqual([
      "app.ts(4,14): error TS2322: Type 'boolean' is not assignable to type 'number'.",
      expect.stringMatching(/^app\.ts\(5,14\): error TS2820: .*Did you mean '"session_expired"'\?$/),
    ])
  })

  it('is bundled by Vite', async () => {
    writeFileSync(
      join(app, 'main.js'),
      `import { createTokenHandler } from '${name}'\nwindow.made = createTokenHandler()`,
    )
    writeFileSync(join(app, 'index.html'), '<script type="module" src="/main.js"></script>')
    const built = await build({ root: app, configFile: false, logLevel: 'error', build: { write: false } })
    const [bundle] = [built].flat()
    const scripts =
      bundle !== undefined && 'output' in bundle ? bundle.output.filter(({ type }) => type === 'chunk') : []
    expect(scripts).toHaveLength(1)
    expect(scripts[0]).toMatchObject({ imports: [], code: expect.stringContaining('/oauth-agent') })
  })
})
