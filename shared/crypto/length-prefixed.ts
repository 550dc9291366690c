/**
 * Every part preceded by its length in two bytes, big-endian: without it, `("ab", "c")` and `("a", "bc")` would be one and
 * the same (A10).
 */
export function encodeLengthPrefixed(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(part.length)
      return [length, part]
    }),
  )
}
