import type { CrossProblem } from './check.ts'
import { isLocalOrigin } from '../local.ts'
import type { Config, Route } from '../schema.ts'

/** What a route may do with cookies and with requests that carry no header. */
export function* cookieChecks(config: Config): Iterable<CrossProblem> {
  const { cookies, proxy } = config
  for (const [index, route] of proxy.routes.entries()) {
    const path = `proxy.routes[${index}]`
    yield* nameChecks(route.forwardCookies, `${path}.forward_cookies`, cookies.prefix)
    yield* nameChecks(route.allowSetCookie, `${path}.allow_set_cookie`, cookies.prefix)
    yield* headerlessChecks(route, path)
  }
  yield* plainChecks(config)
}

function* plainChecks({ cookies, login, publicOrigin }: Config): Iterable<CrossProblem> {
  if (!cookies.insecurePlain) return
  if (!publicOrigin.startsWith('http:') || !isLocalOrigin(publicOrigin)) {
    yield {
      path: 'cookies.insecure_plain',
      problem: 'is refused, because the public origin is not http: on localhost',
      remedy: 'Remove it.',
      given: ['public_origin'],
    }
  }
  if (login.navigation.enabled && login.navigation.responseMode === 'form_post') {
    yield {
      path: 'cookies.insecure_plain',
      problem: 'cannot be combined with form_post, whose SameSite=None browsers take with Secure only',
      remedy: 'Remove one of them.',
      given: ['login.navigation.response_mode'],
    }
  }
}

function* nameChecks(names: readonly string[], path: string, prefix: string): Iterable<CrossProblem> {
  // Cookie names are compared here without regard to case, because some readers behind us do (B08).
  const ours = new RegExp(`^(?:__(?:host|http|secure|host-http)-)?${prefix}-`, 'i')
  for (const [index, name] of names.entries()) {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
      yield { path: `${path}[${index}]`, problem: 'is not a cookie name', remedy: 'Write the exact name.' }
    } else if (ours.test(name)) {
      yield {
        path: `${path}[${index}]`,
        problem: 'is the name of a cookie of ours, which no API may see or set',
        remedy: 'Remove it, or choose another cookies.prefix.',
        given: ['cookies.prefix'],
      }
    }
  }
}

function* headerlessChecks(route: Route, path: string): Iterable<CrossProblem> {
  const { headerless, websocket, methods } = route
  if (headerless.includes('websocket') && !websocket) {
    yield {
      path: `${path}.headerless`,
      problem: 'lists websocket, but the route accepts no WebSocket',
      remedy: 'Set websocket: true, or take it off the list.',
      given: [`${path}.websocket`],
    }
  }
  if ((headerless.length > 0 || websocket) && !methods.includes('GET')) {
    yield {
      path: `${path}.methods`,
      problem: 'lacks GET, the method of WebSockets, event streams and downloads',
      remedy: 'Add GET.',
      given: [`${path}.headerless`, `${path}.websocket`],
    }
  }
}
