import type { LoginContent, ReplacedSession, SessionFacts } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentRequest, EndpointParts, RequestMarks } from './endpoint.ts'
import type { Arrived } from '../flows/code-exchange.ts'
import type { FinishedLogin } from '../flows/finish-once.ts'
import { afterSignIn, isStepUp, loginAttemptId } from '../flows/login-attempt.ts'
import { endReplaced, endWithPredecessors, keepPredecessors } from '../flows/replaced-session.ts'
import { revokeUnused } from '../flows/revocation.ts'
import { namedSession, type Session, signedInFacts } from '../flows/session-state.ts'
import { type ArrivedBy, peekState } from '../flows/signed-response.ts'
import { checkSessionStays, presentSubjects } from '../flows/staying-session.ts'

/** How an attempt to sign in came to its end; `cookies` are Set-Cookie values. */
export type AttemptOutcome =
  | {
      readonly kind: 'signed in'
      readonly session: Session
      /** The page where the sign-in ends; absent for a response that came again. */
      readonly returnTo?: string
      readonly cookies: readonly string[]
    }
  | {
      readonly kind: 'failed'
      readonly error: TokenHandlerError
      readonly returnTo?: string | undefined
      readonly cookies: readonly string[]
    }

/** The session of which a step-up is under way. */
type SteppedUp = NonNullable<LoginContent['stepUpOf']>

/** Creates the end of an attempt, which is the same for the page of a SPA and for plain navigation. */
export function createAttemptEnd(
  parts: EndpointParts,
): (request: AgentRequest, arrivedBy: ArrivedBy) => Promise<AttemptOutcome> {
  const { reader, writer, observe, config, store, finishOnce } = parts

  return async (request, arrivedBy) => {
    const state = peekState(request.parameters)
    const id = loginAttemptId(state)
    const read = reader.login(request.cookies, id, request.marks.request_id)
    if (read.kind === 'absent') return withoutAttempt(request, new TokenHandlerError('invalid_state'), [])
    if (read.kind === 'unreadable' || read.content.state !== state) {
      return withoutAttempt(request, new TokenHandlerError('login_restart_required'), writer.clearLogin(id))
    }
    const attempt = read.content
    try {
      const { parameters, session } = request
      const arrived: Arrived = { parameters, arrivedBy, signedIn: signedInFacts(session) }
      const finished = await finishOnce(attempt, arrived)
      const begun = finished.cookies.access
      const own = [...sessionCookies(request, attempt, arrived, finished), ...writer.clearLogin(id)]
      const others = otherAttempts(request, attempt, begun, own)
      await settleSessionsBefore(request, attempt, begun, others.stepUpsOf)
      await checkStillThere(attempt, arrived, finished)
      return succeeded(request, attempt, finished, [...own, ...others.setCookies])
    } catch (error) {
      return failed(request, asTokenHandlerError(error), id, attempt)
    }
  }

  /** Throws `token_too_large`; the tokens are then of no use to anybody. */
  function sessionCookies(
    request: AgentRequest,
    attempt: LoginContent,
    arrived: Arrived,
    { cookies, joined }: FinishedLogin,
  ): readonly string[] {
    try {
      return writer.setSession(cookies, arrived.arrivedBy === 'page' ? request.cookies : 'unseen')
    } catch (error) {
      revokeRefused(attempt, arrived, { cookies, joined })
      throw error
    }
  }

  /**
   * A sign-out since the code was exchanged may have come before the new session was linked to the old one, and holds for
   * both. Throws as `checkSessionStays` does.
   */
  async function checkStillThere(attempt: LoginContent, arrived: Arrived, finished: FinishedLogin): Promise<void> {
    try {
      checkSessionStays(parts, attempt, arrived.signedIn)
    } catch (error) {
      await endWithPredecessors(parts, finished.cookies.access)
      revokeRefused(attempt, arrived, finished)
      throw error
    }
  }

  function revokeRefused(attempt: LoginContent, { signedIn }: Arrived, { cookies, joined }: FinishedLogin): void {
    const { subject, accessToken } = cookies.access
    const tokens = { accessToken, refreshToken: cookies.refresh?.refreshToken }
    if (!joined) revokeUnused(parts, tokens, { subject, present: presentSubjects(parts, attempt, signedIn) })
  }

  /**
   * They may end by a navigation from another site, with which the browser sends their cookies, but not the session's; and
   * the session of a step-up may have left the browser at its limit, with no other trace than this.
   */
  function otherAttempts(
    { cookies }: AgentRequest,
    { state }: LoginContent,
    begun: SessionFacts,
    beside: readonly string[],
  ): { readonly setCookies: readonly string[]; readonly stepUpsOf: readonly SteppedUp[] } {
    const stepUpsOf = new Map<string, SteppedUp>()
    const change = (other: LoginContent): LoginContent | undefined => {
      if (other.state === state) return undefined
      if (other.stepUpOf !== undefined) stepUpsOf.set(other.stepUpOf.sessionId, other.stepUpOf)
      return afterSignIn(other, begun, config)
    }
    const setCookies = writer.changeLogins(cookies, change, beside)
    return { setCookies, stepUpsOf: [...stepUpsOf.values()] }
  }

  /** What another user had in this browser ends; what the same user had goes on, until the new session ends. */
  async function settleSessionsBefore(
    { session, marks }: AgentRequest,
    { replaces, stepUpOf }: LoginContent,
    begun: SessionFacts,
    stepUpsOf: readonly SteppedUp[],
  ): Promise<void> {
    // Also one that has reached its limit: a step-up of it may be under way.
    const present = namedSession(session)?.facts ?? replaces
    const before = present ?? stepUpOf
    // A response that comes again finds the session that it began.
    const own = [...(before === undefined ? [] : [before]), ...stepUpsOf].filter(
      ({ subject, sessionId }) => subject === begun.subject && sessionId !== begun.sessionId,
    )
    if (own.length > 0) await keepPredecessors(parts, begun, own)
    for (const each of stepUpsOf) {
      if (each.subject === begun.subject) continue
      // Its time ends no later than that of a session that begins now.
      await replace(marks, { ...each, absoluteExpiresAt: begun.absoluteExpiresAt }, begun)
    }
    if (present !== undefined && present.subject !== begun.subject) await replace(marks, present, begun)
  }

  async function replace(
    marks: RequestMarks,
    session: ReplacedSession,
    { createdAt }: Pick<SessionFacts, 'createdAt'>,
  ): Promise<void> {
    // A sign-out has told of its end; a step-up of it may have stayed behind.
    const wasTold = store.hasEnded({ ...session, createdAt, providerSessionId: '' })
    await endReplaced(parts, session)
    if (wasTold) return
    observe.emit('session.ended', { ...marks, ...parts.pseudonyms(session), cause: 'replaced' })
  }

  function succeeded(
    { marks }: AgentRequest,
    attempt: LoginContent,
    { cookies, joined }: FinishedLogin,
    setCookies: readonly string[],
  ): AttemptOutcome {
    const { acr } = cookies.access
    const who = { ...marks, ...parts.pseudonyms(cookies.access) }
    if (!joined) observe.emit('login.completed', { ...who, step_up: isStepUp(attempt), acr })
    return {
      kind: 'signed in',
      session: { facts: cookies.access, ...cookies },
      returnTo: attempt.returnTo ?? config.login.defaultReturnTo,
      cookies: setCookies,
    }
  }

  /** A response that came twice, late or after the back button: the user stays signed in, without another exchange (C22). */
  function withoutAttempt(request: AgentRequest, error: TokenHandlerError, cookies: readonly string[]): AttemptOutcome {
    if (request.session.kind === 'open') return { kind: 'signed in', session: request.session.session, cookies }
    reportFailure(request, error)
    return { kind: 'failed', error, cookies }
  }

  function failed(
    request: AgentRequest,
    error: TokenHandlerError,
    id: string,
    { returnTo }: LoginContent,
  ): AttemptOutcome {
    reportFailure(request, error)
    // State and verifier are used once; only where the code was not seen may the same response be sent again.
    const mayRepeat = error.code === 'authorization_server_unavailable' || error.code === 'overloaded'
    return { kind: 'failed', error, returnTo, cookies: mayRepeat ? [] : writer.clearLogin(id) }
  }

  function reportFailure({ marks }: AgentRequest, { code, detail }: TokenHandlerError): void {
    observe.emit('login.failed', { ...marks, error_code: code, ...detail })
  }
}
