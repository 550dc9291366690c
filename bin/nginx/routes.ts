import type { Config, Route } from '../../shared/config/schema.ts'
import { upstreamsOf } from '../../shared/config/upstreams.ts'

/** A route that nginx carries out itself. */
export interface NginxRoute {
  readonly setting: Route
  /** Name of its upstream block and, where one path has several routes, of its location. */
  readonly name: string
  readonly upstreamOrigin: string
}

/** All routes of one path pattern; they differ in their methods. */
export interface NginxGroup {
  readonly path: string
  readonly routes: readonly NginxRoute[]
  /** How locations of nginx spell the pattern, without the word `location`. */
  readonly matchers: readonly string[]
  /** Why the proxy keeps this path; undefined when nginx decides it. */
  readonly handedOver: string | undefined
}

/** The routes of the proxy by path, most specific first. */
export function nginxGroups(config: Config): readonly NginxGroup[] {
  const paths = [...new Set(config.proxy.routes.map(({ path }) => path))].sort(bySpecificity)
  const hasWildcard = paths.some((path) => path.split('/').includes('*'))
  const everything = reasonForAll(config)
  return paths.map((path) => {
    const routes = config.proxy.routes.flatMap((setting, index) =>
      setting.path === path ? [{ setting, name: `th_route_${index}`, upstreamOrigin: upstreamOrigin(setting) }] : [],
    )
    const handedOver =
      everything ?? routes.map(({ setting }) => reasonFor(setting)).find((reason) => reason !== undefined)
    return { path, routes, matchers: hasWildcard ? [regexMatcher(path)] : literalMatchers(path, paths), handedOver }
  })
}

function upstreamOrigin(route: Route): string {
  const [first] = upstreamsOf(route)
  if (first === undefined) throw new RangeError('a route has at least one upstream')
  return new URL(first).origin
}

/** A shared store can end a session at once; nginx would let its access token live until it expires. */
function reasonForAll({ store, client }: Config): string | undefined {
  if (client.dpopBoundAccessTokens) return 'only the proxy proves access tokens (client.dpop_bound_access_tokens)'
  return store.kind === 'memory' ? undefined : 'the shared store can end sessions at any moment'
}

function reasonFor(route: Route): string | undefined {
  const { credential, anonymous, require } = route
  if (credential.kind !== 'user' && credential.kind !== 'none') return `credential ${credential.kind}`
  if (anonymous === 'client_credentials') return 'anonymous client_credentials'
  if (require.scope.length > 0 || require.acr.length > 0 || require.maxAge !== undefined) return 'require'
  if (Object.keys(require.claims).length > 0) return 'require'
  if (route.websocket || route.headerless.includes('websocket')) return 'websocket'
  if (route.headerless.includes('event_stream')) return 'event_stream'
  if (route.allowSetCookie.length > 0) return 'allow_set_cookie'
  if (route.rateLimit !== undefined) return 'rate_limit'
  const { maxConcurrentRequestsPerSession: perSession = route.maxConcurrentRequests } = route
  if (perSession < route.maxConcurrentRequests) return 'max_concurrent_requests_per_session'
  if (upstreamsOf(route).length > 1) return 'several upstreams'
  return undefined
}

/** The first segment in which two patterns differ decides: a literal before `*`, `*` before the end, the end before `**`. */
function bySpecificity(a: string, b: string): number {
  const rank = (segment: string | undefined) =>
    segment === '**' ? 3 : segment === undefined ? 2 : segment === '*' ? 1 : 0
  const left = segments(a)
  const right = segments(b)
  for (let index = 0; index <= Math.max(left.length, right.length); index++) {
    const difference = rank(left[index]) - rank(right[index])
    if (difference !== 0) return difference
    if (left[index] !== right[index]) return (left[index] ?? '') < (right[index] ?? '') ? -1 : 1
  }
  return 0
}

/** Without `*` in any route the longest prefix is the most specific route. A trailing slash is the same path as without. */
function literalMatchers(path: string, paths: readonly string[]): readonly string[] {
  const literal = `/${segments(path)
    .filter((segment) => segment !== '**')
    .join('/')}`
  if (literal === '/') return path === '/' ? ['= /'] : ['^~ /']
  if (!path.endsWith('/**')) return [`= ${literal}`, `= ${literal}/`]
  // nginx refuses a location that is there twice.
  return paths.includes(literal) ? [`^~ ${literal}/`] : [`= ${literal}`, `^~ ${literal}/`]
}

/** nginx takes the first of several regular expressions, so with `*` all patterns are spelled as such, in their order. */
function regexMatcher(path: string): string {
  const parts = segments(path).map((segment) =>
    segment === '**' ? '(?:/.*)?' : segment === '*' ? '/[^/]+' : `/${segment.replaceAll('.', '\\.')}`,
  )
  return `~ "^${parts.join('')}${path.endsWith('/**') ? '' : '/?'}$"`
}

function segments(pattern: string): readonly string[] {
  return pattern.split('/').filter((segment) => segment !== '')
}
