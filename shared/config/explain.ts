import { z } from 'zod'
import { type PathPart, type Problem, pathText } from './problem.ts'
import { nearest } from './suggest.ts'
import { exampleOf } from './type-words.ts'
import { coreOf, fieldsOf, holdsSecret, isSecret, metaOf, objectFor, schemaAt, valueAt } from './walk.ts'

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
    if (given === undefined) return [misspelt(value, path, issue) ?? missing(setting, path, issue)]
    const kinds = kindsAt(schema, value, path)
    const wanted = expectation(issue)
    const written = valueAt(raw, path)
    // Of an empty list it is all that there is to say, and a list is what is wanted.
    const isEmptyList = wanted === notEmpty && Array.isArray(written)
    return [
      {
        path: place,
        problem: `${wanted}${isEmptyList ? '' : quote(setting ?? kinds[0], written)}`,
        remedy: remedyFor(describedAt(schema, value, path), kinds, issue, given),
      },
    ]
  })
}

/** The setting that describes what stands at `path`: of an entry in a list, or under a name of the operator's, the whole. */
function describedAt(schema: z.ZodObject, value: unknown, path: readonly PathPart[]): z.core.$ZodType | undefined {
  const setting = schemaAt(schema, value, path)
  const isEntry = setting === undefined || (typeof path.at(-1) === 'number' && about(setting) === '')
  return isEntry ? schemaAt(schema, value, path.slice(0, -1)) : setting
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

/** The word that was meant to name the kind of a section: while none does, nobody knows the section's other settings. */
function misspelt(value: unknown, path: readonly PathPart[], issue: z.core.$ZodIssue): Problem | undefined {
  if (issue.code !== 'invalid_union') return undefined
  const name = String(path.at(-1))
  const section = path.slice(0, -1)
  const written = nearest(name, Object.keys(valueAt(value, section) ?? {}))
  if (written === undefined) return undefined
  return { path: pathText([...section, written]), problem: 'is not a setting', remedy: `Did you mean ${name}?` }
}

function unknownKey(schema: z.ZodObject, value: unknown, path: readonly PathPart[], key: string): Problem {
  const object = schemaAt(schema, value, path)
  const known = object === undefined ? [] : Object.keys(objectFor(object, valueAt(value, path))?.shape ?? {})
  const near = nearest(key, known)
  const elsewhere = new Set([...placesWithin(object, value, path, key), ...placesWithin(schema, value, [], key)])
  const candidates = near === undefined ? [...elsewhere] : [near]
  const remedy =
    candidates.length > 0 ? `Did you mean ${candidates.join(' or ')}?` : `Remove it. Known here: ${known.join(', ')}.`
  return { path: pathText([...path, key]), problem: 'is not a setting', remedy }
}

/** Paths within the sections of `object` at which a setting of this name exists, for keys written at the wrong level. */
function placesWithin(
  object: z.core.$ZodType | undefined,
  value: unknown,
  path: readonly PathPart[],
  key: string,
): string[] {
  const fields = object === undefined ? {} : fieldsOf(objectFor(object, valueAt(value, path)))
  return Object.entries(fields).flatMap(([name, field]) => {
    const core = coreOf(field)
    return core instanceof z.ZodObject && key in fieldsOf(core) ? [pathText([...path, name, key])] : []
  })
}

/** The kinds of which a section names one, where `path` leads to that name. */
function kindsAt(schema: z.ZodObject, value: unknown, path: readonly PathPart[]): readonly z.core.$ZodType[] {
  const section = schemaAt(schema, value, path.slice(0, -1))
  const core = section && coreOf(section)
  if (!(core instanceof z.ZodDiscriminatedUnion) || core.def.discriminator !== path.at(-1)) return []
  return core.options.flatMap((option) => {
    const kind = option instanceof z.ZodObject ? fieldsOf(option)[core.def.discriminator] : undefined
    return kind === undefined ? [] : [kind]
  })
}

const notEmpty = 'must not be empty'

function expectation(issue: z.core.$ZodIssue): string {
  const choices = choicesOf(issue)
  if (choices.length > 0) return `must be ${choices.length > 1 ? 'one of ' : ''}${list(choices)}`
  if (issue.code === 'invalid_type') return `must be ${expectedWords[issue.expected] ?? issue.expected}`
  if (issue.code === 'invalid_union') return unionExpectation(issue.errors.flat())
  if (issue.code === 'too_small') {
    if (issue.origin !== 'number') return notEmpty
    return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`
  }
  if (issue.code === 'too_big') {
    return issue.origin === 'number' ? `must be at most ${issue.maximum}` : `is longer than ${issue.maximum}`
  }
  return issue.message
}

const expectedWords: Readonly<Record<string, string>> = {
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
  // What stands in the place of a section may be the secret that belongs into it.
  if (setting === undefined || holdsSecret(setting)) return ''
  if (typeof raw === 'number' || typeof raw === 'boolean') return `, not ${raw}`
  if (typeof raw !== 'string' || raw.length > 100 || raw.includes('@')) return ''
  return `, not ${JSON.stringify(raw)}`
}

function remedyFor(
  setting: z.core.$ZodType | undefined,
  kinds: readonly z.core.$ZodType[],
  issue: z.core.$ZodIssue,
  given: unknown,
): string {
  const choices = choicesOf(issue).map(String)
  const near = typeof given === 'string' ? nearest(given, choices) : undefined
  if (near !== undefined) return `Did you mean ${near}?`
  if (kinds.length > 0) return choices.map((choice, index) => `${choice}:${about(kinds[index])}`).join(' ')
  const wanted = issue.code === 'invalid_type' ? issue.expected : undefined
  return `${changeFor(setting, wanted, given)}${about(setting)}`
}

/** What to do with a value of another type than the one that is `wanted`. */
function changeFor(setting: z.core.$ZodType | undefined, wanted: string | undefined, given: unknown): string {
  if (wanted === 'string' && (typeof given === 'number' || typeof given === 'boolean')) return 'Put it in quotes.'
  if (wanted === 'array' && typeof given === 'string') return 'Put it in brackets.'
  if (typeof given !== 'string') return 'Change it.'
  const isQuoted = wanted === 'boolean' ? /^(?:true|false)$/.test(given) : wanted === 'number' && /^[0-9]+$/.test(given)
  if (isQuoted) return 'Remove the quotes.'
  return (wanted === 'object' && setting !== undefined && sectionFor(setting, given)) || 'Change it.'
}

/** How the section is written whose kind, or whose content, was given as one text. */
function sectionFor(setting: z.core.$ZodType, given: string): string | undefined {
  const core = coreOf(setting)
  if (core instanceof z.ZodObject) return `Write below it what it consists of: ${Object.keys(core.shape).join(', ')}.`
  if (!(core instanceof z.ZodDiscriminatedUnion)) return undefined
  const { discriminator } = core.def
  const kind = objectFor(core, { [discriminator]: given }) === undefined ? '…' : given
  return `Write ${discriminator}: ${kind} below it.`
}

function about(setting: z.core.$ZodType | undefined): string {
  if (setting === undefined) return ''
  const { description } = metaOf(setting)
  const example = exampleOf(setting)
  return [description, typeof example === 'string' ? `Example: ${example}` : undefined]
    .flatMap((part) => (part === undefined ? [] : ` ${part}`))
    .join('')
}
