import type { CrossProblem } from '../../shared/config/checks/check.ts'
import type { Route } from '../../shared/config/schema.ts'
import { upstreamsOf } from '../../shared/config/upstreams.ts'
import { hopByHop } from '../forward/hop-by-hop.ts'
import { identityHeaderNames } from '../identity-headers.ts'
import { patternSegments } from './route-table.ts'

/** Everything about the routes that no single setting can show, reported as problems of the configuration. */
export function routeProblems(routes: readonly Route[]): CrossProblem[] {
  return routes.flatMap((route, index) => {
    const path = `proxy.routes[${index}]`
    return [
      ...conflicts(routes, index, path),
      ...rewriteProblems(route, path),
      ...upstreamProblems(route, path),
      ...placeProblems(route, path),
      ...credentialProblems(route, path),
    ]
  })
}

function conflicts(routes: readonly Route[], index: number, path: string): CrossProblem[] {
  const route = routes[index]
  const twin = routes.findIndex(
    (other, at) =>
      at < index && other.path === route?.path && other.methods.some((method) => route.methods.includes(method)),
  )
  if (twin === -1) return []
  return [
    {
      path: `${path}.path`,
      problem: `the same path and method is also routed by proxy.routes[${twin}]`,
      remedy: 'Give each route of this path its own methods, or remove one.',
      given: [`proxy.routes[${twin}].path`, `proxy.routes[${twin}].methods`, `${path}.methods`],
    },
  ]
}

function rewriteProblems(route: Route, path: string): CrossProblem[] {
  const { stripPrefix } = route
  if (stripPrefix === undefined) return []
  const wanted = patternSegments(stripPrefix)
  const pattern = patternSegments(route.path)
  if (wanted.every((segment, at) => pattern[at] === segment)) return []
  return [
    {
      path: `${path}.strip_prefix`,
      problem: 'not every path of this route begins with this prefix',
      remedy: 'Name the literal first segments of the path of the route.',
      given: [`${path}.path`],
    },
  ]
}

function upstreamProblems(route: Route, path: string): CrossProblem[] {
  const problems: CrossProblem[] = []
  for (const upstream of upstreamsOf(route)) {
    const url = new URL(upstream)
    if (url.pathname !== '/' || url.search !== '') {
      problems.push({
        path: `${path}.upstream`,
        problem: 'has a path or query',
        remedy: 'Name the origin only; put the path under add_prefix.',
      })
    }
    if (url.username !== '' || url.password !== '') {
      problems.push({
        path: `${path}.upstream`,
        problem: 'holds a user name or password',
        remedy: 'Use a credential of kind api_key with value_file.',
      })
    }
  }
  return problems
}

function placeProblems(route: Route, path: string): CrossProblem[] {
  const { maxConcurrentRequests, maxConcurrentRequestsPerSession = 0 } = route
  if (maxConcurrentRequestsPerSession <= maxConcurrentRequests) return []
  return [
    {
      path: `${path}.max_concurrent_requests_per_session`,
      problem: 'is more than the whole route may have',
      remedy: 'Give it a part of max_concurrent_requests, or raise that.',
      given: [`${path}.max_concurrent_requests`],
    },
  ]
}

/** Headers that carry the connection, the session or somebody's identity; a key in one of them would break or forge it. */
const notForKeys = new RegExp(
  `^(?:${[...hopByHop, ...identityHeaderNames].join('|')}|content-.*|cookie|expect|forwarded|host|origin|proxy-.*|sec-.*|set-cookie|token-handler-.*|via|x-csrf-token|x-forwarded-.*|x-original-.*|x-request-id)$`,
  'i',
)

function credentialProblems({ credential }: Route, path: string): CrossProblem[] {
  if (credential.kind === 'api_key' && notForKeys.test(credential.header)) {
    return [
      {
        path: `${path}.credential.header`,
        problem: 'is a header that this software manages itself',
        remedy: 'Name the header that the API documents for its key.',
      },
    ]
  }
  if (
    credential.kind === 'exchange' &&
    [credential.audience, credential.resource, credential.scope].every((target) => target === undefined)
  ) {
    return [
      {
        path: `${path}.credential`,
        problem: 'does not say for which API the token is exchanged',
        remedy: 'Give audience, resource or scope, whichever the authorization server understands.',
      },
    ]
  }
  return []
}
