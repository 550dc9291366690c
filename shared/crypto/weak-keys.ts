import { createHash } from 'node:crypto'

/** SHA-256 of keys that have been printed: those of our test vectors, and the AES-256 example of NIST SP 800-38A §F. */
const publishedKeyHashes: ReadonlySet<string> = new Set([
  '30962fd31e1f41c2fcda04a2b425a530f419d0ab66093d3c7762738ab74dc54e',
  '20434bd332cf60d423d0b16fbc587e5de11ccc1fc081c2448fe54c9f698b708b',
  'dfe28cf272f261d0748b4c132b7131cc19ac8be7a23a65ab293405df8d3d9017',
  '35b6e8dcdb169bb229f804b443dd64689bab491f3834603b9acf351ca5975241',
  '338450a762cf6fbd352416de5c2b0c3619bb355e55626cc3423e68ead223da6b',
  'a8e93fc5b801ba4addc353a29d2f9ac21523d454dc8b09d57e66a2ca26bad923',
  'ad74ac5e98043c417bb8ef822cf9004da0e1a3cf6c5c4c3bb947714b582b01fc',
  '23ea879d5c5876ecbfbb63fcf13ebacd7b41fd9d5d3b629a586ea3cc2de06dd8',
  'b93c72b74bc8487d29827005f80d635918f91bc22b14d7ed05714d58f96702dd',
])

/**
 * Why 32 bytes cannot have come from a random number generator, or undefined.
 *
 * None of these checks refuses a random key more often than once in 10^12. They catch what people do: zeros, patterns,
 * passwords of 32 characters, and the key of a tutorial (A12, A13).
 */
export function keyWeakness(bytes: Buffer): string | undefined {
  if (new Set(bytes).size < 12) return 'repeats a few bytes'
  const steps = new Set(bytes.subarray(1).map((byte, index) => byte - (bytes[index] ?? 0)))
  if (steps.size < 6) return 'follows a pattern'
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'is readable text, not random bytes'
  const hash = createHash('sha256').update(bytes).digest('hex')
  return publishedKeyHashes.has(hash) ? 'is a published sample key' : undefined
}
