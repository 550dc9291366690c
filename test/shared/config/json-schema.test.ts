import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { exampleText } from '../../../shared/config/example.ts'
import { jsonSchema } from '../../../shared/config/json-schema.ts'
import { settingsFile } from './settings.ts'

/** What an editor does with the schema. */
const editor = z.fromJSONSchema(jsonSchema() as Parameters<typeof z.fromJSONSchema>[0])
const accepts = (text: string): boolean => editor.safeParse(parse(text)).success

describe('the JSON Schema', () => {
  it.each<[string, string]>([
    ['the example file', exampleText('./schema.json')],
    ['the least that is required', settingsFile()],
    ['a secret in a file', settingsFile().replace(/secret: .*/, 'secret_file: a')],
    ['a variable for a number', settingsFile({ agent: { listen: { port: '${PORT}' } } })],
    ['a variable for a word', settingsFile({ observability: { log_level: '${LEVEL}' } })],
    ['a section without settings', `${settingsFile()}login:\n`],
  ])('accepts %s', (_, text) => {
    expect(accepts(text)).toBe(true)
  })
  it.each<[string, string]>([
    ['a misspelt key', settingsFile({ sesion: {} })],
    ['a misspelt key inside', settingsFile({ session: { idle_second: 1 } })],
    ['a wrong word', settingsFile({ observability: { log_level: 'loud' } })],
    ['a text for a number', settingsFile({ agent: { listen: { port: 'eighty' } } })],
    ['no issuer', settingsFile({ authorization_server: { issuer: null } })],
  ])('refuses %s', (_, text) => {
    expect(accepts(text)).toBe(false)
  })
  it('describes every setting', () => {
    const bare: string[] = []
    const walk = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return
      if ('properties' in node && typeof node.properties === 'object' && node.properties !== null) {
        for (const [name, child] of Object.entries(node.properties) as [string, unknown][]) {
          const described = typeof child === 'object' && child !== null && 'description' in child
          if (!described) bare.push(`${path}.${name}`)
          walk(child, `${path}.${name}`)
        }
      }
      for (const key of ['oneOf', 'anyOf', 'items'] as const) {
        const branch: unknown = key in node ? Reflect.get(node, key) : undefined
        for (const child of Array.isArray(branch) ? (branch as unknown[]) : [branch]) walk(child, path)
      }
    }
    walk(jsonSchema(), '')
    expect(bare).toEqual([])
  })
})
