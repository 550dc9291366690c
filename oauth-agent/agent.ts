import type { IncomingMessage, ServerResponse } from 'node:http'
import Router from '@koa/router'
import Koa from 'koa'
import { koaBody } from 'koa-body'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import { createCatalogue } from '../shared/cookies/catalogue.ts'
import { createCookieReader } from '../shared/cookies/open.ts'
import { createSuccessorBox } from '../shared/cookies/successor.ts'
import { createCookieWriter } from '../shared/cookies/write.ts'
import { csrfToken } from '../shared/crypto/csrf-token.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { pseudonym } from '../shared/crypto/pseudonym.ts'
import { type RandomBytes, systemRandomBytes } from '../shared/crypto/random.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import type { AuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import type { Store } from '../shared/store/store.ts'
import { createAdmission, type Demands } from './admission.ts'
import {
  type AgentContext,
  type AnswerParts,
  createAnswering,
  createHeadReading,
  type RequestState,
  writeAnswer,
} from './answer.ts'
import { form, json } from './body.ts'
import { createRefresh } from './flows/refresh.ts'
import { createBackchannelLogout } from './routes/backchannel-logout.ts'
import { createFormCallback, createQueryCallback } from './routes/callback.ts'
import type { Endpoint, EndpointParts } from './routes/endpoint.ts'
import { createJwks } from './routes/jwks.ts'
import { createLoginEnd } from './routes/login-end.ts'
import { createLoginPage } from './routes/login-page.ts'
import { createLoginStart } from './routes/login-start.ts'
import { createLogout } from './routes/logout.ts'
import { createLogoutForm, createLogoutPage, signOutPath } from './routes/logout-page.ts'
import { createRefreshEndpoint } from './routes/refresh.ts'
import { createSession } from './routes/session.ts'
import { createUserinfo } from './routes/userinfo.ts'

/** What the agent is made of. */
export interface AgentParts {
  readonly config: Config
  readonly keys: KeySource
  readonly authorizationServer: AuthorizationServer
  readonly store: Store
  readonly clock: Clock
  readonly observe: Observe
  /** Replaces the system's randomness in tests. */
  readonly random?: RandomBytes
}

/** The OAuth agent as a server sees it. */
export interface Agent {
  /** Answers one request; never rejects. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
}

/** One row of the endpoint table. */
interface Row extends Demands {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Whether the settings switch it on; always, if absent. */
  readonly isOn?: (config: Config) => boolean
  readonly create: (parts: EndpointParts) => Endpoint
}

const hasPublicKeys = ({ client }: Config) =>
  client.authentication === 'private_key_jwt' || client.authentication === 'self_signed_tls_client_auth'
const byNavigation = ({ login }: Config) => login.navigation.enabled
const byForm = ({ login }: Config) => login.navigation.enabled && login.navigation.responseMode === 'form_post'
const byQuery = (config: Config) => byNavigation(config) && !byForm(config)

const page = { caller: 'page' } as const
const open = { caller: 'server', limit: 'none', csrf: false } as const
const tab = { caller: 'navigation', csrf: false, isOn: byNavigation } as const
const back = { caller: 'return', limit: 'login', csrf: false } as const

const endpoints: readonly Row[] = [
  { ...page, method: 'POST', path: '/login/start', limit: 'login', csrf: true, create: createLoginStart },
  // The page that comes back knows no CSRF token yet; the login cookie binds the response to its browser.
  { ...page, method: 'POST', path: '/login/end', limit: 'login', csrf: false, create: createLoginEnd },
  { ...page, method: 'GET', path: '/session', limit: 'session', csrf: false, create: createSession },
  { ...page, method: 'GET', path: '/userinfo', limit: 'session', csrf: false, create: createUserinfo },
  { ...page, method: 'POST', path: '/refresh', limit: 'refresh', csrf: true, create: createRefreshEndpoint },
  { ...page, method: 'POST', path: '/logout', limit: 'session', csrf: true, create: createLogout },
  { ...open, method: 'POST', path: '/backchannel-logout', create: createBackchannelLogout },
  { ...open, method: 'GET', path: '/jwks', isOn: hasPublicKeys, create: createJwks },
  { ...tab, method: 'GET', path: '/login', limit: 'login', create: createLoginPage },
  { ...back, method: 'GET', path: '/callback', isOn: byQuery, create: createQueryCallback },
  { ...back, method: 'POST', path: '/callback', isOn: byForm, create: createFormCallback },
  { ...tab, method: 'GET', path: '/logout', limit: 'session', create: createLogoutPage },
  { ...tab, caller: 'form', method: 'POST', path: signOutPath, limit: 'session', csrf: true, create: createLogoutForm },
]

/** Creates the OAuth agent: the endpoints that sign users in and out, the only writer of cookies. */
export function createAgent(agentParts: AgentParts): Agent {
  const { config, keys, store, clock } = agentParts
  const catalogue = createCatalogue(config)
  const parts = createEndpointParts(agentParts)
  const admit = createAdmission({
    config,
    keys,
    catalogue,
    reader: parts.reader,
    store,
    clock,
    readText: textReader(config),
  })

  const router = new Router<RequestState>({ prefix: config.agent.path, sensitive: true, strict: true })
  const rows = endpoints.filter(({ isOn }) => isOn?.(config) ?? true)
  for (const row of rows) {
    const endpoint = row.create(parts)
    router.register(row.path, [row.method], async (context: AgentContext) => {
      if (row.caller !== 'page' && row.caller !== 'server') context.state.signInUrl = `${config.agent.path}/login`
      const request = await admit(context, row)
      context.state.reachedEndpoint = true
      writeAnswer(context, await endpoint(request))
    })
  }

  const methodsOf = (path: string): string[] =>
    rows.filter((row) => path === `${config.agent.path}${row.path}`).map(({ method }) => method)
  return createApp({ ...parts, methodsOf }, router)
}

/** The middleware from the outside in. */
function createApp(parts: EndpointParts & Pick<AnswerParts, 'methodsOf'>, router: Router<RequestState>): Agent {
  const { methodsOf, observe, writer } = parts
  const app = new Koa<RequestState>()
  app.silent = true
  app.on('error', (error: Error) => observe.emit('internal.failed', { where: 'agent.edge', error_name: error.name }))
  app.use(createAnswering({ ...parts, clearSession: (present) => writer.clearSession(present) }))
  app.use(createHeadReading(parts))
  app.use(router.routes())
  app.use((context: AgentContext) => {
    const methods = methodsOf(context.path)
    if (methods.length === 0) throw new TokenHandlerError('route_not_found')
    context.set('allow', methods.join(', '))
    throw new TokenHandlerError('method_not_allowed')
  })
  return { handle: app.callback() }
}

function createEndpointParts(agentParts: AgentParts): EndpointParts {
  const { config, keys, authorizationServer, store, clock, observe, random = systemRandomBytes } = agentParts
  const catalogue = createCatalogue(config)
  const binding = {
    clientId: config.client.id,
    issuer: config.authorizationServer.issuer,
    publicOrigin: config.publicOrigin,
  }
  const successors = createSuccessorBox({ keys, binding, random })
  return {
    config,
    authorizationServer,
    store,
    clock,
    observe,
    random,
    reader: createCookieReader({ keys, catalogue, binding, clock, observe }),
    writer: createCookieWriter({ keys, catalogue, binding, settings: config, clock, random }),
    refresh: createRefresh({ config, authorizationServer, store, clock, successors }),
    csrfTokenOf: (sessionId) => (config.csrf.token === 'required' ? csrfToken(keys.current(), sessionId) : undefined),
    pseudonyms: ({ subject, sessionId }) => ({
      subject: pseudonym(keys.current(), 'subject', subject),
      session: pseudonym(keys.current(), 'session', sessionId),
    }),
  }
}

/** Bodies are read as text and parsed by us, once and strictly: no arrays, no nested names, no uploads. */
function textReader({ agent }: Pick<Config, 'agent'>): (context: AgentContext) => Promise<string> {
  const read = koaBody({
    multipart: false,
    urlencoded: false,
    json: false,
    text: true,
    textTypes: [form, json],
    textLimit: agent.maxBodyBytes,
    onError: (error) => {
      throw unreadableBody(error)
    },
  })
  return async (context) => {
    await read(context, () => Promise.resolve())
    const text: unknown = context.request.body
    return typeof text === 'string' ? text : ''
  }
}

/** By class of failure, not by text; whatever is not about size is a body that broke off. */
function unreadableBody(error: Error): TokenHandlerError {
  const status = 'status' in error ? error.status : undefined
  return new TokenHandlerError(status === 413 ? 'payload_too_large' : 'invalid_request', { cause: error })
}
