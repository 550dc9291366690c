/** A map whose entries expire, and how many of them it may hold. */
interface Trimmed<T> {
  readonly map: ReadonlyMap<string, T>
  readonly maxEntries: number
  readonly hasExpired: (entry: T) => boolean
  readonly remove: (key: string) => void
}

/**
 * Creates a function that is called after each new entry: it removes what has expired and, beyond `maxEntries`, what was
 * added first.
 *
 * The oldest go until one lives, so that an idle process shrinks at once. But lifetimes differ, and one entry that lives
 * for hours would keep all those behind it that expire within seconds: so it also goes round the map, two entries at a
 * time, and what has expired outnumbers what lives only for a while.
 */
export function createTrim<T>({ map, maxEntries, hasExpired, remove }: Trimmed<T>): () => void {
  let round = map.entries()
  return () => {
    for (const [key, entry] of map) {
      if (!hasExpired(entry)) break
      remove(key)
    }
    for (let looks = 0; looks < 2; looks += 1) {
      const next = round.next()
      if (next.done === true) round = map.entries()
      else if (hasExpired(next.value[1])) remove(next.value[0])
    }
    for (const key of map.keys()) {
      if (map.size <= maxEntries) return
      remove(key)
    }
  }
}
