import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

const skipped = new Set(['node_modules', 'dist', 'coverage', '.git', '.vite'])

/** Every file below the given folders of the repository that ends in one of `endings`, as paths from its root. */
export function filesBelow(folders: readonly string[], endings: readonly string[]): string[] {
  const walk = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      if (skipped.has(entry.name)) return []
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return walk(path)
      return endings.some((ending) => entry.name.endsWith(ending)) ? [path] : []
    })
  return folders.flatMap(walk).sort()
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

export interface Import {
  readonly file: string
  /** A path from the root for relative imports, the package or `node:` name for others. */
  readonly target: string
}

const importPattern = /^\s*(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm

export function importsOf(file: string): Import[] {
  return [...read(file).matchAll(importPattern)].map((match) => {
    const specifier = (match[1] ?? match[2])!
    return {
      file,
      target: specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : packageName(specifier),
    }
  })
}

function packageName(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
