import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { isJsonObject } from '../json-object.ts'
import type { ReadFile } from '../read-file.ts'
import { type Fault, type PathPart, type Problem, pathText, unreadableSecretFile } from './problem.ts'
import { coreOf, fieldsOf, fieldsOfAnyKind, isSecret, itemSchema, metaOf, objectFor } from './walk.ts'

/** Where values that are not written in the file come from. */
export interface Sources {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly readFile: ReadFile
  /** Path of the settings file; relative paths in it start at its folder. */
  readonly file?: string
}

/** A settings tree whose variables and secret files have been filled in. */
export interface Prepared {
  readonly value: unknown
  readonly problems: readonly Problem[]
}

/**
 * Fills in `${NAME}` and `<secret>_file` before the schema is applied.
 *
 * Variables are put into the parsed tree, never into the text, so their content cannot become structure.
 */
export function prepare(schema: z.core.$ZodType, raw: unknown, sources: Sources): Prepared {
  const problems: Problem[] = []
  const value = fill(schema, raw, [], { ...sources, problems })
  return { value, problems }
}

interface Run extends Sources {
  readonly problems: Problem[]
}

function fill(schema: z.core.$ZodType | undefined, raw: unknown, path: readonly PathPart[], run: Run): unknown {
  if (typeof raw === 'string') return fillText(schema, raw, path, run)
  if (Array.isArray(raw)) {
    const item = schema === undefined ? undefined : itemSchema(schema)
    return raw.map((entry, index) => fill(item, entry, [...path, index], run))
  }
  // A section whose settings are all comments reads as null; it means its defaults.
  if (raw === null && schema !== undefined && coreOf(schema) instanceof z.ZodObject) return undefined
  if (!isJsonObject(raw)) return raw
  const object = schema === undefined ? undefined : objectFor(schema, raw)
  // A misspelt kind must not hide what is wrong with a file until it is mended.
  const fields = object === undefined ? fieldsOfAnyKind(schema) : fieldsOf(object)
  if (object === undefined && Object.hasOwn(raw, '__proto__')) {
    // Whoever reads the names would not find it, and a claim that a route requires would be required of nobody.
    const problem = 'is a name that cannot be used here'
    run.problems.push({ path: pathText([...path, '__proto__']), problem, remedy: 'Remove it.' })
  }
  const entries = Object.entries(raw).map(([key, entry]): [string, unknown] => {
    const secretName = key.replace(/_file$/, '')
    const field = fields[secretName]
    if (!(key in fields) && field !== undefined && isSecret(field)) {
      const place = [...path, key]
      if (Object.hasOwn(raw, secretName)) {
        run.problems.push({
          path: pathText(place),
          problem: `is set as well as ${secretName}, so it is not clear which one counts`,
          remedy: `Keep one of ${secretName} and ${key}.`,
        })
      }
      return [secretName, readSecret(entry, place, secretName, run)]
    }
    return [key, fill(fields[key], entry, [...path, key], run)]
  })
  return Object.fromEntries(entries)
}

/** The text of the file that `raw` names; undefined where none can be had. */
function readSecret(raw: unknown, path: readonly PathPart[], name: string, run: Run): string | undefined {
  const file = fill(undefined, raw, path, run)
  if (typeof file !== 'string') return undefined
  const place = pathText(path)
  try {
    const text = run.readFile(resolvePath(file, run)).replace(/\r?\n$/, '')
    if (text !== '') return text
    run.problems.push({ path: place, problem: 'names an empty file', remedy: 'Write the secret into the file.' })
  } catch {
    run.problems.push(unreadableSecretFile(place, name))
  }
  return undefined
}

function fillText(
  schema: z.core.$ZodType | undefined,
  raw: string,
  path: readonly PathPart[],
  run: Run,
): string | number | boolean | undefined {
  let complete = true
  const text = raw.replace(/\$\$\{|\$\{([^}]*)\}?/g, (match, name: string | undefined) => {
    if (match === '$${') return '${'
    const problem = variableProblem(match, name ?? '', run.env)
    if (problem === undefined) return run.env[name ?? ''] ?? ''
    run.problems.push({ path: pathText(path), ...problem })
    complete = false
    return ''
  })
  if (!complete) return undefined
  if (schema === undefined) return text
  const core = coreOf(schema)
  if (text !== raw && core instanceof z.ZodNumber && /^\d{1,15}(?:\.\d{1,6})?$/.test(text)) return Number(text)
  if (text !== raw && core instanceof z.ZodBoolean && /^(?:true|false)$/.test(text)) return text === 'true'
  return metaOf(schema)['file'] === true ? resolvePath(text, run) : text
}

/** An empty variable counts as missing: an unset secret in a deployment template arrives as the empty text. */
function variableProblem(match: string, name: string, env: Sources['env']): Fault | undefined {
  if (!match.endsWith('}') || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return {
      problem: 'has a variable that cannot be read',
      remedy: `Write \${NAME}, or $\${ for the characters themselves.`,
    }
  }
  if (env[name] !== undefined && env[name] !== '') return undefined
  return {
    problem: `needs the environment variable ${name}, which is ${env[name] === '' ? 'empty' : 'not set'}`,
    remedy: `Set ${name}, or write the value here.`,
  }
}

function resolvePath(path: string, { file }: Sources): string {
  return file === undefined ? path : resolve(dirname(file), path)
}
