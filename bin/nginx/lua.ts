/** What a Lua literal can say. */
export type LuaData = string | number | boolean | undefined | readonly LuaData[] | { readonly [name: string]: LuaData }

/**
 * A Lua literal; `undefined` members are left out.
 *
 * Throws RangeError for text with control characters, which nothing in a configuration needs.
 */
export function luaValue(value: LuaData): string {
  if (typeof value === 'string') return longText(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === undefined) return 'nil'
  if (isList(value)) return `{ ${value.map(luaValue).join(', ')} }`
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  if (members.length === 0) return '{}'
  return `{\n${members.map(([name, member]) => `  [${longText(name)}] = ${luaValue(member).replaceAll('\n', '\n  ')},\n`).join('')}}`
}

/**
 * Text in double quotes, spelled so that Lua and nginx read it alike: nothing but quotes and backslashes is escaped.
 *
 * Throws RangeError for control characters.
 */
export function luaText(text: string): string {
  if (/[\x00-\x1f\x7f]/.test(text)) throw new RangeError('control characters cannot be written into a configuration')
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** The Lua module of nginx refuses text in quotes that does not fit into the 4,096 bytes in which it reads a configuration. */
function longText(text: string): string {
  const pieces = text.match(/.{1,500}/gsu) ?? ['']
  return pieces.map(luaText).join(' .. ')
}

function isList(value: LuaData): value is readonly LuaData[] {
  return Array.isArray(value)
}
