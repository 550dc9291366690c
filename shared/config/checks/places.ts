import type { CrossProblem } from './check.ts'
import type { Config } from '../schema.ts'

/** Paths and origins: no two parts claim the same place, and pages are where browsers send the cookies. */
export function* placeChecks(config: Config): Iterable<CrossProblem> {
  yield* pathChecks(config)
  const { cors, publicOrigin } = config
  for (const [index, origin] of cors.origins.entries()) {
    yield* siblingCheck(origin, publicOrigin, `cors.origins[${index}]`)
  }
}

function* pathChecks({ agent, proxy }: Config): Iterable<CrossProblem> {
  const { forwardAuth } = proxy
  if (isBelow(forwardAuth.path, agent.path) || isBelow(agent.path, forwardAuth.path)) {
    yield {
      path: 'proxy.forward_auth.path',
      problem: 'overlaps with agent.path',
      remedy: 'Choose two paths, neither of which begins with the other.',
      given: ['agent.path'],
    }
  }
  const taken = {
    'agent.path': agent.path,
    ...(forwardAuth.gateway === 'off' ? undefined : { 'proxy.forward_auth.path': forwardAuth.path }),
  }
  for (const [index, { path }] of proxy.routes.entries()) {
    for (const [setting, place] of Object.entries(taken)) {
      if (!isBelow(path, place)) continue
      yield {
        path: `proxy.routes[${index}].path`,
        problem: `lies below ${setting} and would never be reached`,
        remedy: `Choose another path, or another ${setting}.`,
        given: [setting],
      }
    }
  }
}

/** True for a path that is `base` or lies below it. */
export function isBelow(path: string, base: string): boolean {
  return path === base || path.startsWith(`${base}/`)
}

/** SameSite=Strict cookies reach us from pages of the same site only: same scheme, same registrable domain. */
function* siblingCheck(origin: string, publicOrigin: string, path: string): Iterable<CrossProblem> {
  if (origin === publicOrigin) {
    yield {
      path,
      problem: 'is the public origin itself',
      remedy: 'Remove it; the public origin is always allowed.',
      given: ['public_origin'],
    }
    return
  }
  const [theirs, ours] = [new URL(origin), new URL(publicOrigin)]
  if (theirs.protocol === ours.protocol && lastLabels(theirs.hostname) === lastLabels(ours.hostname)) return
  yield {
    path,
    problem: 'is not of the same site as public_origin, so browsers would not send the cookies',
    remedy: `Use ${ours.protocol}// and a host that shares its domain with ${ours.hostname}.`,
    given: ['public_origin'],
  }
}

/** The least that two hosts of one site share; the public suffix list is more exact, but changes with the browsers. */
function lastLabels(hostname: string): string {
  return /^[\d.]+$/.test(hostname) ? hostname : hostname.split('.').slice(-2).join('.')
}
