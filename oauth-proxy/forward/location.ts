import { type PathRewrite, publicPath } from '../routes/forward-path.ts'

/** Where a Location may lead, and how it is read. */
export interface LocationPolicy extends PathRewrite {
  /** Origin of the API that answered. */
  readonly upstreamOrigin: string
  /** The origin that X-Forwarded-Proto and X-Forwarded-Host name. */
  readonly publicOrigin: string
  /** The target it was asked for, against which a relative Location is read. */
  readonly upstreamPath: string
  /** Other origins to which the API may send the browser. */
  readonly redirectOrigins: readonly string[]
}

/**
 * The origins under which an API knows itself.
 *
 * It is asked under its own Host, and told the public protocol and host; frameworks believe both, either or neither.
 */
export function ownOrigins(upstreamOrigin: string, publicOrigin: string): readonly string[] {
  const urls = [new URL(upstreamOrigin), new URL(publicOrigin)]
  return urls.flatMap(({ protocol }) => urls.map(({ host }) => new URL(`${protocol}//${host}`).origin))
}

/**
 * A Location of the API as the browser may see it; undefined if it must not see it.
 *
 * Nobody follows it here (K14). A URL at the API becomes the public path, by whatever name the API knows itself;
 * another origin passes only if it is listed, so that no name of the inner network leaks and no redirect leads where
 * nobody meant to go (HX-12).
 */
export function publicLocation(location: string, policy: LocationPolicy): string | undefined {
  const { upstreamOrigin, publicOrigin } = policy
  const base = `${upstreamOrigin}${policy.upstreamPath}`
  if (!/^[\x21-\x7e]{1,4096}$/.test(location) || !URL.canParse(location, base)) return undefined
  const url = new URL(location, base)
  if (url.username !== '' || url.password !== '') return undefined
  // The origin of a blob: is that of whoever made it, so a listed one says nothing about where it leads.
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  if (policy.redirectOrigins.includes(url.origin)) return url.href
  if (!ownOrigins(upstreamOrigin, publicOrigin).includes(url.origin)) return undefined
  const path = publicPath(url.pathname, policy)
  if (path === undefined || path.startsWith('//')) return undefined
  return `${path === '' ? '/' : path}${url.search}${url.hash}`
}
