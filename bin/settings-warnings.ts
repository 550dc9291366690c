import { demandedAcr, parseAuthorizationWish } from '../oauth-agent/flows/authorization-request.ts'
import { demandsNothing } from '../oauth-proxy/policy.ts'
import type { Problem } from '../shared/config/problem.ts'
import type { Config, Route } from '../shared/config/schema.ts'
import { upstreamsOf } from '../shared/config/upstreams.ts'
import type { Mode } from './parts.ts'

/** What keeps no process from starting, but was hardly meant; without a mode, in any that these settings could start. */
export function settingsWarnings(
  config: Pick<Config, 'proxy' | 'login' | 'publicOrigin'>,
  mode: Mode | undefined,
): readonly Problem[] {
  return [
    // What is asked for at a sign-in stands in the settings of the agents.
    ...(mode === 'proxy' ? [] : loginWarnings(config)),
    ...(mode === 'agent' ? [] : proxyWarnings(config, mode)),
  ]
}

function loginWarnings({ login }: Pick<Config, 'login'>): readonly Problem[] {
  return [...commaWarning('login.scope', login.scope), ...commaWarning('login.optional_scope', login.optionalScope)]
}

function proxyWarnings(
  { proxy, login, publicOrigin }: Pick<Config, 'proxy' | 'login' | 'publicOrigin'>,
  mode: Mode | undefined,
): readonly Problem[] {
  if (proxy.routes.length > 0) {
    return proxy.routes.flatMap((route, index) => {
      const path = `proxy.routes[${index}]`
      const signIn =
        mode === 'proxy' ? [] : [...scopeWarning(route, path, login), ...stepUpWarnings(route, path, login)]
      return [
        ...circleWarning(route, path, publicOrigin),
        ...webSocketWarning(route, path),
        ...schemeWarning(route, path),
        ...visitorWarnings(route, path),
        ...tokenScopeWarnings(route, path),
        ...signIn,
      ]
    })
  }
  return [
    {
      path: 'proxy.routes',
      problem: 'lists no API, so the proxy refuses every call and every question of a gateway with 404',
      remedy:
        'List the APIs under proxy.routes. Where no proxy is to run, start `token-handler agent` and check with --for agent.',
    },
  ]
}

function* tokenScopeWarnings({ credential, anonymousToken, require }: Route, path: string): Iterable<Problem> {
  if ('scope' in credential) yield* commaWarning(`${path}.credential.scope`, credential.scope)
  yield* commaWarning(`${path}.anonymous_token.scope`, anonymousToken.scope)
  for (const [index, scope] of require.scope.entries()) yield* commaWarning(`${path}.require.scope[${index}]`, scope)
}

/** A comma may be part of a scope (RFC 6749 §3.3); those who write one mostly come from a server that wants lists of them. */
function commaWarning(path: string, scope: string | undefined): readonly Problem[] {
  const joined = scope?.split(' ').find((token) => token.includes(','))
  if (joined === undefined) return []
  return [
    {
      path,
      problem: `takes ${joined} for one scope, since nothing but spaces parts scopes`,
      remedy: 'Put spaces between scopes, or list each by itself where the setting is a list.',
    },
  ]
}

/** Some gateways tell the calls of the proxy from those of browsers, so this need not be wrong. */
function circleWarning(route: Route, path: string, publicOrigin: string): readonly Problem[] {
  if (!upstreamsOf(route).some((upstream) => new URL(upstream).origin === publicOrigin)) return []
  return [
    {
      path: `${path}.upstream`,
      problem: 'is the public origin, so calls may come back to the proxy, which refuses them with 400 then',
      remedy: 'Name the address of the API itself, such as https://orders.internal.example.com.',
    },
  ]
}

function webSocketWarning({ websocket, headerless }: Route, path: string): readonly Problem[] {
  if (!websocket || headerless.includes('websocket')) return []
  return [
    {
      path: `${path}.websocket`,
      problem: 'is on, but no browser can send token-handler-version with a WebSocket, so each is refused with 403',
      remedy: 'Add headerless: [websocket]; exact Origin and Fetch Metadata are checked instead.',
    },
  ]
}

/** `Bearer` and a key make one word, of which no API finds the scheme (RFC 9110 §11.4). */
function schemeWarning({ credential }: Route, path: string): readonly Problem[] {
  if (credential.kind !== 'api_key' || credential.header.toLowerCase() !== 'authorization') return []
  if (!/^[a-z]+$/i.test(credential.prefix)) return []
  return [
    {
      path: `${path}.credential.prefix`,
      problem: `is ${credential.prefix} without a space behind it, so scheme and key reach the API as one word`,
      remedy: `Write ${JSON.stringify(`${credential.prefix} `)}, in quotes.`,
    },
  ]
}

function* visitorWarnings({ anonymous, anonymousToken, require }: Route, path: string): Iterable<Problem> {
  if (anonymous !== 'deny' && !demandsNothing(require)) {
    yield {
      path: `${path}.anonymous`,
      problem: 'lets visitors in, but nobody without a session meets require, so each of them gets 401',
      remedy: 'Remove it, or give visitors a route with methods or a path of its own.',
    }
  }
  const isAsked = Object.values(anonymousToken).some((value) => value !== undefined)
  if (anonymous !== 'client_credentials' && isAsked) {
    yield {
      path: `${path}.anonymous_token`,
      problem: 'is requested for nobody',
      remedy: 'Set anonymous: client_credentials, or remove it.',
    }
  }
}

/** Some servers grant scopes that nobody asked for (RFC 6749 §3.3), so this need not be wrong. */
function scopeWarning({ require }: Route, path: string, login: Config['login']): readonly Problem[] {
  const optional = login.allowedParameters.includes('scope') ? login.optionalScope.split(' ') : []
  const asked = new Set([...login.scope.split(' '), ...optional])
  const missing = require.scope.filter((scope) => !asked.has(scope))
  if (missing.length === 0) return []
  return [
    {
      path: `${path}.require.scope`,
      problem: `demands ${missing.join(' ')}, which no sign-in asks for, so unless the authorization server grants it unasked each call gets 403`,
      remedy:
        'List it under login.scope, or under login.optional_scope for pages to ask for, which takes scope in login.allowed_parameters. Check the settings of a proxy alone with --for proxy.',
    },
  ]
}

/**
 * A challenge names all that the route demands of an authentication (RFC 9470 §3), and the browser client asks for all of
 * it at once: one parameter that no page may send, and no step-up begins. A level that every sign-in demands is
 * challenged for only where an age is demanded with it.
 */
function* stepUpWarnings({ require }: Route, path: string, login: Config['login']): Iterable<Problem> {
  const levels = demandedAcr(parseAuthorizationWish(new Map(), { login }))
  const isAlwaysMet = levels?.every((level) => require.acr.includes(level)) ?? false
  if (require.maxAge === undefined && isAlwaysMet) return
  for (const [name, setting, demanded] of [
    ['acr_values', 'acr', require.acr.join(' ')],
    ['max_age', 'max_age', String(require.maxAge ?? '')],
  ] as const) {
    if (demanded === '' || mayBeSent(name, login, demanded)) continue
    const remedies = [
      ...(isFixedOtherwise(name, login, demanded) ? [`Remove ${name} from login.extra_parameters.`] : []),
      ...(login.allowedParameters.includes(name) ? [] : [`List ${name} under login.allowed_parameters.`]),
    ]
    yield {
      path: `${path}.require.${setting}`,
      problem: `takes a step-up, for which no page may send ${name}, so what a plain sign-in does not meet stays refused with 401`,
      remedy: `${remedies.join(' ')} Check the settings of a proxy alone with --for proxy.`,
    }
  }
}

/** A page may repeat what the settings fix, and no more. */
function mayBeSent(name: string, login: Config['login'], value: string): boolean {
  return login.allowedParameters.includes(name) && !isFixedOtherwise(name, login, value)
}

function isFixedOtherwise(name: string, { extraParameters }: Config['login'], value: string): boolean {
  return Object.hasOwn(extraParameters, name) && extraParameters[name] !== value
}
