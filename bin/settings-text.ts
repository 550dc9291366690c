import { stringify } from 'yaml'
import { type Config, schema } from '../shared/config/schema.ts'
import { toSnakeCase } from '../shared/config/walk.ts'

/** Settings as YAML in the spelling of the settings file; secrets show as `[secret]`. */
export function settingsText(settings: Config): string {
  const masked: unknown = JSON.parse(JSON.stringify(toSnakeCase(schema, settings)))
  return stringify(masked, { lineWidth: 0 }).trimEnd()
}
