/** What the table needs to know of a route; whatever else it carries comes back with the match. */
export interface PathRule {
  /** `/a/b` exactly, `*` for one segment, a final `/**` for the path itself and all below it. */
  readonly path: string
  readonly methods: readonly string[]
}

/** The routes, ready to be searched. */
export interface RouteTable<R extends PathRule> {
  /** The routes of the most specific pattern that covers the path; they differ in their methods only. */
  match(path: string): readonly R[] | undefined
}

interface Branch<R> {
  readonly literals: Map<string, Branch<R>>
  /** Lower-cased literals, to notice a spelling that only a case-insensitive API would take for one of them. */
  readonly folded: Set<string>
  wildcard: Branch<R> | undefined
  readonly exact: R[]
  readonly subtree: R[]
}

/**
 * Arranges routes by segment, so that the cost of a match does not grow with their number.
 *
 * The first segment in which two patterns differ decides: a literal beats `*`, which beats `**`. A trailing slash is
 * the same route as without, because many APIs read it so.
 */
export function createRouteTable<R extends PathRule>(routes: readonly R[]): RouteTable<R> {
  const root = branch<R>()
  for (const route of routes) add(root, route)
  return {
    match(path) {
      const found = find(root, path, 1)
      return found === refused ? undefined : found
    },
  }
}

function branch<R>(): Branch<R> {
  return { literals: new Map(), folded: new Set(), wildcard: undefined, exact: [], subtree: [] }
}

function add<R extends PathRule>(root: Branch<R>, route: R): void {
  let at = root
  for (const segment of patternSegments(route.path)) {
    if (segment === '**') {
      at.subtree.push(route)
      return
    }
    at = segment === '*' ? (at.wildcard ??= branch()) : literal(at, segment)
  }
  at.exact.push(route)
}

/** The segments of a pattern; `/` has none. */
export function patternSegments(pattern: string): readonly string[] {
  return pattern.split('/').filter((segment) => segment !== '')
}

function literal<R>(at: Branch<R>, segment: string): Branch<R> {
  let next = at.literals.get(segment)
  if (next === undefined) {
    next = branch()
    at.literals.set(segment, next)
    at.folded.add(segment.toLowerCase())
  }
  return next
}

const refused = Symbol('refused')

/** Follows the segment of `path` that begins at `start`, and what comes behind it. */
function find<R>(at: Branch<R>, path: string, start: number): readonly R[] | typeof refused | undefined {
  if (start >= path.length) return nonEmpty(at.exact) ?? nonEmpty(at.subtree)
  const slash = path.indexOf('/', start)
  const end = slash === -1 ? path.length : slash
  const segment = path.slice(start, end)
  const next = at.literals.get(segment)
  if (next === undefined) {
    // `/ADMIN` next to a route `/admin` must not fall through to a laxer `/**` (G18).
    if (at.folded.has(segment.toLowerCase())) return refused
  } else {
    const found = find(next, path, end + 1)
    if (found !== undefined) return found
  }
  const found = at.wildcard === undefined ? undefined : find(at.wildcard, path, end + 1)
  return found ?? nonEmpty(at.subtree)
}

function nonEmpty<R>(routes: readonly R[]): readonly R[] | undefined {
  return routes.length === 0 ? undefined : routes
}
