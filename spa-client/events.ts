import { listen } from './listen.ts'
import type { ErrorCode, SignInParameters } from './known-words.ts'
import type { Session } from './session.ts'

/** Why a session is over: somebody signed out, or it came to its end. */
export type SignedOutCause = 'signOut' | 'end'

/** A call that was refused until the user authenticates again; the app answers by calling one of the functions. */
export interface StepUp {
  /**
   * Why: `insufficient_user_authentication`, `insufficient_scope`, a code that says that the session ended, or one such as
   * `interaction_required`, which says that it gets no more tokens without the user.
   */
  readonly code: ErrorCode | (string & {})
  /** The parameters that a new sign-in needs, such as `acr_values` and `max_age`. */
  readonly parameters: SignInParameters
  /**
   * Signs in again in a small window; the call is repeated when that succeeded. Call it from a click, or browsers
   * block the window. False when it was blocked or closed: the call still waits, for another try or for `decline`. Throws
   * as `signIn` does where the agent starts no sign-in; the call waits then, too.
   */
  readonly inPopup: () => Promise<boolean>
  /**
   * Leaves the page for the sign-in, and the call with it. If the back button brings both back, the call still waits.
   * Throws as `inPopup` does.
   */
  readonly inPage: () => Promise<boolean>
  /** Gives the call up: its answer is the refusal. */
  readonly decline: () => void
  /**
   * When it is decided, here or elsewhere: a sign-in in another tab settles it, too, and so it does when every call that
   * waits is aborted. True if the call is repeated.
   */
  readonly settled: Promise<boolean>
}

/** What the app can listen to, and what each listener is given. */
export interface Events {
  /** Somebody signed in, in this tab or another, or was signed in when the page was loaded. */
  signedIn: Session
  /** The session ended: somebody signed out, here or in another tab, or it came to its `end` by a limit or from outside. */
  signedOut: { readonly cause: SignedOutCause }
  /** The tokens were refreshed, by this tab or another. */
  refreshed: Session
  /** A call was refused until the user authenticates again. */
  stepUpNeeded: StepUp
  /** The session is about to end; activity of the user prolongs it only if `prolongable`. */
  expiring: { readonly endsAt: number; readonly prolongable: boolean }
}

/** Tells listeners of events. */
export interface Emitter {
  /** Calls `listener` at every such event; returns what stops it. */
  readonly on: <N extends keyof Events>(name: N, listener: (event: Events[N]) => void) => () => void
  /** True if anybody listened. */
  readonly emit: <N extends keyof Events>(name: N, event: Events[N]) => boolean
}

/** The listeners of one client; one that throws does not keep the others from being told. */
export function createEmitter(): Emitter {
  const target = new EventTarget()
  return {
    on: (name, listener) =>
      listen(target, name, (event) => {
        event.preventDefault()
        listener((event as CustomEvent<never>).detail)
      }),
    // Whoever hears an event cancels it, which is how `dispatchEvent` tells that somebody did.
    emit: (name, detail) => !target.dispatchEvent(new CustomEvent(name, { cancelable: true, detail })),
  }
}
