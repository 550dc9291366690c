import type { GatedTarget } from '../gate/path.ts'

/** How a public path becomes a path of the API; none of the two changes nothing. */
export interface PathRewrite {
  readonly stripPrefix?: string | undefined
  readonly addPrefix?: string | undefined
}

/**
 * The target for the API: a configured prefix taken off and another put before, everything else byte for byte.
 *
 * No URL is resolved here: `new URL('//evil/x', base)` leaves the host, putting text together cannot.
 */
export function forwardPath({ path, query }: GatedTarget, { stripPrefix = '', addPrefix = '' }: PathRewrite): string {
  const rest = path.slice(stripPrefix.length)
  return `${addPrefix}${rest === '' && addPrefix === '' ? '/' : rest}${query}`
}

/** The public path of a path of the API, or undefined if the route cannot reach it; the inverse of `forwardPath`. */
export function publicPath(path: string, { stripPrefix = '', addPrefix = '' }: PathRewrite): string | undefined {
  if (path !== addPrefix && !path.startsWith(`${addPrefix}/`)) return undefined
  return `${stripPrefix}${path.slice(addPrefix.length)}`
}
