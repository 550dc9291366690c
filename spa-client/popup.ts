import type { CallAgent } from './agent.ts'
import type { Browser } from './browser.ts'
import { isSameLogin, type Session } from './session.ts'

/** Name of the window, by which the page that opens in it knows what to do. */
export const popupName = 'token-handler-sign-in'

/**
 * Where a sign-in in a popup says it goes on. A page with Cross-Origin-Opener-Policy loses the name of its window on the
 * way; this comes back sealed in the login cookie.
 */
export const popupReturn = '/#token-handler-popup'

interface Parts {
  readonly browser: Browser
  readonly callAgent: CallAgent
  readonly present: () => Session
  /** Asks the agent how things stand. */
  readonly check: () => Promise<Session>
  /** Calls back when another tab reports a sign-in, or that one failed in the popup. */
  readonly onTold: (run: (signedIn: boolean) => void) => () => void
}

const pollEvery = 300

/**
 * Signs in within a small window while the page with its unsaved work stays; false when it was blocked or closed.
 *
 * The window opens before anything is awaited, because browsers allow it only shortly after a click. A sign-in page
 * with Cross-Origin-Opener-Policy makes its window look closed at once, so that is believed only when this page has
 * the focus again.
 */
export function createPopupSignIn({ browser, callAgent, present, check, onTold }: Parts) {
  return async (parameters: Readonly<Record<string, string>>): Promise<boolean> => {
    const before = present()
    const popup = browser.popup(popupName)
    if (popup === null) return false
    const outcome = new Promise<boolean>((resolve) => {
      const stopListening = onTold((signedIn) => finish(signedIn))
      const finish = (signedIn: boolean) => {
        stopListening()
        stopPolling()
        resolve(signedIn)
      }
      const look = () => {
        stopPolling = browser.after(pollEvery, look)
        if (!popup.closed || !browser.hasFocus()) return
        stopPolling()
        check().then(
          (session) => finish(session.isLoggedIn && !isSameLogin(session, before)),
          () => finish(false),
        )
      }
      let stopPolling = browser.after(pollEvery, look)
    })
    try {
      const fields = { ...parameters, return_to: popupReturn }
      const { authorization_url: url } = await callAgent('/login/start', fields)
      popup.location.replace(String(url))
    } catch (error) {
      popup.close()
      throw error
    }
    const signedIn = await outcome
    popup.close()
    return signedIn && present().isLoggedIn
  }
}
