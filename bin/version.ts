import { readFileSync } from 'node:fs'

/** The version of this package; package.json is one folder up in the sources and two in what is published. */
export const version: string = ['../package.json', '../../package.json'].map(readVersion).find(Boolean) ?? 'unknown'

function readVersion(path: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
    return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : undefined
  } catch {
    return undefined
  }
}
