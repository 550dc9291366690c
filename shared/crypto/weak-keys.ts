import { createHash } from 'node:crypto'

/** SHA-256 of keys that have been printed somewhere: tutorials, and the test vectors of this repository. */
const publishedKeyHashes: ReadonlySet<string> = new Set([])

/**
 * Why 32 bytes cannot have come from a random number generator, or undefined.
 *
 * None of these checks refuses a random key more often than once in 10^12. They catch what people do: zeros, patterns,
 * passwords of 32 characters, and the key of a tutorial (A12, A13).
 */
export function keyWeakness(bytes: Buffer): string | undefined {
  if (bytes.every((byte) => byte === 0)) return 'is all zero'
  if (new Set(bytes).size < 12) return 'repeats a few bytes'
  const steps = new Set(bytes.subarray(1).map((byte, index) => byte - (bytes[index] ?? 0)))
  if (steps.size < 6) return 'follows a pattern'
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'is readable text, not random bytes'
  const hash = createHash('sha256').update(bytes).digest('hex')
  return publishedKeyHashes.has(hash) ? 'is a published sample key' : undefined
}
