const rememberedNames = 512

/**
 * Makes a function of header names that remembers what `compute` gave for those seen; `compute` must be pure.
 *
 * Clients and APIs use few spellings. Once there are `limit` of them all are forgotten, so that whoever sends names
 * nobody else uses can push out the others for a moment, but not for good. Throws as `compute` does.
 */
export function rememberByName<T extends object | string | boolean>(
  compute: (name: string) => T,
  limit = rememberedNames,
): (name: string) => T {
  const known = new Map<string, T>()
  return (name) => {
    const remembered = known.get(name)
    if (remembered !== undefined) return remembered
    const computed = compute(name)
    if (known.size >= limit) known.clear()
    known.set(name, computed)
    return computed
  }
}
