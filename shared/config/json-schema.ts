import { z } from 'zod'
import { schema } from './schema.ts'
import { fieldsOf, isSecret } from './walk.ts'

type Json = z.core.JSONSchema.BaseSchema

/** The JSON Schema of the settings file (draft 2020-12), by which editors complete and check while one types. */
export function jsonSchema(): Json {
  return z.toJSONSchema(schema, {
    io: 'input',
    override({ zodSchema, jsonSchema: json }) {
      if (zodSchema instanceof z.ZodObject) addSecretFiles(zodSchema, json)
      else if (isNarrow(json)) allowVariable(json)
      // A section whose settings are all comments is null to YAML.
      if (zodSchema instanceof z.ZodPrefault && json.type === 'object') json['type'] = ['object', 'null']
      delete json['secret']
      delete json['file']
    },
  })
}

/** `secret` may also be given as `secret_file`. */
function addSecretFiles(object: z.ZodObject, json: Json): void {
  for (const [name, field] of Object.entries(fieldsOf(object))) {
    if (!isSecret(field)) continue
    json.properties = {
      ...json.properties,
      [`${name}_file`]: { type: 'string', description: `File that holds ${name}.` },
    }
    if (json.required?.includes(name) !== true) continue
    json.required = json.required.filter((required) => required !== name)
    json.anyOf = [{ required: [name] }, { required: [`${name}_file`] }]
  }
}

/** True for leaves that would refuse `${NAME}` by their type, words or pattern. */
function isNarrow(json: Json): boolean {
  if (json.const !== undefined) return false
  return (
    json.type === 'integer' ||
    json.type === 'number' ||
    json.type === 'boolean' ||
    (json.type === 'string' && (json.enum !== undefined || json.pattern !== undefined))
  )
}

function allowVariable(json: Json): void {
  const shape = Object.entries(json).filter(([key]) => !['description', 'default', 'examples'].includes(key))
  for (const [key] of shape) delete json[key]
  json.anyOf = [Object.fromEntries(shape), { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' }]
}
