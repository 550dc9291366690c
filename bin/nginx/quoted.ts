/**
 * Text in double quotes, spelled so that Lua and nginx read it alike: nothing but quotes and backslashes is escaped.
 *
 * Throws RangeError for control characters, which nothing in a configuration needs.
 */
export function quoted(text: string): string {
  if (/[\x00-\x1f\x7f]/.test(text)) throw new RangeError('control characters cannot be written into a configuration')
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
