import { z } from 'zod'
import { type PathPart, type Problem, pathText } from './problem.ts'
import { nearest } from './suggest.ts'
import { exampleOf } from './type-words.ts'
import { coreOf, fieldsOf, isSecret, metaOf, objectFor, schemaAt, valueAt } from './walk.ts'

/**
 * Says in plain words what the schema found.
 *
 * `raw` is the tree before variables were filled in: only that is quoted, so that no variable's content is ever shown.
 */
export function explain(
  schema: z.ZodObject,
  raw: unknown,
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
): Problem[] {
  return issues.filter(isStrictest).flatMap((issue) => {
    const path = issue.path.map((part): PathPart => (typeof part === 'number' ? part : String(part)))
    const place = pathText(placeOf(raw, path))
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(schema, value, path, key))
    if (path.length === 0) return [noSettings]
    const setting = schemaAt(schema, value, path)
    const given = valueAt(value, path)
    if (given === undefined) return [missing(setting, path, issue)]
    const problem = `${expectation(issue)}${quote(setting, valueAt(raw, path))}`
    return [{ path: place, problem, remedy: remedyFor(setting, issue, given) }]
  })
}

/** Where a setting was written: a secret may stand in a file that is named in its place. */
function placeOf(raw: unknown, path: readonly PathPart[]): readonly PathPart[] {
  const inFile = [...path.slice(0, -1), `${String(path.at(-1))}_file`]
  return valueAt(raw, path) === undefined && valueAt(raw, inFile) !== undefined ? inFile : path
}

/** False for a lower bound where a stricter one of the same setting was missed as well. */
function isStrictest(issue: z.core.$ZodIssue, index: number, issues: readonly z.core.$ZodIssue[]): boolean {
  const later = issues.slice(index + 1).filter(({ code }) => code === 'too_small')
  return issue.code !== 'too_small' || !later.some(({ path }) => path.join('.') === issue.path.join('.'))
}

const noSettings: Problem = {
  path: '',
  problem: 'the settings file holds no settings',
  remedy: 'Write them as name: value; `token-handler config example` prints a file to start from.',
}

function missing(setting: z.core.$ZodType | undefined, path: readonly PathPart[], issue: z.core.$ZodIssue): Problem {
  const choices = choicesOf(issue).length > 0 ? ` One of: ${list(choicesOf(issue))}.` : ''
  const file = setting !== undefined && isSecret(setting) ? ` Or name a file with ${String(path.at(-1))}_file.` : ''
  return { path: pathText(path), problem: 'is missing', remedy: `Add it.${about(setting)}${choices}${file}` }
}

function unknownKey(schema: z.ZodObject, value: unknown, path: readonly PathPart[], key: string): Problem {
  const object = schemaAt(schema, value, path)
  const known = object === undefined ? [] : Object.keys(objectFor(object, valueAt(value, path))?.shape ?? {})
  const near = nearest(key, known)
  const candidates = near === undefined ? placesOf(schema, key) : [near]
  const remedy =
    candidates.length > 0 ? `Did you mean ${candidates.join(' or ')}?` : `Remove it. Known here: ${known.join(', ')}.`
  return { path: pathText([...path, key]), problem: 'is not a setting', remedy }
}

/** Paths at which a setting of this name exists, for keys that were written at the wrong level. */
function placesOf(schema: z.ZodObject, key: string): string[] {
  return Object.entries(fieldsOf(schema)).flatMap(([name, field]) => {
    const core = coreOf(field)
    return core instanceof z.ZodObject && key in fieldsOf(core) ? [`${name}.${key}`] : []
  })
}

function expectation(issue: z.core.$ZodIssue): string {
  const choices = choicesOf(issue)
  if (choices.length > 0) return `must be ${choices.length > 1 ? 'one of ' : ''}${list(choices)}`
  if (issue.code === 'invalid_type') return `must be ${typeWords[issue.expected] ?? issue.expected}`
  if (issue.code === 'invalid_union') return unionExpectation(issue.errors.flat())
  if (issue.code === 'too_small') {
    if (issue.origin !== 'number') return 'must not be empty'
    return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`
  }
  if (issue.code === 'too_big') {
    return issue.origin === 'number' ? `must be at most ${issue.maximum}` : `is longer than ${issue.maximum}`
  }
  return issue.message
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section',
  record: 'a section',
}

/** Of the branches of a union, what the closest one wanted, or all the kinds it would take. */
function unionExpectation(branches: readonly z.core.$ZodIssue[]): string {
  const closest = branches.find((entry) => entry.path.length > 0 || entry.code !== 'invalid_type')
  if (closest !== undefined) return expectation(closest)
  return `must be ${[...new Set(branches.map((entry) => expectation(entry).replace(/^must be /, '')))].join(' or ')}`
}

/** The words a setting accepts, where it accepts only certain words. */
function choicesOf(issue: z.core.$ZodIssue): readonly unknown[] {
  if (issue.code === 'invalid_value') return issue.values
  return issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options) ? issue.options : []
}

function list(values: readonly unknown[]): string {
  return values.map(String).join(', ')
}

/**
 * Numbers, flags and short plain texts are quoted; secrets, and whatever may hold a password, are not. For everything else
 * only the kind is named.
 */
function quote(setting: z.core.$ZodType | undefined, raw: unknown): string {
  if (raw === null) return ', but nothing is written here'
  if (Array.isArray(raw)) return ', not a list'
  if (typeof raw === 'object') return ', not a section'
  if (setting === undefined || isSecret(setting)) return ''
  if (typeof raw === 'number' || typeof raw === 'boolean') return `, not ${raw}`
  if (typeof raw !== 'string' || raw.length > 100 || raw.includes('@')) return ''
  return `, not ${JSON.stringify(raw)}`
}

function remedyFor(setting: z.core.$ZodType | undefined, issue: z.core.$ZodIssue, given: unknown): string {
  const near = typeof given === 'string' ? nearest(given, choicesOf(issue).map(String)) : undefined
  if (near !== undefined) return `Did you mean ${near}?`
  const textWanted = issue.code === 'invalid_type' && issue.expected === 'string'
  const unquoted = textWanted && (typeof given === 'number' || typeof given === 'boolean')
  return `${unquoted ? 'Put it in quotes.' : 'Change it.'}${about(setting)}`
}

function about(setting: z.core.$ZodType | undefined): string {
  if (setting === undefined) return ''
  const { description } = metaOf(setting)
  const example = exampleOf(setting)
  return [description, typeof example === 'string' ? `Example: ${example}` : undefined]
    .flatMap((part) => (part === undefined ? [] : ` ${part}`))
    .join('')
}
