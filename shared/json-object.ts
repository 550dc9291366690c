/** True for what JSON calls an object: neither a list nor null. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** True when nothing in it nests more than `levels` deep; JSON.parse takes any depth, but to write it again exhausts the stack. */
export function isShallow(value: unknown, levels = 32): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((inner) => isShallow(inner, levels - 1))
}
