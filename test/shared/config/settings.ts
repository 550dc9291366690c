import { stringify } from 'yaml'
import { type ParseOptions, parseConfig } from '../../../shared/config/load.ts'
import { ConfigError, type Problem } from '../../../shared/config/problem.ts'
import type { Config } from '../../../shared/config/schema.ts'

/** Settings as they stand in a file. */
export type Tree = { readonly [key: string]: unknown }

const least: Tree = {
  public_origin: 'https://www.example.com',
  authorization_server: { issuer: 'https://login.example.com' },
  client: { id: 'app', authentication: 'client_secret_basic', secret: 'not-a-real-secret' },
  keys: { file: 'keys.json' },
}

/** A settings file with what is required, and `change` in place of whole sections or merged into them. */
export function settingsFile(change: Tree = {}): string {
  const merged = Object.entries(change).map(([key, value]) => [
    key,
    isTree(value) && isTree(least[key]) ? { ...least[key], ...value } : value,
  ])
  return stringify({ ...least, ...Object.fromEntries(merged) })
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function parse(text: string, options: Partial<ParseOptions> = {}): Config {
  return parseConfig(text, { env: {}, readFile: noFile, ...options })
}

/** Every problem of a settings file; empty if it is good. */
export function problemsOf(text: string, options: Partial<ParseOptions> = {}): readonly Problem[] {
  try {
    parse(text, options)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

export function pathsOf(text: string, options: Partial<ParseOptions> = {}): string[] {
  return problemsOf(text, options).map(({ path }) => path)
}

function noFile(path: string): string {
  throw new Error(`no such file: ${path}`)
}
