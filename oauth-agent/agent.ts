import type { IncomingMessage, ServerResponse } from 'node:http'
import Router from '@koa/router'
import Koa, { type Context } from 'koa'
import { koaBody } from 'koa-body'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import { type Catalogue, createCatalogue } from '../shared/cookies/catalogue.ts'
import type { RequestCookies } from '../shared/cookies/header.ts'
import { createCookieReader } from '../shared/cookies/open.ts'
import { createSuccessorBox } from '../shared/cookies/successor.ts'
import { createCookieWriter } from '../shared/cookies/write.ts'
import { csrfToken } from '../shared/crypto/csrf-token.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { pseudonym } from '../shared/crypto/pseudonym.ts'
import { type RandomBytes, systemRandomBytes } from '../shared/crypto/random.ts'
import { bindingOf } from '../shared/crypto/seal.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import type { AuthorizationServer } from '../shared/oauth/authorization-server.ts'
import type { Observe } from '../shared/observe/events.ts'
import { withOwnCopy } from '../shared/store/own-copy.ts'
import type { Store } from '../shared/store/store.ts'
import { type Admit, createAdmission, type ReadText } from './admission.ts'
import {
  type AgentContext,
  type AgentMiddleware,
  type AnswerParts,
  createAnswering,
  createHeadReading,
  type RequestState,
  writeAnswer,
} from './answer.ts'
import { form, json } from './body.ts'
import { DirectContext } from './direct.ts'
import { type Row, endpoints } from './endpoints.ts'
import { createFinishOnce } from './flows/finish-once.ts'
import { createRefresh } from './flows/refresh.ts'
import type { EndpointParts } from './routes/endpoint.ts'

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

/** Creates the OAuth agent: the endpoints that sign users in and out, the only writer of cookies. */
export function createAgent(agentParts: AgentParts): Agent {
  const { config } = agentParts
  const catalogue = createCatalogue(config)
  const parts = createEndpointParts(agentParts, catalogue)
  const admit = createAdmission({ ...parts, keys: agentParts.keys, catalogue })
  const routes = endpoints.filter(({ isOn }) => isOn(config)).map((row) => createRoute(row, parts, admit))
  const methodsOf = (path: string): string[] =>
    routes.filter((route) => route.path === path).map(({ method }) => method)
  const clearSession = (present: RequestCookies) => parts.writer.clearSession(present)
  const steps: Steps = {
    answering: createAnswering({ ...parts, methodsOf, clearSession }),
    headReading: createHeadReading({ config, methodsOf }),
    methodsOf,
  }
  const behindKoa = createApp(routes, steps, parts)
  const direct = createDirect(routes, steps)
  return {
    handle: (request, response) => (direct.get(`${request.method} ${request.url}`) ?? behindKoa)(request, response),
  }
}

/** An endpoint at its place; `serve` is everything from the guard to the answer. */
interface Route extends Pick<Row, 'method' | 'path' | 'isHot'> {
  readonly serve: (context: AgentContext, readText: ReadText) => Promise<void>
}

/** What happens around every route, from the outside in. */
interface Steps extends Pick<AnswerParts, 'methodsOf'> {
  readonly answering: AgentMiddleware
  readonly headReading: AgentMiddleware
}

function createRoute(row: Row, parts: EndpointParts, admit: Admit): Route {
  const { path } = parts.config.agent
  const endpoint = row.create(parts)
  return {
    ...row,
    path: `${path}${row.path}`,
    async serve(context, readText) {
      if (row.again !== undefined) context.state.againUrl = `${path}${row.again}`
      writeAnswer(context, await endpoint(await admit(context, row, readText)))
    },
  }
}

function createApp(routes: readonly Route[], steps: Steps, { config, observe }: EndpointParts): Agent['handle'] {
  const readText = textReader(config)
  const router = new Router<RequestState>({ sensitive: true, strict: true })
  for (const { path, method, serve } of routes) {
    router.register(path, [method], (context) => serve(context, () => readText(context)))
  }
  const app = new Koa<RequestState>()
  app.silent = true
  app.on('error', (error: Error, context: { req: IncomingMessage }) => {
    // A client that resets its connection is no failure of ours.
    if (context.req.socket.errored === error) return
    observe.emit('internal.failed', { where: 'agent.edge', error_name: error.name })
  })
  app.use(steps.answering)
  app.use(steps.headReading)
  app.use(router.routes())
  app.use((context) => {
    const methods = steps.methodsOf(context.path)
    if (methods.length === 0) throw new TokenHandlerError('route_not_found')
    // The router answers HEAD wherever it answers GET.
    context.set('allow', methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', '))
    throw new TokenHandlerError('method_not_allowed')
  })
  return app.callback()
}

/** The hot routes by method and exact target: the same steps on a context that costs less. */
function createDirect(
  routes: readonly Route[],
  { answering, headReading }: Steps,
): ReadonlyMap<string, Agent['handle']> {
  return new Map(
    routes
      .filter(({ isHot }) => isHot)
      .map(({ method, path, serve }) => [
        `${method} ${path}`,
        async (request, response) => {
          const context = new DirectContext(request, response, path)
          await answering(context, () => headReading(context, () => serve(context, noText)))
          context.send()
        },
      ]),
  )
}

/** What is hot has no body that means anything. */
const noText: ReadText = () => Promise.resolve('')

function createEndpointParts(agentParts: AgentParts, catalogue: Catalogue): EndpointParts {
  const { config, keys, authorizationServer, clock, observe, random = systemRandomBytes } = agentParts
  // What becomes of the shared store must not make one process forget what it did a moment ago.
  const store = withOwnCopy(agentParts)
  const binding = bindingOf(config)
  const successorBox = createSuccessorBox({ keys, binding, random })
  return {
    config,
    authorizationServer,
    store,
    sharedStore: agentParts.store,
    clock,
    observe,
    reader: createCookieReader({ keys, catalogue, binding, clock, observe }),
    writer: createCookieWriter({ keys, catalogue, binding, settings: config, clock, random }),
    finishOnce: createFinishOnce({ config, authorizationServer, store, clock, random, successorBox }),
    refresh: createRefresh({ config, authorizationServer, store, clock, successorBox }),
    csrfTokenOf: (sessionId) => (config.csrf.token === 'required' ? csrfToken(keys.current(), sessionId) : undefined),
    pseudonyms: ({ subject, sessionId }) => ({
      subject: subject && pseudonym(keys.current(), 'subject', subject),
      session: sessionId && pseudonym(keys.current(), 'session', sessionId),
    }),
  }
}

/** Bodies are read as text and parsed by us, once and strictly: no arrays, no nested names, no uploads. */
function textReader({ agent }: Pick<Config, 'agent'>): (context: Context) => Promise<string> {
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

/** By class of failure, not by text; anything but size means that the body broke off. */
function unreadableBody(error: Error): TokenHandlerError {
  const status = 'status' in error ? error.status : undefined
  return new TokenHandlerError(status === 413 ? 'payload_too_large' : 'invalid_request', { cause: error })
}
