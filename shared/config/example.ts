import { z } from 'zod'
import { stringify } from 'yaml'
import { schema } from './schema.ts'
import { defaultOf, exampleOf, isRequired } from './type-words.ts'
import { coreOf, fieldsOf, isOpen, isSecret, metaOf } from './walk.ts'

interface Line {
  readonly depth: number
  readonly text: string
  /** Depth at which the comment mark stands, for settings shown with their defaults and for descriptions. */
  readonly commentAt?: number
}

/**
 * A settings file with every setting there is: the required ones filled in, the others as comments with their defaults.
 *
 * `schemaFile` is where editors find the JSON Schema, seen from the settings file.
 */
export function exampleText(schemaFile: string): string {
  return `${header(schemaFile)}${objectLines(schema, []).map(render).join('\n')}\n`
}

const header = (schemaFile: string): string => `# yaml-language-server: $schema=${schemaFile}
#
# Settings of the Token Handler. Settings shown as comments have these defaults; remove "# " to change one.
# \${NAME} is replaced by an environment variable. A secret can also be kept in a file: secret_file instead of secret.
# Relative paths start at the folder of this file. Check it with: token-handler --config <this file> config check

`

function render({ depth, text, commentAt }: Line): string {
  if (commentAt === undefined) return `${'  '.repeat(depth)}${text}`
  return `${'  '.repeat(commentAt)}# ${'  '.repeat(depth - commentAt)}${text}`
}

function objectLines(object: z.ZodObject, path: readonly string[]): Line[] {
  return Object.entries(fieldsOf(object)).flatMap(([name, field]) => {
    const lines = settingLines(field, [...path, name])
    const described = wrap(descriptionOf(field), 110 - 2 * path.length)
    return [...described.map((text): Line => ({ depth: path.length, text, commentAt: path.length })), ...lines]
  })
}

function settingLines(field: z.core.$ZodType, path: readonly string[]): Line[] {
  const depth = path.length - 1
  const name = `${path.at(-1)}${isSecret(field) ? '_file' : ''}`
  const section = sectionLines(field, path)
  if (section === undefined) {
    const line = { depth, text: `${name}: ${valueText(field, path)}`.trimEnd() }
    return [isRequired(field) ? line : { ...line, commentAt: depth }]
  }
  const lines = [{ depth, text: `${name}:` }, ...section]
  const shown =
    isRequired(field) || !(field instanceof z.ZodOptional || coreOf(field) instanceof z.ZodDiscriminatedUnion)
  return shown ? lines : lines.map((line) => within(line, depth))
}

/** The line as part of a section that is a comment as a whole; a description keeps a mark of its own. */
function within(line: Line, depth: number): Line {
  return line.commentAt === undefined
    ? { ...line, commentAt: depth }
    : { depth: line.depth, text: `# ${line.text}`, commentAt: depth }
}

/** The lines of a nested section, of the first branch of a choice, or of one item of a list of sections. */
function sectionLines(field: z.core.$ZodType, path: readonly string[]): Line[] | undefined {
  const core = coreOf(field)
  if (core instanceof z.ZodObject) return objectLines(core, path)
  if (core instanceof z.ZodDiscriminatedUnion) {
    const branch: unknown = core.options[0]
    return branch instanceof z.ZodObject ? objectLines(branch, path) : undefined
  }
  const item = core instanceof z.ZodArray ? coreOf(core.element) : undefined
  if (!(item instanceof z.ZodObject) || isOpen(item)) return undefined
  return [{ depth: path.length, text: '-' }, ...objectLines(item, [...path, '-'])]
}

function valueText(field: z.core.$ZodType, path: readonly string[]): string {
  if (isSecret(field)) return `/run/secrets/${path.join('-')}`
  const core = coreOf(field)
  if (core instanceof z.ZodLiteral) return String([...core.values][0])
  const value = defaultOf(field) ?? exampleOf(field)
  return value === undefined ? '' : stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd()
}

function descriptionOf(field: z.core.$ZodType): string {
  const core = coreOf(field)
  const { description = '' } = metaOf(field)
  if (core instanceof z.ZodEnum) return `${description} One of: ${core.options.join(', ')}.`
  if (!(core instanceof z.ZodDiscriminatedUnion)) return description
  return `${description} ${branchNames(core)}`
}

function branchNames(union: z.ZodDiscriminatedUnion): string {
  const key = union.def.discriminator
  const names = union.options.flatMap((option) => {
    const literal = option instanceof z.ZodObject ? coreOf(fieldsOf(option)[key] ?? z.never()) : undefined
    return literal instanceof z.ZodLiteral ? [...literal.values].map(String) : []
  })
  return `${key} is one of: ${names.join(', ')}; this is ${names[0]}.`
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
