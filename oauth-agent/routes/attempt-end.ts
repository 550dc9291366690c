import type { LoginContent, SessionFacts } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { AgentRequest, EndpointParts } from './endpoint.ts'
import { type Arrived, presentSubjects } from '../flows/code-exchange.ts'
import { endReplaced, keepPredecessor } from '../flows/end-session.ts'
import type { FinishedLogin } from '../flows/finish-once.ts'
import { afterSignIn, isStepUp, loginAttemptId } from '../flows/login-attempt.ts'
import { revokeUnused } from '../flows/revocation.ts'
import { namedSession, type Session, signedInFacts } from '../flows/session-state.ts'
import { type ArrivedBy, peekState } from '../flows/signed-response.ts'

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

/** Creates the end of an attempt, which is the same for the page of a SPA and for plain navigation. */
export function createAttemptEnd(
  parts: EndpointParts,
): (request: AgentRequest, arrivedBy: ArrivedBy) => Promise<AttemptOutcome> {
  const { reader, writer, observe, config, finishOnce } = parts

  return async (request, arrivedBy) => {
    const state = peekState(request.parameters)
    const id = loginAttemptId(state)
    const attempt = reader.login(request.cookies, id, request.marks.request_id)
    if (attempt.kind === 'absent') return withoutAttempt(request, new TokenHandlerError('invalid_state'), [])
    if (attempt.kind === 'unreadable' || attempt.content.state !== state) {
      return withoutAttempt(request, new TokenHandlerError('login_restart_required'), writer.clearLogin(id))
    }
    try {
      const arrived: Arrived = {
        parameters: request.parameters,
        arrivedBy,
        signedIn: signedInFacts(request.session),
      }
      const finished = await finishOnce(attempt.content, arrived)
      const own = [...sessionCookies(request, attempt.content, arrived, finished), ...writer.clearLogin(id)]
      const others = otherAttempts(request, attempt.content, finished.cookies.access, own)
      await endOther(request, attempt.content, finished.cookies.access)
      return succeeded(request, attempt.content, finished, [...own, ...others])
    } catch (error) {
      return failed(request, asTokenHandlerError(error), id, attempt.content)
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
      const { subject, accessToken } = cookies.access
      const tokens = { accessToken, refreshToken: cookies.refresh?.refreshToken }
      if (!joined) revokeUnused(parts, tokens, { subject, present: presentSubjects(parts, attempt, arrived) })
      throw error
    }
  }

  /** They may end by a navigation from another site, with which the browser sends their cookies, but not the session's. */
  function otherAttempts(
    { cookies }: AgentRequest,
    { state }: LoginContent,
    begun: SessionFacts,
    beside: readonly string[],
  ): readonly string[] {
    const change = (other: LoginContent) => (other.state === state ? undefined : afterSignIn(other, begun, config))
    return writer.changeLogins(cookies, change, beside)
  }

  async function endOther(
    { session, marks }: AgentRequest,
    { replaces, stepUpOf }: LoginContent,
    begun: SessionFacts,
  ): Promise<void> {
    // Also one that has reached its limit: a step-up of it may be under way.
    const present = namedSession(session)?.facts ?? replaces
    if (present === undefined || present.subject === begun.subject) {
      const before = present ?? stepUpOf
      // A response that comes again finds the session that it began.
      if (before !== undefined && before.sessionId !== begun.sessionId) await keepPredecessor(parts, begun, before)
      return
    }
    await endReplaced(parts, present)
    const who = { ...marks, ...parts.pseudonyms(present) }
    observe.emit('session.ended', { ...who, cause: 'replaced' })
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
