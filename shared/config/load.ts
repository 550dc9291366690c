import { type Document, type ErrorCode, LineCounter, parseDocument } from 'yaml'
import { failureCode } from '../failure-code.ts'
import { systemReadFile } from '../read-file.ts'
import type { ConfigCheck } from './checks/check.ts'
import { checks } from './checks/every-process.ts'
import { fileChecks } from './checks/files.ts'
import { interpret } from './interpret.ts'
import { lineOfSection, linesOf } from './lines.ts'
import type { Sources } from './prepare.ts'
import { ConfigError, type Problem } from './problem.ts'
import type { Config } from './schema.ts'
import { explainSyntax, wrongAlias } from './syntax.ts'

/** What parsing a settings file needs besides its text. */
export interface ParseOptions extends Sources {
  /** Checks of other parts, such as the routes of the proxy, reported together with our own. */
  readonly checks?: readonly ConfigCheck[]
}

/** Turns the text of a settings file into settings; throws ConfigError with every problem at once. */
export function parseConfig(text: string, options: ParseOptions): Config {
  const parsed = parseYaml(text)
  const everyCheck = [...checks, fileChecks(options.readFile), ...(options.checks ?? [])]
  const { config, problems } = interpret(parsed.raw, options, everyCheck)
  if (config !== undefined && problems.length === 0) return config
  throw new ConfigError(located(problems, parsed))
}

/** Names the line of each problem in `text`, the settings file that it was found in; throws ConfigError for no YAML. */
export function withLines(problems: readonly Problem[], text: string): readonly Problem[] {
  return located(problems, parseYaml(text))
}

function located(problems: readonly Problem[], { document, lineCounter, raw }: ParsedYaml): readonly Problem[] {
  const lines = linesOf(document, raw, lineCounter)
  return problems.map((problem) => {
    // A check of several settings knows of a secret, but not that it stands in a file.
    for (const path of [problem.path, `${problem.path}_file`]) {
      const line = lines.get(path)
      if (line !== undefined) return { ...problem, path, line }
    }
    const line = lineOfSection(problem.path, lines)
    return line === undefined ? problem : { ...problem, line }
  })
}

/** Throws ConfigError when settings that were read at different times do not go together. */
export function checkTogether(config: Config, further: readonly ConfigCheck[]): void {
  const problems = [...checks, ...further].flatMap((check) => [...check(config)])
  if (problems.length === 0) return
  throw new ConfigError(problems.map(({ path, problem, remedy }) => ({ path, problem, remedy })))
}

interface ParsedYaml {
  readonly document: Document.Parsed
  readonly lineCounter: LineCounter
  readonly raw: unknown
}

function parseYaml(text: string): ParsedYaml {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, version: '1.2' })
  if (document.errors.length > 0) {
    const lines = text.split('\n')
    // A broken line makes many errors; the first of each is what a person can use.
    const byLine = new Map<number, ErrorCode>()
    for (const { code, pos } of document.errors) {
      const { line } = lineCounter.linePos(pos[0])
      if (!byLine.has(line)) byLine.set(line, code)
    }
    throw new ConfigError(
      [...byLine].map(([line, code]) => ({ path: '', ...explainSyntax(code, lines[line - 1] ?? ''), line })),
    )
  }
  const wrong = wrongAlias(document)
  if (wrong !== undefined) {
    const { line } = lineCounter.linePos(wrong.alias.range?.[0] ?? 0)
    throw new ConfigError([{ path: '', ...wrong.fault, line }])
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
  /** Throws ConfigError when settings that were read at different times do not go together. */
  check(config: Config): void
}

/** Settings, and the text that they were made of. */
export interface ReadSettings {
  readonly text: string
  readonly config: Config
}

/** Reads the settings file of a process once; throws ConfigError as its source does. */
export function readSettings(source: SettingsSource): ReadSettings {
  const text = source.readText()
  return { text, config: source.parse(text) }
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
    readText: () => readSettingsFile(file),
    parse: (text) => parseConfig(text, { env: process.env, readFile: systemReadFile, file, checks }),
    check: (config) => checkTogether(config, checks),
  }
}

/** Reads the settings file once; throws ConfigError if there is none, it cannot be read, or anything in it is wrong. */
export function loadConfig(path: string | undefined, checks: readonly ConfigCheck[] = []): Config {
  return readSettings(settingsSource(path, checks)).config
}

function readSettingsFile(file: string): string {
  try {
    return systemReadFile(file)
  } catch (cause) {
    const code = failureCode(cause) ?? 'unknown'
    throw new ConfigError([
      {
        path: '',
        problem: `the settings file ${file} cannot be read (${code})`,
        remedy: 'Check the path and that this user may read the file.',
      },
    ])
  }
}
