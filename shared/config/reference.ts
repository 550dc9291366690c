import { z } from 'zod'
import { schema } from './schema.ts'
import { defaultOf, isRequired, typeWords } from './type-words.ts'
import { coreOf, fieldsOf, isOpen, isSecret, metaOf } from './walk.ts'
import { table } from './markdown.ts'

/** The reference page of the settings. */
export function settingsPage(): string {
  const top = Object.entries(schema.shape)
  const plain = top.filter(([, field]) => sectionOf(field) === undefined)
  const sections = top.flatMap(([name, field]) => {
    const found = sectionOf(field)
    return found === undefined ? [] : [sectionText(name, field, found)]
  })
  return [intro, rows('', Object.fromEntries(plain)), ...sections].join('\n\n')
}

const intro = `# Settings

One YAML file holds all settings; \`--config\` or \`TOKEN_HANDLER_CONFIG\` names it. \`token-handler config example\` prints
one with every setting, \`config check\` lists everything that is wrong, \`config print\` shows what is in force, and
[config.schema.json](config.schema.json) lets editors complete and check while you type.

- \`\${NAME}\` is replaced by the environment variable of that name; one that is missing or empty is an error.
- A secret can also be kept in a file: \`secret_file: /run/secrets/client-secret\` instead of \`secret\`.
- Relative paths start at the folder of the settings file.
- Unknown settings are refused.
- Settings that weaken protection begin with \`insecure_\` and are refused unless the public origin is on localhost.`

/** A section of fields, or a choice between several. */
type Section = z.ZodObject | z.ZodDiscriminatedUnion

function sectionOf(field: z.core.$ZodType): Section | undefined {
  const core = coreOf(field)
  if (core instanceof z.ZodArray) {
    const item = coreOf(core.element)
    return item instanceof z.ZodObject && !isOpen(item) ? item : undefined
  }
  return core instanceof z.ZodObject || core instanceof z.ZodDiscriminatedUnion ? core : undefined
}

function sectionText(path: string, field: z.core.$ZodType, section: Section): string {
  const list = coreOf(field) instanceof z.ZodArray
  const title = `## ${path}\n\n${metaOf(field).description ?? ''}${list ? ' A list; each entry takes:' : ''}`
  if (section instanceof z.ZodObject) return `${title}\n\n${rows('', section.shape)}${nested(path, section.shape)}`
  const key = section.def.discriminator
  const branches = section.options.flatMap((option) => {
    if (!(option instanceof z.ZodObject)) return []
    const { [key]: literal, ...others } = fieldsOf(option)
    const name = literal === undefined ? '' : typeWords(literal)
    const about = literal === undefined ? '' : (metaOf(literal).description ?? '')
    const fields = Object.keys(others).length === 0 ? '' : `\n\n${rows('', others)}`
    return [`**\`${key}:\` ${name}** ${about}${fields}`]
  })
  return [title, ...branches].join('\n\n')
}

function nested(path: string, shape: Readonly<Record<string, z.core.$ZodType>>): string {
  return Object.entries(shape)
    .flatMap(([name, field]) => {
      const section = sectionOf(field)
      return section === undefined || isSmall(section) ? [] : [`\n\n${sectionText(`${path}.${name}`, field, section)}`]
    })
    .join('')
}

/** Sections of plain fields fit into the table of their parent. */
function isSmall(section: Section): boolean {
  return (
    section instanceof z.ZodObject &&
    Object.values(fieldsOf(section)).every((field) => sectionOf(field) === undefined) &&
    Object.keys(section.shape).length <= 4
  )
}

function rows(prefix: string, shape: Readonly<Record<string, z.core.$ZodType>>): string {
  return table(['Setting', 'Takes', 'Default', 'Meaning'], rowsOf(prefix, shape))
}

function rowsOf(prefix: string, shape: Readonly<Record<string, z.core.$ZodType>>): string[][] {
  return Object.entries(shape).flatMap(([name, field]) => {
    const section = sectionOf(field)
    if (section instanceof z.ZodObject && isSmall(section) && !(coreOf(field) instanceof z.ZodArray)) {
      return rowsOf(`${prefix}${name}.`, section.shape)
    }
    const label = `\`${prefix}${name}\`${isSecret(field) ? ` or \`${prefix}${name}_file\`` : ''}`
    const takes =
      section === undefined
        ? typeWords(field)
        : coreOf(field) instanceof z.ZodArray
          ? 'list, see below'
          : 'section, see below'
    return [[label, takes, defaultText(field, section), metaOf(field).description ?? '']]
  })
}

function defaultText(field: z.core.$ZodType, section: Section | undefined): string {
  if (isRequired(field)) return 'required'
  const value = defaultOf(field)
  if (value === undefined || section !== undefined) return ''
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map((item) => `\`${String(item)}\``).join(', ')
  if (typeof value === 'object') return 'none'
  return value === '' ? 'empty' : `\`${JSON.stringify(value).replace(/^"|"$/g, '')}\``
}
