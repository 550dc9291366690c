import { quoted } from './quoted.ts'

/** What a Lua literal can say. */
export type LuaData = string | number | boolean | undefined | readonly LuaData[] | { readonly [name: string]: LuaData }

/** A Lua literal, without members that are `undefined`; throws as `quoted` does. */
export function luaValue(value: LuaData): string {
  if (typeof value === 'string') return luaText(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === undefined) return 'nil'
  if (isList(value)) return `{ ${value.map(luaValue).join(', ')} }`
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  if (members.length === 0) return '{}'
  return `{\n${members.map(([name, member]) => `  [${luaText(name)}] = ${luaValue(member).replaceAll('\n', '\n  ')},\n`).join('')}}`
}

/** The Lua module of nginx refuses text in quotes that does not fit into the 4,096 bytes in which it reads a configuration. */
function luaText(text: string): string {
  const pieces = text.match(/.{1,500}/gsu) ?? ['']
  return pieces.map(quoted).join(' .. ')
}

function isList(value: LuaData): value is readonly LuaData[] {
  return Array.isArray(value)
}
