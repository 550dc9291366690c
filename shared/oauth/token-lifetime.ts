/** Bounds for lifetimes; all in seconds. */
export interface LifetimeSettings {
  readonly defaultAccessTokenSeconds: number
  readonly maxAccessTokenSeconds: number
}

/**
 * Seconds an access token may be used, read from `expires_in` in whatever form it came (RFC 6749 §5.1).
 *
 * Servers send numbers, numeric strings, fractions, negative and absurd values. What cannot be read counts as absent
 * and gets the default; nothing becomes a permanent token or an invalid date (D06).
 */
export function parseTokenLifetime(expiresIn: unknown, settings: LifetimeSettings): number {
  const seconds = readSeconds(expiresIn) ?? settings.defaultAccessTokenSeconds
  return Math.min(Math.max(seconds, 0), settings.maxAccessTokenSeconds)
}

function readSeconds(value: unknown): number | undefined {
  if (typeof value === 'number' && !Number.isNaN(value)) return Math.floor(value)
  if (typeof value === 'string' && /^-?[0-9]{1,20}(?:\.[0-9]{1,20})?$/.test(value)) return Math.floor(Number(value))
  return undefined
}
