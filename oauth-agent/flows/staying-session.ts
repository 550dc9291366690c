import type { LoginContent, SessionFacts } from '../../shared/cookies/session.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import type { Store } from '../../shared/store/store.ts'
import type { IdTokenClaims } from './id-token.ts'

/** What the rules about the session that was there before a sign-in need. */
export interface StayingSessionParts {
  readonly store: Pick<Store, 'hasEnded'>
}

/**
 * A step-up that began in one session does not bring back a user who has signed out since, and does not replace another
 * who has signed in. Another session of the same user is what another tab made of its own step-up.
 *
 * `signedIn` is the session that came with the response. Throws `login_restart_required`, or `login_required` for a silent
 * sign-in.
 */
export function checkSessionStays(
  { store }: StayingSessionParts,
  attempt: LoginContent,
  signedIn: SessionFacts | undefined,
): void {
  const before = remembered(attempt, attempt.stepUpOf)
  if (before === undefined) return
  if (store.hasEnded(before)) throw sessionGone(attempt, 'ended')
  // After a navigation from another site, the attempt alone tells of who has signed in.
  const present = signedIn ?? remembered(attempt, attempt.replaces)
  if (present === undefined || present.subject === before.subject || store.hasEnded(present)) return
  throw sessionGone(attempt, 'session')
}

/**
 * Another user at the authorization server is no step-up of this one, and no silent renewal either.
 *
 * Throws `step_up_not_reached`, or `login_required` for a silent sign-in.
 */
export function checkSameUser({ stepUpOf, prompt }: LoginContent, { sub }: IdTokenClaims): void {
  if (stepUpOf === undefined || stepUpOf.subject === sub) return
  throw new TokenHandlerError(prompt === 'none' ? 'login_required' : 'step_up_not_reached', {
    detail: { check: 'sub' },
  })
}

/** The error of a sign-in whose session, or the one that it was to renew, is not there any more. */
export function sessionGone({ prompt }: LoginContent, check: 'ended' | 'session'): TokenHandlerError {
  return new TokenHandlerError(prompt === 'none' ? 'login_required' : 'login_restart_required', { detail: { check } })
}

/** Whose session may stay when this attempt fails; `signedIn` is the session that came with the response. */
export function presentSubjects(
  { store }: StayingSessionParts,
  attempt: LoginContent,
  signedIn: SessionFacts | undefined,
): string[] {
  const { stepUpOf, replaces } = attempt
  return [remembered(attempt, stepUpOf), remembered(attempt, replaces), signedIn].flatMap((present) =>
    present === undefined || store.hasEnded(present) ? [] : [present.subject],
  )
}

/**
 * A session of which only the login cookie tells, in the form in which the store is asked whether it has ended.
 *
 * It was alive when the attempt began, so that moment stands for its creation. Its `sid` is not known; an empty one keeps it
 * apart from the sessions of this user that have none, which can be ended without it.
 */
function remembered({ startedAt }: LoginContent, session: LoginContent['stepUpOf']) {
  return session && { ...session, createdAt: startedAt, providerSessionId: '' }
}
