import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(join(root, 'spa-client/README.md'), 'utf8')
const snippets = [...readme.matchAll(/```(tsx?)\n([^]*?)```/g)].map(([, kind, code]) => ({ kind, code: String(code) }))

const compilerOptions = {
  target: 'es2022',
  lib: ['es2022', 'dom', 'dom.iterable'],
  module: 'esnext',
  moduleResolution: 'bundler',
  strict: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  jsx: 'preserve',
  types: [],
  paths: { 'token-handler/client': [join(root, 'spa-client/token-handler.ts')] },
}

/** What the compiler says of the snippets, as files of one app. */
function compile(folder: string): string {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*'] }))
  copyFileSync(join(root, 'test/spa-client/snippets/frameworks.d.ts'), join(folder, 'frameworks.d.ts'))
  for (const [index, { kind, code }] of snippets.entries()) {
    const name = code.includes('export const tokenHandler') && index === 0 ? 'token-handler' : `snippet-${index}`
    writeFileSync(join(folder, `${name}.${kind}`), `${code}\nexport {}\n`)
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
    expect(snippets.length).toBeGreaterThanOrEqual(7)
    expect(compile(folder)).toBe('')
  })
})
