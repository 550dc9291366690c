import { demandedAcr, parseAuthorizationWish } from '../oauth-agent/flows/authorization-request.ts'
import { demandsNothing } from '../oauth-proxy/policy.ts'
import { routeProblems } from '../oauth-proxy/routes/route-problems.ts'
import type { ConfigCheck, CrossProblem } from '../shared/config/checks/check.ts'
import type { Problem } from '../shared/config/problem.ts'
import type { Config, Route } from '../shared/config/schema.ts'
import { upstreamsOf } from '../shared/config/upstreams.ts'
import { roomForSession } from '../shared/cookies/set-cookie.ts'
import type { Mode } from './parts.ts'

/** What agent and proxy know of their settings beyond the schema, where no command says which of them will run. */
export const partChecks: readonly ConfigCheck[] = processChecks('serve', undefined)

/** The same for the processes that this command starts; `workers` is the number of the command line. */
export function processChecks(mode: Mode, workers: number | undefined): readonly ConfigCheck[] {
  return [
    (config) => routeProblems(config.proxy.routes),
    (config) => backchannelCheck(config, mode, workers),
    ...(mode === 'proxy' ? [] : [answerCheck]),
  ]
}

/** The answer to a sign-in also tells attempts by navigation of it; one that a gateway does not take is a code lost. */
function* answerCheck(config: Config): Iterable<CrossProblem> {
  const { cookies, login } = config
  const room = roomForSession(config)
  if (!login.navigation.enabled || cookies.maxTotalBytes <= room) return
  yield {
    path: 'cookies.max_total_bytes',
    problem: `is ${cookies.maxTotalBytes}, but beside ${login.maxAttempts} attempts to sign in an answer of 16 KiB holds ${room}`,
    remedy: `Use at most ${room}, or lower login.max_attempts.`,
    given: ['login.max_attempts', 'login.navigation.enabled'],
  }
}

/** The authorization server gets "signed out" as its answer, so every process that lets calls through has to know of it. */
function* backchannelCheck(
  { logout, store, operations }: Config,
  mode: Mode,
  workers = operations.workers,
): Iterable<CrossProblem> {
  if (!logout.backchannel || store.kind !== 'memory' || (mode === 'serve' && workers === 1)) return
  yield {
    path: 'store.kind',
    problem: 'is memory, so a back-channel logout would end the session in one of several processes only',
    remedy:
      'Use valkey, run agent and proxy as one process with serve and one worker, or set logout.backchannel: false.',
    given: ['logout.backchannel', 'operations.workers'],
  }
}

/** What keeps no process from starting, but was hardly meant; without a mode, in any that these settings could start. */
export function settingsWarnings(
  { proxy, login, publicOrigin }: Pick<Config, 'proxy' | 'login' | 'publicOrigin'>,
  mode: Mode | undefined,
): readonly Problem[] {
  if (mode === 'agent') return []
  if (proxy.routes.length > 0) {
    return proxy.routes.flatMap((route, index) => {
      const path = `proxy.routes[${index}]`
      // What is asked for at a sign-in stands in the settings of the agents.
      const signIn =
        mode === 'proxy' ? [] : [...scopeWarning(route, path, login), ...stepUpWarnings(route, path, login)]
      return [
        ...circleWarning(route, path, publicOrigin),
        ...webSocketWarning(route, path),
        ...schemeWarning(route, path),
        ...visitorWarnings(route, path),
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

/** What to say of workers that have nothing in common, or undefined; other replicas cannot be seen from here. */
export function memoryWarning({ store }: Pick<Config, 'store'>, mode: Mode, workers: number): string | undefined {
  if (workers === 1 || mode === 'proxy' || store.kind !== 'memory') return undefined
  return `With store.kind: memory each of the ${workers} workers refreshes, limits and remembers sign-outs for itself. Set store.kind: valkey.`
}
