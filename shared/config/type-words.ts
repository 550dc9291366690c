import { z } from 'zod'
import { coreOf, isSecret, metaOf } from './walk.ts'

/** What a setting takes, in words: `whole number`, `one of a, b`, `list of text`. */
export function typeWords(schema: z.core.$ZodType): string {
  if (isSecret(schema)) return 'secret'
  if (metaOf(schema)['file'] === true) return 'file'
  const core = coreOf(schema)
  if (core instanceof z.ZodBoolean) return 'true or false'
  if (core instanceof z.ZodNumber) return numberWords(core)
  if (core instanceof z.ZodEnum) return `one of ${core.options.map((option) => `\`${option}\``).join(', ')}`
  if (core instanceof z.ZodLiteral) return [...core.values].map((value) => `\`${String(value)}\``).join(', ')
  if (core instanceof z.ZodArray) return `list of ${typeWords(core.element)}`
  if (core instanceof z.ZodRecord) return 'section with names of your choice'
  if (core instanceof z.ZodUnion && !(core instanceof z.ZodDiscriminatedUnion)) {
    return [...new Set(core.options.map(typeWords))].join(', or ')
  }
  return core instanceof z.ZodString ? 'text' : 'section'
}

function numberWords({ minValue, maxValue, isInt }: z.ZodNumber): string {
  const kind = isInt ? 'whole number' : 'number'
  const least = minValue === null || minValue === Number.MIN_SAFE_INTEGER ? undefined : minValue
  const most = maxValue === null || maxValue === Number.MAX_SAFE_INTEGER ? undefined : maxValue
  if (least !== undefined && most !== undefined) return `${kind}, ${least} to ${most}`
  return most === undefined ? kind : `${kind}, at most ${most}`
}

/** The value a setting has when it is left out; undefined if there is none. */
export function defaultOf(schema: z.core.$ZodType): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined
}

/** The first example of a setting, or undefined. */
export function exampleOf(schema: z.core.$ZodType): unknown {
  const { examples } = metaOf(schema)
  return Array.isArray(examples) ? examples[0] : undefined
}

/** True for a setting that must be given. */
export function isRequired(schema: z.core.$ZodType): boolean {
  return !z.core.safeParse(schema, undefined).success
}
