import { readFileSync } from 'node:fs'
import { LineCounter, parseDocument } from 'yaml'
import { checks } from './checks.ts'
import { explain } from './explain.ts'
import { type Sources, prepare } from './prepare.ts'
import { ConfigError, type Problem, pathText } from './problem.ts'
import { type Config, schema } from './schema.ts'
import { toCamelCase } from './walk.ts'

/** A check over several settings; yields what is wrong. */
export type ConfigCheck = (config: Config) => Iterable<Problem>

export interface ParseOptions extends Sources {
  /** Checks of other parts, such as the routes of the proxy, told of together with our own. */
  readonly checks?: readonly ConfigCheck[]
}

/** Turns the text of a settings file into settings; throws ConfigError with every problem at once. */
export function parseConfig(text: string, options: ParseOptions): Config {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, version: '1.2' })
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map((error) => ({
        path: '',
        problem: error.code === 'DUPLICATE_KEY' ? 'has the same key twice' : 'is not YAML that can be read',
        remedy: 'Check indentation, quotes and colons at this line.',
        line: lineCounter.linePos(error.pos[0]).line,
      })),
    )
  }
  const raw: unknown = document.toJS({ maxAliasCount: 50 }) ?? {}
  const { config, problems } = interpret(raw, options)
  if (config !== undefined && problems.length === 0) return config
  const lines = new Map<string, number>()
  const note = (path: readonly (string | number)[]): void => {
    const node = document.getIn(path, true)
    const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
    if (Array.isArray(range)) lines.set(pathText(path), lineCounter.linePos(Number(range[0])).line)
  }
  visitPaths(raw, [], note)
  throw new ConfigError(
    problems.map((problem) => {
      const line = problem.line ?? lines.get(problem.path)
      return line === undefined ? problem : { ...problem, line }
    }),
  )
}

/** Settings from an already parsed tree, with the problems found; the settings are absent if the schema refused them. */
function interpret(raw: unknown, options: ParseOptions): { config?: Config; problems: Problem[] } {
  const prepared = prepare(schema, raw, options)
  const result = schema.safeParse(prepared.value)
  const known = new Set(prepared.problems.map((problem) => problem.path.replace(/_file$/, '')))
  const found = result.success
    ? []
    : explain(schema, raw, prepared.value, result.error.issues).filter(({ path }) => !known.has(path))
  const problems = [...prepared.problems, ...found]
  if (!result.success) return { problems }
  const config = toCamelCase(schema, result.data) as Config
  for (const check of [...checks, ...(options.checks ?? [])]) problems.push(...check(config))
  return { config, problems }
}

function visitPaths(
  value: unknown,
  path: readonly (string | number)[],
  visit: (path: readonly (string | number)[]) => void,
): void {
  if (path.length > 0) visit(path)
  if (typeof value !== 'object' || value === null) return
  for (const [key, child] of Object.entries(value)) {
    visitPaths(child, [...path, Array.isArray(value) ? Number(key) : key], visit)
  }
}

/**
 * Reads the settings file at `path`, or the one that TOKEN_HANDLER_CONFIG names.
 *
 * Throws ConfigError if there is none, it cannot be read, or anything in it is wrong.
 */
export function loadConfig(path: string | undefined, checks: readonly ConfigCheck[] = []): Config {
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
  return parseConfig(readSettings(file), { env: process.env, readFile: readText, file, checks })
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
