import type { Channel } from './browser.ts'
import type { Emitter, SignedOutCause } from './events.ts'
import { isNewer, isOlder, isSameLogin, type Session, signedOut } from './session.ts'

type Told =
  | { readonly session: Session; readonly cause: SignedOutCause }
  | { readonly popup: string; readonly isLoggedIn: boolean }

type EndPopup = (popup: string, isLoggedIn: boolean) => void

/** The session as all tabs see it. */
export interface SharedSession {
  /** The session as last heard of, by whichever tab. */
  readonly present: () => Session
  /** How often somebody signed in or out, or may have: what the agent said before tells nothing any more. */
  readonly turns: () => number
  /** Subject of who is signed in, or was until the session came to its end without a sign-out. */
  readonly user: () => unknown
  /** True once somebody else than `user` is signed in. */
  readonly isReplaced: (user: unknown) => boolean
  /** Takes over what this tab learned, and tells the other tabs. */
  readonly adopt: (session: Session, cause?: SignedOutCause) => void
  /** Tells the page that opened the window `popup` how the sign-in in it ended. */
  readonly tellOpener: (popup: string, isLoggedIn: boolean) => void
  /** Calls `run`, and none given before, when the sign-in in a window ended. */
  readonly onPopupEnd: (run: EndPopup) => void
  /** Lets go of the other tabs and of the session; nothing is learned any more. */
  readonly close: () => void
}

/**
 * One picture of the session in all tabs that share `channel`, and an event for every change of it; `onLearned` is called
 * whenever something was learned, new or not.
 */
export function createSharedSession(
  channel: Channel | undefined,
  emitter: Emitter,
  onLearned: () => void,
): SharedSession {
  let endPopup: EndPopup | undefined
  let closed = false
  // A closed channel throws.
  const tell = (message: Told) => closed || channel?.postMessage(message)

  let present = signedOut
  let turns = 0
  /** The sign-in that ended last, and why as far as is known. */
  let ended = signedOut
  let endedBy: SignedOutCause = 'signOut'

  const isEnded = (session: Session) => session.isLoggedIn && isSameLogin(session, ended)

  /** Takes over a newer picture; true if it was one. */
  const take = (next: Session, cause: SignedOutCause): boolean => {
    if (closed || isOlder(next, present)) return false
    // Asked for before the sign-out, here or in another tab, and told of after it.
    if (endedBy === 'signOut' && isEnded(next)) return false
    const before = present
    present = next
    onLearned()
    const isSame = isSameLogin(before, next)
    // Also where this tab does not know yet whose session ends.
    if (!isSame || cause === 'signOut') turns++
    if (next.isLoggedIn) {
      if (isSame && !isNewer(next, before)) return false
      emitter.emit(isSame ? 'refreshed' : 'signedIn', next)
    } else {
      // A tab whose call was refused before it was told why hears the reason, too.
      if (!before.isLoggedIn && (cause === 'end' || endedBy === 'signOut')) return cause === 'signOut'
      if (before.isLoggedIn) ended = before
      endedBy = cause
      emitter.emit('signedOut', { cause })
    }
    return true
  }

  const hear = (told: Told) => {
    if ('popup' in told) return endPopup?.(told.popup, told.isLoggedIn)
    const { session, cause } = told
    // A refresh in another tab may be told of after the sign-out that overtook it.
    if (isEnded(session)) return
    take(session, cause)
  }
  if (channel) channel.onmessage = ({ data }) => hear(data as Told)

  return {
    present: () => present,
    turns: () => turns,
    user: () => (present.isLoggedIn || endedBy === 'signOut' ? present : ended).claims['sub'],
    isReplaced: (user) => present.isLoggedIn && user !== undefined && user !== present.claims['sub'],
    adopt(session, cause = 'end') {
      if (take(session, cause)) tell({ session: present, cause })
    },
    tellOpener: (popup, isLoggedIn) => tell({ popup, isLoggedIn }),
    onPopupEnd(run) {
      endPopup = run
    },
    close() {
      closed = true
      channel?.close()
      present = signedOut
      // Nobody's session has nothing to plan for.
      onLearned()
    },
  }
}
