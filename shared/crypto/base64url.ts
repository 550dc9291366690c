/** RFC 4648 §5 without padding. */
export function encodeBase64url(bytes: Buffer): string {
  return bytes.toString('base64url')
}

/**
 * Decodes only the one canonical spelling of RFC 4648 §3.5; anything else is undefined.
 *
 * Node's own decoder skips what it does not know and reads `Ł` as `A`, so `v`, `v=`, `v\n`, `!v` and changed trailing
 * bits would all be the same bytes, and one cookie could be presented under many names to caches, locks and deny lists.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
