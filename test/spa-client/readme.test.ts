import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { failure, openSignedIn } from './profile.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(join(root, 'spa-client/README.md'), 'utf8')
const snippets = [...readme.matchAll(/```(tsx?)\n([^]*?)```/g)].map(([, kind, code]) => ({ kind, code: String(code) }))

const compilerOptions = {
  target: 'es2022',
  lib: ['es2022', 'dom'],
  module: 'esnext',
  moduleResolution: 'bundler',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  isolatedModules: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  jsx: 'preserve',
  types: [],
  paths: { 'token-handler-client': [join(root, 'spa-client/token-handler.ts')] },
}

/** What the compiler says of the snippets, as files of one app. */
function compile(folder: string): string {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*'] }))
  copyFileSync(join(root, 'test/spa-client/snippets/frameworks.d.ts'), join(folder, 'frameworks.d.ts'))
  writeFileSync(join(folder, 'app.ts'), 'export {}')
  for (const [index, { kind, code }] of snippets.entries()) {
    const name = code.includes('export const tokenHandler') && index === 0 ? 'token-handler' : `snippet-${index}`
    writeFileSync(join(folder, `${name}.${kind}`), `${code}\nexport {}\n`)
  }
  // What a hook gives is a session, claims and all.
  for (const [index, { kind, code }] of snippets.entries()) {
    if (!code.includes('useSession')) continue
    const use = `
      import type { Session } from 'token-handler-client'
      import { useSession } from './snippet-${index}'
      const session = useSession()${kind === 'tsx' ? '' : '.value'}
      export const shown: Session = session
      export const facts = [session.claims['name'], session.acr]`
    writeFileSync(join(folder, `use-${index}.ts`), use)
  }
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  try {
    return execFileSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
  }
}

describe('the snippets of the page', () => {
  let folder = ''
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('compile', () => {
    folder = mkdtempSync(join(tmpdir(), 'snippets-'))
    expect(snippets.length).toBeGreaterThanOrEqual(11)
    expect(compile(folder)).toBe('')
  })
})

describe('the snippet for EventSource', () => {
  const snippet = snippets.find(({ code }) => code.includes('new EventSource'))?.code ?? ''
  const script = stripTypeScriptTypes(snippet.slice(snippet.indexOf('\n\n', snippet.indexOf('XMLHttpRequest'))))

  /** Runs the snippet for a page whose sources the test refuses; `turns` are the tries that it has planned. */
  const run = async () => {
    const { profile, tokenHandler } = await openSignedIn()
    const sources: { readyState: number; onerror: () => void; close(): void }[] = []
    class EventSource {
      static readonly CLOSED = 2
      readyState = 1
      onerror = () => {}
      constructor() {
        sources.push(this)
      }
      close() {
        this.readyState = 2
      }
    }
    const turns: (() => unknown)[] = []
    const code = `export async function start(tokenHandler, EventSource, document, setTimeout) {${script}}`
    const { start } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
    await start(tokenHandler, EventSource, { hidden: false }, (turn: () => unknown) => turns.push(turn))
    await profile.settle()
    const refuse = async () => {
      sources.at(-1)!.readyState = 2
      sources.at(-1)!.onerror()
      for (const turn of turns.splice(0)) await turn()
      await profile.settle()
    }
    return { profile, tokenHandler, sources, refuse }
  }

  it('opens another one where one was refused, also if the agent was away at that moment', async () => {
    const { profile, sources, refuse } = await run()
    expect(sources).toHaveLength(1)
    await refuse()
    expect(sources).toHaveLength(2)
    profile.answers['POST /oauth-agent/refresh'] = () => failure(503, 'server_error')
    profile.sleep(61_000)
    await refuse()
    expect(sources).toHaveLength(3)
  })

  it('asks no more once nobody is signed in', async () => {
    const { profile, tokenHandler, sources, refuse } = await run()
    await tokenHandler.signOut()
    await refuse()
    await profile.settle()
    expect(sources).toHaveLength(1)
  })

  it('has one at a time, also when somebody signs in meanwhile', async () => {
    const { profile, tokenHandler, sources } = await run()
    profile.session.createdAt += 1
    await tokenHandler.check()
    await profile.settle()
    expect(sources.filter(({ readyState }) => readyState === 1)).toHaveLength(1)
    expect(sources).toHaveLength(2)
  })
})
