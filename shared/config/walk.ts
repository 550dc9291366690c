import { z } from 'zod'
import { isJsonObject } from '../json-object.ts'
import { camelKey } from './camel-case.ts'

/** What stands behind defaults, optional marks and transforms: the part that says which shape a value has. */
export function coreOf(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return coreOf(schema.unwrap())
  }
  return schema instanceof z.ZodPipe ? coreOf(schema.in) : schema
}

/** The description and marks of a setting, wherever in the chain of wrappers they were written. */
export function metaOf(schema: z.core.$ZodType): z.core.GlobalMeta {
  const own = z.globalRegistry.get(schema) ?? {}
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return { ...metaOf(schema.unwrap()), ...own }
  }
  return own
}

/** True for a setting whose value must never be shown. */
export function isSecret(schema: z.core.$ZodType): boolean {
  return metaOf(schema)['secret'] === true
}

/** True for a setting that is such a value, or a section or list in which there may be one. */
export function holdsSecret(schema: z.core.$ZodType): boolean {
  if (isSecret(schema)) return true
  const core = coreOf(schema)
  if (core instanceof z.ZodObject) return Object.values(fieldsOf(core)).some(holdsSecret)
  if (core instanceof z.ZodDiscriminatedUnion) return core.options.some(holdsSecret)
  return core instanceof z.ZodArray && holdsSecret(core.element)
}

/** The branch of a discriminated union that `value` names, an object schema as it is, else undefined. */
export function objectFor(schema: z.core.$ZodType, value: unknown): z.ZodObject | undefined {
  const core = coreOf(schema)
  if (core instanceof z.ZodObject) return core
  if (!(core instanceof z.ZodDiscriminatedUnion) || !isJsonObject(value)) return undefined
  const chosen = value[core.def.discriminator]
  return core.options
    .map((option) => coreOf(option))
    .find(
      (option): option is z.ZodObject =>
        option instanceof z.ZodObject && accepts(fieldsOf(option)[core.def.discriminator], chosen),
    )
}

/** The settings of a section by name, without a prototype: what every object inherits, such as `__proto__`, is no setting. */
export function fieldsOf(object?: z.ZodObject): Readonly<Record<string, z.core.$ZodType>> {
  return Object.setPrototypeOf({ ...object?.shape }, null) as Record<string, z.core.$ZodType>
}

function accepts(schema: z.core.$ZodType | undefined, value: unknown): boolean {
  return schema !== undefined && z.core.safeParse(schema, value).success
}

/** Of a section of which no word names the kind, the settings of all its kinds: no name means two things in them. */
export function fieldsOfAnyKind(schema: z.core.$ZodType | undefined): Readonly<Record<string, z.core.$ZodType>> {
  const core = schema && coreOf(schema)
  if (!(core instanceof z.ZodDiscriminatedUnion)) return fieldsOf()
  const kinds = core.options.map((option) => coreOf(option)).filter((option) => option instanceof z.ZodObject)
  return Object.setPrototypeOf(Object.assign({}, ...kinds.map(fieldsOf)), null) as Record<string, z.core.$ZodType>
}

/** True for a section that takes names which no schema knows, such as an authorization detail. */
export function isOpen({ def }: z.ZodObject): boolean {
  return def.catchall instanceof z.ZodUnknown
}

/** The schema of the items of a list; undefined where the value is not meant to be a list. */
export function itemSchema(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const core = coreOf(schema)
  if (core instanceof z.ZodArray) return core.element
  if (core instanceof z.ZodUnion && !(core instanceof z.ZodDiscriminatedUnion)) {
    return core.options.map((option) => itemSchema(option)).find((item) => item !== undefined)
  }
  return undefined
}

/** The schema at `path`, following the branches that `value` names. */
export function schemaAt(
  schema: z.core.$ZodType,
  value: unknown,
  path: readonly PropertyKey[],
): z.core.$ZodType | undefined {
  const [head, ...rest] = path
  if (head === undefined) return schema
  const object = objectFor(schema, value)
  const child = typeof head === 'number' ? itemSchema(schema) : object && fieldsOf(object)[String(head)]
  return child === undefined ? undefined : schemaAt(child, childOf(value, head), rest)
}

/** The value at `path`, or undefined. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(childOf, value)
}

function childOf(value: unknown, key: PropertyKey): unknown {
  if (Array.isArray(value)) return value[Number(key)]
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[String(key)] : undefined
}

/** Settings as the code sees them: keys of settings in camelCase, keys of records and open objects as they were written. */
export function toCamelCase(schema: z.core.$ZodType, value: unknown): unknown {
  const item = itemSchema(schema)
  if (Array.isArray(value)) return item === undefined ? value : value.map((entry) => toCamelCase(item, entry))
  const object = objectFor(schema, value)
  if (object === undefined || isOpen(object) || !isJsonObject(value)) return value
  const fields = fieldsOf(object)
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => {
      const field = fields[key]
      return [camelKey(key), field === undefined ? entry : toCamelCase(field, entry)]
    }),
  )
}

/** The opposite of `toCamelCase`: settings in the spelling of the settings file. */
export function toSnakeCase(schema: z.core.$ZodType, value: unknown): unknown {
  const item = itemSchema(schema)
  if (Array.isArray(value)) return item === undefined ? value : value.map((entry) => toSnakeCase(item, entry))
  const object = objectFor(schema, value)
  if (object === undefined || isOpen(object) || !isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(fieldsOf(object)).flatMap(([key, field]) => {
      const entry = value[camelKey(key)]
      return entry === undefined ? [] : [[key, toSnakeCase(field, entry)]]
    }),
  )
}
