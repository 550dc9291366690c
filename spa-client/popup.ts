import type { CallAgent } from './agent.ts'
import type { Browser } from './browser.ts'
import type { Emitter } from './events.ts'
import type { Session } from './session.ts'
import type { SharedSession } from './shared-session.ts'

/** How the names of our windows begin. */
const prefix = 'token-handler-popup'

/** The name of this window if it was opened for a sign-in, by that name or by the page that the sign-in goes on with. */
export function popupNameOf(windowName: string, returnTo = ''): string | undefined {
  return [windowName, returnTo.slice(2)].find((name) => name.startsWith(prefix))
}

interface Parts extends Pick<SharedSession, 'present' | 'onPopupEnd'> {
  readonly browser: Browser
  readonly callAgent: CallAgent
  readonly emitter: Emitter
  /** Asks the agent how things stand. */
  readonly check: () => Promise<Session>
}

const lookEvery = 300

/**
 * Signs in within a small window while the page with its unsaved work stays; false when it was blocked or closed.
 *
 * The window opens before anything is awaited, because browsers allow it only shortly after a click. A sign-in page
 * with Cross-Origin-Opener-Policy makes its window look closed at once, so that is believed only when this page has
 * the focus again.
 */
export function createPopupSignIn({ browser, callAgent, emitter, present, check, onPopupEnd }: Parts) {
  // Each page has its own name, so that what happens in its window is told to no other.
  const name = prefix + browser.random()
  return async (parameters: Readonly<Record<string, string>>): Promise<boolean> => {
    const popup = browser.popup(name)
    if (!popup) return false
    let finish!: (signedIn: boolean) => void
    const outcome = new Promise<boolean>((resolve) => {
      finish = resolve
    })
    const giveUp = () => finish(false)
    const look = () => {
      // A sign-in of which the agent tells ends this before.
      if (popup.closed && browser.hasFocus()) check().then(giveUp, giveUp)
      else stopLooking = browser.after(lookEvery, look)
    }
    let stopLooking = browser.after(lookEvery, look)
    const stopListening = emitter.on('signedIn', () => finish(true))
    onPopupEnd((popup, isLoggedIn) => popup === name && finish(isLoggedIn))
    try {
      // A page with Cross-Origin-Opener-Policy loses the name of its window on the way; this comes back sealed in the login
      // cookie.
      const fields = { ...parameters, return_to: `/#${name}` }
      const { authorization_url: url } = await callAgent('/login/start', fields)
      popup.location.replace(String(url))
      return (await outcome) && present().isLoggedIn
    } finally {
      stopListening()
      stopLooking()
      popup.close()
    }
  }
}
