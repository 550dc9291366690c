import { readFileSync } from 'node:fs'
import { type Document, LineCounter, parseDocument } from 'yaml'
import type { ConfigCheck } from './check.ts'
import { checks } from './checks.ts'
import { fileChecks } from './file-checks.ts'
import { interpret } from './interpret.ts'
import { linesOf } from './lines.ts'
import type { Sources } from './prepare.ts'
import { ConfigError } from './problem.ts'
import type { Config } from './schema.ts'

export interface ParseOptions extends Sources {
  /** Checks of other parts, such as the routes of the proxy, told of together with our own. */
  readonly checks?: readonly ConfigCheck[]
}

/** Turns the text of a settings file into settings; throws ConfigError with every problem at once. */
export function parseConfig(text: string, options: ParseOptions): Config {
  const { document, lineCounter, raw } = parseYaml(text)
  const everyCheck = [...checks, fileChecks(options.readFile), ...(options.checks ?? [])]
  const { config, problems } = interpret(raw, options, everyCheck)
  if (config !== undefined && problems.length === 0) return config
  const lines = linesOf(document, raw, lineCounter)
  throw new ConfigError(
    problems.map((problem) => {
      const line = lines.get(problem.path)
      return line === undefined ? problem : { ...problem, line }
    }),
  )
}

function parseYaml(text: string): { document: Document.Parsed; lineCounter: LineCounter; raw: unknown } {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, version: '1.2' })
  if (document.errors.length > 0) {
    // A broken line makes many errors; one each is what a person can use.
    const byLine = new Map(document.errors.map((error) => [lineCounter.linePos(error.pos[0]).line, error]))
    throw new ConfigError(
      [...byLine].map(([line, error]) => ({
        path: '',
        problem: error.code === 'DUPLICATE_KEY' ? 'has the same key twice' : 'is not YAML that can be read',
        remedy: (text.split('\n')[line - 1] ?? '').includes('${')
          ? 'Check this line. Inside { } a variable needs quotes: "${NAME}".'
          : 'Check indentation, quotes and colons at this line.',
        line,
      })),
    )
  }
  try {
    return { document, lineCounter, raw: document.toJS({ maxAliasCount: 50 }) ?? {} }
  } catch {
    throw new ConfigError([{ path: '', problem: 'has aliases that grow too large', remedy: 'Write the values out.' }])
  }
}

/** The settings file of a process, which may change while it runs. */
export interface SettingsSource {
  /** Throws ConfigError when the file cannot be read. */
  readText(): string
  /** Throws ConfigError with every problem at once. */
  parse(text: string): Config
}

/** The settings file at `path`, or the one that TOKEN_HANDLER_CONFIG names; throws ConfigError if none is named. */
export function settingsSource(path: string | undefined, checks: readonly ConfigCheck[] = []): SettingsSource {
  const file = path ?? process.env['TOKEN_HANDLER_CONFIG']
  if (file === undefined || file === '') {
    throw new ConfigError([
      {
        path: '',
        problem: 'no settings file was named',
        remedy:
          'Use --config <file> or set TOKEN_HANDLER_CONFIG; `token-handler config example` prints one to start from.',
      },
    ])
  }
  return {
    readText: () => readSettings(file),
    parse: (text) => parseConfig(text, { env: process.env, readFile: readText, file, checks }),
  }
}

/** Reads the settings file once; throws ConfigError if there is none, it cannot be read, or anything in it is wrong. */
export function loadConfig(path: string | undefined, checks: readonly ConfigCheck[] = []): Config {
  const source = settingsSource(path, checks)
  return source.parse(source.readText())
}

function readSettings(file: string): string {
  try {
    return readText(file)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new ConfigError([
      {
        path: '',
        problem: `the settings file ${file} cannot be read (${code})`,
        remedy: 'Check the path and that this user may read the file.',
      },
    ])
  }
}

const readText = (path: string): string => readFileSync(path, 'utf8')
