import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config/schema.ts'
import type { Catalogue } from '../shared/cookies/catalogue.ts'
import { parseCookieHeader, type RequestCookies } from '../shared/cookies/header.ts'
import type { CookieReader } from '../shared/cookies/open.ts'
import { isCsrfToken } from '../shared/crypto/csrf-token.ts'
import type { KeySource } from '../shared/crypto/key-ring.ts'
import { TokenHandlerError } from '../shared/errors.ts'
import { checkGuard } from '../shared/http/guard.ts'
import { checkNavigation, checkOwnForm, isOwnNavigation } from '../shared/http/navigation.ts'
import { createRateLimiter } from '../shared/http/rate-limit.ts'
import type { RequestHead } from '../shared/http/request-gate.ts'
import { requestIdOf } from '../shared/http/request-id.ts'
import type { Store } from '../shared/store/store.ts'
import { type AgentContext, marksOf } from './answer.ts'
import { form, json, parseBodyKind, parseParameters } from './body.ts'
import type { Parameters } from './flows/parameters.ts'
import { wasReplaced } from './flows/replaced-session.ts'
import { judgeSession, type SessionState } from './flows/session-state.ts'
import type { AgentRequest } from './routes/endpoint.ts'

/**
 * Who may call an endpoint: a script of our page; the authorization server, which has no cookies of ours; or a tab that
 * opens a page of ours, comes back from the authorization server, or submits a form of ours.
 */
export type Caller = 'page' | 'server' | 'navigation' | 'return' | 'form'

/** What a row of the endpoint table demands of a request. */
export interface Demands {
  readonly caller: Caller
  /** None for what the authorization server calls: one address speaks for all users at once, and a call costs little. */
  readonly limit: keyof Config['agent']['rateLimits'] | 'none'
  /** Demands the session's CSRF token, where the setting says so and somebody is signed in. */
  readonly csrf: boolean
}

/** What admission is made of. */
export interface AdmissionParts {
  readonly config: Config
  readonly keys: KeySource
  readonly catalogue: Pick<Catalogue, 'ownPrefixes'>
  readonly reader: CookieReader
  readonly store: Store
  readonly clock: Clock
}

/** Reads the body as text; throws `payload_too_large` or `invalid_request`. */
export type ReadText = () => Promise<string>

/** Makes of a request what its endpoint gets, or throws what refuses it. */
export type Admit = (context: AgentContext, demands: Demands, readText: ReadText) => Promise<AgentRequest>

/**
 * Creates everything between a request's head and its endpoint, in this order: guard, session, limit, CSRF token, body.
 * A form carries its token in the body, so there the last two change places.
 */
export function createAdmission(parts: AdmissionParts): Admit {
  const { config, keys, catalogue, reader, store, clock } = parts
  const { login, refresh, session: reading } = config.agent.rateLimits
  const limiters = {
    login: createRateLimiter({ name: 'login', limit: login, store, clock }),
    refresh: createRateLimiter({ name: 'refresh', limit: refresh, store, clock }),
    session: createRateLimiter({ name: 'session', limit: reading, store, clock }),
  }

  return async function admit(context, demands, readText) {
    const { head, clientAddress } = context.state
    if (head === undefined || clientAddress === undefined) throw new Error('the head was not read')
    const requestId = requestIdOf(context.req)

    checkCaller(demands.caller, head)

    const cookies = parseCookieHeader(demands.caller === 'server' ? undefined : head.fields['cookie'], catalogue)
    context.state.cookies = cookies
    const session = await unlessReplaced(judgeSession(openSession(cookies, requestId), parts))
    context.state.session = session

    if (demands.limit !== 'none') await limiters[demands.limit].consume(whoIsLimited(demands, session, clientAddress))

    const isForm = demands.caller === 'form'
    if (demands.csrf && session.kind === 'open' && !isForm) checkCsrf(session, head.fields['x-csrf-token'])
    const parameters = await readParameters(context, head, demands.caller, readText)
    if (demands.csrf && session.kind === 'open' && isForm) checkCsrf(session, parameters.get('csrf_token'))
    return {
      marks: marksOf(context, config),
      cookies,
      session,
      parameters,
      fromOurPage: isFromOurPage(demands.caller, head),
    }
  }

  /** A request that set out before somebody else signed in has no session: clearing its cookies would sign them out. */
  async function unlessReplaced(state: SessionState): Promise<SessionState> {
    if (state.kind !== 'over' || state.session === undefined) return state
    return (await wasReplaced({ store }, state.session.facts)) ? { kind: 'none' } : state
  }

  function checkCaller(caller: Caller, { method, fields }: RequestHead): void {
    if (caller === 'page') checkGuard({ method, fields }, config)
    if (caller === 'navigation' || caller === 'return') checkNavigation(fields)
    if (caller === 'form') checkOwnForm(fields, config)
  }

  function openSession(cookies: RequestCookies, requestId: string) {
    return {
      access: reader.access(cookies, requestId),
      refresh: reader.refresh(cookies, requestId),
      identity: reader.identity(cookies, requestId),
    }
  }

  function checkCsrf({ session }: Extract<SessionState, { kind: 'open' }>, presented: string | undefined): void {
    const { sessionId } = session.facts
    if (config.csrf.token === 'required' && !isCsrfToken(keys.current(), sessionId, presented)) {
      throw new TokenHandlerError('csrf_token_invalid')
    }
  }

  async function readParameters(
    context: AgentContext,
    head: RequestHead,
    caller: Caller,
    readText: ReadText,
  ): Promise<Parameters> {
    // The router answers HEAD wherever it answers GET, so it has to mean the same (RFC 9110 §9.3.2).
    const isRead = head.method === 'GET' || head.method === 'HEAD'
    if (isRead) return caller === 'page' ? new Map() : parseParameters(form, queryOf(head))
    const kind = parseBodyKind(head)
    // Neither a browser's form nor the authorization server sends JSON.
    if (kind === json && caller !== 'page') throw new TokenHandlerError('unsupported_media_type')
    if (kind === 'none') return new Map()
    if (head.expectsContinue) context.res.writeContinue()
    return parseParameters(kind, await readText())
  }
}

function isFromOurPage(caller: Caller, { fields }: RequestHead): boolean {
  return caller === 'page' || caller === 'form' || (caller === 'navigation' && isOwnNavigation(fields))
}

function queryOf({ target }: RequestHead): string {
  const mark = target.indexOf('?')
  return mark === -1 ? '' : target.slice(mark + 1)
}

/** A session answers for itself wherever it comes from; signing in is limited by address, since nobody is known yet. */
function whoIsLimited({ limit }: Demands, session: SessionState, address: string): string {
  return limit !== 'login' && session.kind === 'open' ? session.session.facts.sessionId : address
}
