import { type Clock, isWithin } from '../clock.ts'
import type { KeyRing, KeySource } from '../crypto/key-ring.ts'

/** Remembers opened cookies so that the next request with the same one costs no decryption. */
export interface OpenedCache<T> {
  get(value: string): OpenedEntry<T> | undefined
  put(value: string, entry: OpenedEntry<T>): void
}

/** An opened cookie and the id of the key that opened it. */
export interface OpenedEntry<T> {
  readonly kind: 'opened'
  readonly content: T
  readonly keyId: string
}

interface Remembered<T> {
  readonly value: string
  readonly entry: OpenedEntry<T>
}

/** The tag of a sealed value reaches into its last 22 characters. */
const tagCharacters = 22

/**
 * Two generations of at most `maxEntries` each; what was not asked for during a whole generation is forgotten.
 *
 * Entries are found by the tag, which nobody can guess for a value that they do not have, and count only if the whole value
 * is equal. A generation ends with the first question after `maxAgeMs`: while cookies come, a token is forgotten within
 * two generations of its last use; when none come any more, the last ones stay in memory. A new key ring forgets
 * everything: a key that was taken away opens nothing from that moment (EN-7).
 */
export function createOpenedCache<T>(
  { keys, clock }: { keys: KeySource; clock: Clock },
  { maxEntries = 1000, maxAgeMs = 60_000 } = {},
): OpenedCache<T> {
  let recent = new Map<string, Remembered<T>>()
  let older = new Map<string, Remembered<T>>()
  let startedAtMs = clock.nowMs()
  let ring: KeyRing = keys.current()

  return {
    get(value) {
      if (keys.current() !== ring) forgetAll()
      else if (!isWithin(clock, startedAtMs, maxAgeMs)) turn()
      const tag = value.slice(-tagCharacters)
      const found = recent.get(tag)
      if (found !== undefined) return found.value === value ? found.entry : undefined
      const aged = older.get(tag)
      if (aged?.value !== value) return undefined
      remember(tag, aged)
      return aged.entry
    },
    put(value, entry) {
      freeze(entry.content)
      remember(value.slice(-tagCharacters), { value, entry })
    },
  }

  function remember(tag: string, remembered: Remembered<T>): void {
    if (recent.size >= maxEntries) turn()
    recent.set(tag, remembered)
  }

  function turn(): void {
    older = isWithin(clock, startedAtMs, 2 * maxAgeMs) ? recent : new Map<string, Remembered<T>>()
    recent = new Map()
    startedAtMs = clock.nowMs()
  }

  function forgetAll(): void {
    turn()
    older = new Map()
    ring = keys.current()
  }
}

/** Freezes what an entry holds at every depth, so that no request can change what the next one is given. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const inner of Object.values(value)) freeze(inner)
}
