import type { IncomingMessage, ServerResponse } from 'node:http'
import Router from '@koa/router'
import Koa from 'koa'
import { koaBody } from 'koa-body'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import { createCatalogue } from '../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../shared/cookies/header.ts'
import { createCookieReader } from '../shared/cookies/open.ts'
import { createSuccessorBox } from '../shared/cookies/successor.ts'
import { createCookieWriter } from '../shared/cookies/write.ts'
import { csrfToken, isCsrfToken } from '../shared/crypto/csrf-token.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { pseudonym } from '../shared/crypto/pseudonym.ts'
import { type RandomBytes, systemRandomBytes } from '../shared/crypto/random.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import { clientAddress, createAddressMatcher } from '../shared/http/client-address.ts'
import { checkGuard } from '../shared/http/guard.ts'
import { createRateLimiter } from '../shared/http/rate-limit.ts'
import type { RequestHead } from '../shared/http/request-gate.ts'
import { requestIdOf } from '../shared/http/request-id.ts'
import type { AuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import type { Store } from '../shared/store/store.ts'
import { type AgentContext, createAnswering, createHeadReading, type RequestState, writeAnswer } from './answer.ts'
import { form, json, parseBodyKind, parseParameters } from './body.ts'
import type { AgentRequest, Endpoint, EndpointParts } from './routes/endpoint.ts'
import { createRefresh } from './flows/refresh.ts'
import { judgeSession, type SessionState } from './flows/session-state.ts'
import { createLoginEnd } from './routes/login-end.ts'
import { createLoginStart } from './routes/login-start.ts'
import { createLogout } from './routes/logout.ts'
import { createRefreshEndpoint } from './routes/refresh.ts'
import { createSession } from './routes/session.ts'
import { createUserinfo } from './routes/userinfo.ts'

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

export interface Agent {
  /** Answers one request; never rejects. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
}

/** One row of the endpoint table. */
interface Row {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly limit: keyof Config['agent']['rateLimits']
  /** Demands the session's CSRF token where the setting says so; only signing out of nothing needs none. */
  readonly csrf: boolean
  readonly create: (parts: EndpointParts) => Endpoint
}

const endpoints: readonly Row[] = [
  { method: 'POST', path: '/login/start', limit: 'login', csrf: true, create: createLoginStart },
  { method: 'POST', path: '/login/end', limit: 'login', csrf: false, create: createLoginEnd },
  { method: 'GET', path: '/session', limit: 'session', csrf: false, create: createSession },
  { method: 'GET', path: '/userinfo', limit: 'session', csrf: false, create: createUserinfo },
  { method: 'POST', path: '/refresh', limit: 'refresh', csrf: true, create: createRefreshEndpoint },
  { method: 'POST', path: '/logout', limit: 'session', csrf: true, create: createLogout },
]

/** Creates the OAuth agent: the endpoints that sign users in and out, the only writer of cookies. */
export function createAgent(agentParts: AgentParts): Agent {
  const { config, keys, authorizationServer, store, clock, observe, random = systemRandomBytes } = agentParts
  const catalogue = createCatalogue(config)
  const binding = {
    clientId: config.client.id,
    issuer: config.authorizationServer.issuer,
    publicOrigin: config.publicOrigin,
  }
  const reader = createCookieReader({ keys, catalogue, binding, clock, observe })
  const writer = createCookieWriter({ keys, catalogue, binding, settings: config, clock, random })
  const successors = createSuccessorBox({ keys, binding, random })
  const parts: EndpointParts = {
    config,
    authorizationServer,
    store,
    clock,
    observe,
    random,
    reader,
    writer,
    refresh: createRefresh({ config, authorizationServer, store, clock, successors }),
    csrfTokenOf: (sessionId) => (config.csrf.token === 'required' ? csrfToken(keys.current(), sessionId) : undefined),
    pseudonyms: ({ subject, sessionId }) => ({
      subject: pseudonym(keys.current(), 'subject', subject),
      session: pseudonym(keys.current(), 'session', sessionId),
    }),
  }
  const { login, refresh, session: reading } = config.agent.rateLimits
  const limiters = {
    login: createRateLimiter({ name: 'login', limit: login, store, clock }),
    refresh: createRateLimiter({ name: 'refresh', limit: refresh, store, clock }),
    session: createRateLimiter({ name: 'session', limit: reading, store, clock }),
  }
  const isTrustedHop = createAddressMatcher(config.operations.trustedProxies)
  const readText = koaBody({
    multipart: false,
    urlencoded: false,
    json: false,
    text: true,
    textTypes: [form, json],
    textLimit: config.agent.maxBodyBytes,
    onError: (error) => {
      throw unreadableBody(error)
    },
  })

  /** Everything between the request's head and its endpoint, in order. */
  async function open(context: AgentContext, row: Row): Promise<AgentRequest> {
    const head = headOf(context)
    const requestId = requestIdOf(context.req)
    checkGuard({ method: head.method, fields: head.fields }, config)
    const cookies = parseCookieHeader(head.fields['cookie'], catalogue)
    context.state.cookies = cookies
    const read = {
      access: reader.access(cookies, requestId),
      refresh: reader.refresh(cookies, requestId),
      identity: reader.identity(cookies, requestId),
    }
    const session = judgeSession(read, { store, clock })
    const peer = clientAddress(context.req.socket.remoteAddress, head.fields['x-forwarded-for'], isTrustedHop)
    await limiters[row.limit].consume(whoIsLimited(row, session, peer))
    if (row.csrf && session.kind === 'open') checkCsrf(session.session.facts.sessionId, head.fields['x-csrf-token'])
    return { requestId, cookies, session, parameters: await readParameters(context) }
  }

  function checkCsrf(sessionId: string, presented: string | undefined): void {
    if (config.csrf.token === 'required' && !isCsrfToken(keys.current(), sessionId, presented)) {
      throw new TokenHandlerError('csrf_token_invalid')
    }
  }

  async function readParameters(context: AgentContext): Promise<AgentRequest['parameters']> {
    const head = headOf(context)
    const kind = head.method === 'POST' ? parseBodyKind(head) : 'none'
    if (kind === 'none') return new Map()
    if (head.expectsContinue) context.res.writeContinue()
    await readText(context, () => Promise.resolve())
    const text: unknown = context.request.body
    return parseParameters(kind, typeof text === 'string' ? text : '')
  }

  const router = new Router<RequestState>({ prefix: config.agent.path, sensitive: true, strict: true })
  for (const row of endpoints) {
    const endpoint = row.create(parts)
    router.register(row.path, [row.method], async (context: AgentContext) => {
      writeAnswer(context, await endpoint(await open(context, row)))
    })
  }

  const methodsOf = (path: string): string[] =>
    endpoints.filter((row) => path === `${config.agent.path}${row.path}`).map(({ method }) => method)
  const app = new Koa<RequestState>()
  app.silent = true
  app.on('error', (error: Error) => observe.emit('internal.failed', { where: 'agent.edge', error_name: error.name }))
  app.use(
    createAnswering({ config, clock, observe, methodsOf, clearSession: (present) => writer.clearSession(present) }),
  )
  app.use(createHeadReading({ config, methodsOf }))
  app.use(router.routes())
  app.use((context: AgentContext) => {
    const methods = methodsOf(context.path)
    if (methods.length === 0) throw new TokenHandlerError('route_not_found')
    context.set('allow', methods.join(', '))
    throw new TokenHandlerError('method_not_allowed')
  })
  return { handle: app.callback() }
}

function headOf(context: AgentContext): RequestHead {
  if (context.state.head === undefined) throw new Error('the head was not read')
  return context.state.head
}

/** By class of failure, not by text; whatever is not about size is a body that broke off. */
function unreadableBody(error: Error): TokenHandlerError {
  const status = 'status' in error ? error.status : undefined
  return new TokenHandlerError(status === 413 ? 'payload_too_large' : 'invalid_request', { cause: error })
}

function whoIsLimited(row: Row, session: SessionState, address: string): string {
  return row.limit !== 'login' && session.kind === 'open' ? session.session.facts.sessionId : address
}
