import { stringify } from 'yaml'
import { type Config, schema } from '../shared/config/schema.ts'
import { toSnakeCase } from '../shared/config/walk.ts'

/** Settings as YAML or JSON in the spelling of the settings file; secrets show as `[secret]`. */
export function settingsText(settings: Config, format: 'yaml' | 'json'): string {
  const json = JSON.stringify(toSnakeCase(schema, settings), asWritten, 2)
  return format === 'json' ? json : stringify(JSON.parse(json), { lineWidth: 0 }).trimEnd()
}

/** A value as a settings file spells it, where `${` would begin the name of a variable. */
function asWritten(_name: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll('${', () => '$${') : value
}
