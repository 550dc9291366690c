import { AgentError, type Answer, createCallAgent, userReplaced } from './agent.ts'
import { createApiFetch, isEnding } from './api-fetch.ts'
import { type Browser, thisBrowser } from './browser.ts'
import { createEmitter, type Emitter } from './events.ts'
import { createKeepAlive } from './keep-alive.ts'
import { createPopupSignIn, popupNameOf } from './popup.ts'
import type { SignInParameters } from './known-words.ts'
import { createInTurn, createRefresh } from './refresh.ts'
import { isResponse } from './callback.ts'
import { parseSession, type Session, signedOut } from './session.ts'
import { createSharedSession } from './shared-session.ts'
import { createStepUp } from './step-up.ts'

export { AgentError } from './agent.ts'
export type { Browser, Channel, Popup, Stop } from './browser.ts'
export type { Emitter, Events, SignedOutCause, StepUp } from './events.ts'
export type { ErrorCode, SignInParameters } from './known-words.ts'
export type { Session } from './session.ts'

/** Where agent and APIs are. */
export interface TokenHandlerOptions {
  /** Base address of the agent: a path, or a URL on a sibling host of the same site. */
  readonly agent?: string | undefined
  /** URLs whose origins are those of APIs behind the proxy, besides those of the page and the agent. */
  readonly apis?: readonly string[] | undefined
  /** Page to which the authorization server returns: the setting `login.redirect_path`; `/callback` if absent. */
  readonly redirectPath?: string | undefined
}

/** What a sign-in asks for, and where it happens. */
export type SignInOptions = SignInOnPage | SignInInPopup

interface CommonSignInOptions {
  /** Parameters of the authorization request that the agent allows, such as `login_hint`, `prompt` or `acr_values`. */
  readonly parameters?: SignInParameters | undefined
}

/** A sign-in for which the page is left. */
interface SignInOnPage extends CommonSignInOptions {
  readonly popup?: false | undefined
  /** Path to come back to; the present one if absent. */
  readonly returnTo?: string | undefined
}

/** A sign-in within a small window: the page stays as it is, so there is nothing to come back to. */
interface SignInInPopup extends CommonSignInOptions {
  readonly popup: true
  readonly returnTo?: undefined
}

/** The functions of the browser client. */
export interface TokenHandler {
  /**
   * To be called when the page has loaded: ends a sign-in if the page is its return, and returns who is signed in. Calls at
   * the same time share one answer.
   */
  readonly onPageLoad: () => Promise<Session>
  /** The session as last heard of. */
  readonly session: () => Session
  /** Asks the agent for the session. */
  readonly check: () => Promise<Session>
  /**
   * Starts a sign-in; true if somebody is signed in when it is over. Without a popup the page is left. The promise then
   * settles only if the back button brings the page back.
   */
  readonly signIn: (options?: SignInOptions) => Promise<boolean>
  /** Signs out, in every tab, and leaves for the sign-out page of the authorization server. */
  readonly signOut: () => Promise<void>
  /** `fetch` for the APIs behind the proxy. */
  readonly fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>
  /** Refreshes the tokens, once for all tabs. */
  readonly refresh: () => Promise<Session>
  /**
   * Headers for calls made without `fetch`, such as an upload with XMLHttpRequest; refreshes first if it has to. Throws
   * `session_expired` if somebody else has signed in by then.
   */
  readonly headers: () => Promise<Record<string, string>>
  /** Calls `listener` at every such event; returns what stops it. */
  readonly on: Emitter['on']
  /**
   * Ends the client, not the session: it keeps no timers, hears no other tab, and its `session` is nobody's. A page that comes
   * from the back/forward cache still asks before it shows itself.
   */
  readonly close: () => void
}

/** A page from the back/forward cache asks this often, in milliseconds, until the network is back. */
const askAgain = 1000

function originOf(api: string): string {
  if (!/^https?:\/\/./i.test(api)) throw new TypeError(`apis: "${api}" is no http(s) URL`)
  return new URL(api).origin
}

/**
 * The browser side of the Token Handler: many tabs, one session, no token in sight.
 *
 * Functions throw `AgentError` for an error answer, the `TypeError` of fetch when the network is down, and a `TimeoutError`
 * when the agent does not answer; being offline is never taken for being signed out. `TypeError` at once for one of `apis`
 * that is no http(s) URL.
 */
export function createTokenHandler(options: TokenHandlerOptions = {}, browser: Browser = thisBrowser()): TokenHandler {
  const { location, history } = browser.window
  const address = () => new URL(location.href)
  /** The address of this page below its origin. */
  const page = () => location.href.slice(address().origin.length)
  /** Shows another address without loading it. */
  const replaceAddress = (url: string) => history.replaceState(history.state, '', url)
  const base = new URL(options.agent ?? '/oauth-agent', address())
  const origins = [address().origin, base.origin, ...(options.apis ?? []).map(originOf)]
  const emitter = createEmitter()
  const agent = base.href.replace(/\/$/, '')
  const name = `token-handler ${agent}`
  const shared = createSharedSession(browser.channel(name), emitter, () => keepAlive.plan())
  const { present, adopt } = shared
  const headers = (): Record<string, string> => {
    const { csrfToken } = present()
    return { 'token-handler-version': '1', ...(csrfToken && { 'x-csrf-token': csrfToken }) }
  }
  const callAgent = createCallAgent(browser, agent, headers)

  const check = async (): Promise<Session> => {
    const before = shared.turns()
    const answer = await callAgent('/session')
    // Somebody signed in or out meanwhile, so the answer may tell of whoever was there before.
    if (before !== shared.turns()) return check()
    adopt(parseSession(answer, browser.now(), present()))
    return present()
  }

  const refresh = () => sharedRefresh(present())
  const keepAlive = createKeepAlive({
    browser,
    present,
    refresh,
    check,
    warn: (event) => emitter.emit('expiring', event),
  })
  const inTurn = createInTurn(browser, name)
  const sharedRefresh = createRefresh({ browser, callAgent, inTurn, check, ...shared, keepAlive })

  /** Settle the sign-ins for which the page was left, once the browser gives it back. */
  const left: ((isLoggedIn: boolean) => void)[] = []
  // A page from the back/forward cache shows what it showed before a sign-out, unless it asks first. It does so when the
  // client is closed, too: an app may close it as the page goes, which is concealed by then.
  const onCache = (type: string, run: () => void) =>
    browser.on(type, (event) => (event as PageTransitionEvent).persisted && run())
  onCache('pagehide', () => browser.conceal(true))
  const reveal = () => {
    check().then(
      () => {
        browser.conceal(false)
        for (const settle of left.splice(0)) settle(present().isLoggedIn)
      },
      // Without a network, loading the page again would lose it and what is typed in it.
      (error) => (error instanceof AgentError ? location.reload() : browser.after(askAgain, reveal)),
    )
  }
  onCache('pageshow', reveal)

  const signInPopup = createPopupSignIn({ browser, callAgent, emitter, check, ...shared })
  /** True for a part of the address that is meant for the agent; what looks like it on other pages is the app's own. */
  const isReturn = (part: URLSearchParams) =>
    address().pathname === (options.redirectPath ?? '/callback') && isResponse(part)

  const signInPage = async (parameters: Readonly<Record<string, string>>, returnTo?: string): Promise<boolean> => {
    const start = ([place, ...others]: readonly Record<string, string>[]): Promise<Answer> =>
      callAgent('/login/start', { ...parameters, ...place }).catch((error: unknown) => {
        const isRefused = error instanceof AgentError && error.code === 'return_to_not_allowed'
        if (isRefused && others.length > 0) return start(others)
        throw error
      })
    // A sign-in that could not be ended is no place to come back to.
    const here = isReturn(address().searchParams)
      ? []
      : [{ return_to: page() }, { return_to: page().replace(/#.*/, '') }]
    // The address of this page may be one that the agent does not take; then the sign-in ends at its default.
    const started = await start(returnTo === undefined ? [...here, {}] : [{ return_to: returnTo }])
    location.assign(String(started.authorization_url))
    return new Promise((resolve) => left.push(resolve))
  }

  const endSignIn = async (parameters: URLSearchParams, home: string): Promise<Session> => {
    let returnTo: string | undefined
    // A code and a state have no business in the history or in a bookmark.
    const goOn = (to: unknown) => {
      returnTo = to as typeof returnTo
      // Another client in this page, or its router, may have gone on meanwhile.
      if (isReturn(address().searchParams)) replaceAddress(returnTo ?? home)
    }
    try {
      // The answer to a refresh that is under way would put the old session over the new one.
      const answer = await inTurn(() => callAgent('/login/end', parameters))
      goOn(answer.return_to)
      adopt(parseSession(answer, browser.now()))
    } catch (error) {
      // The agent was not reached, or keeps the attempt for another try: loading this address again ends the sign-in.
      if (!(error instanceof AgentError) || error.retryAfter) throw error
      // Another client in this page has ended this sign-in, and says how.
      const isEnded = error.code === 'invalid_state' && !isReturn(address().searchParams)
      goOn(error.fields['return_to'] ?? (isEnded ? page() : undefined))
      if (error.code !== 'login_required' && error.fields['prompt'] !== 'none' && !isEnded) throw error
      await check()
    } finally {
      const popup = popupNameOf(browser.window.name, returnTo)
      if (popup) {
        shared.tellOpener(popup, present().isLoggedIn)
        browser.window.close()
      }
    }
    return { ...present(), returnTo }
  }

  const loadPage = async (): Promise<Session> => {
    const { searchParams, hash } = address()
    const home = new URL('.', address()).pathname
    if (isReturn(searchParams)) return endSignIn(searchParams, home)
    // The agent never asks for one in the fragment. Somebody else did, for a sign-in of their own, and waits for the code
    // of this user to be seen in a history, in the report of an error or in a message of the page.
    if (isReturn(new URLSearchParams(hash.slice(1)))) replaceAddress(home)
    return check()
  }
  /** React calls effects twice; a second end of one sign-in would know neither its page nor why it failed. */
  let loading: Promise<Session> | undefined

  return {
    on: emitter.on,
    close: shared.close,
    session: present,
    check,
    refresh,
    onPageLoad: () =>
      (loading ??= loadPage().finally(() => {
        loading = undefined
      })),
    signIn: ({ popup, returnTo, parameters = {} } = {}) =>
      popup ? signInPopup(parameters) : signInPage(parameters, returnTo),
    async signOut() {
      const { logout_url: url } = await callAgent('/logout', {})
      adopt(signedOut, 'signOut')
      if (url) location.assign(url)
    },
    async headers() {
      const user = shared.user()
      if (isEnding(present(), browser)) await refresh()
      if (shared.isReplaced(user)) throw userReplaced()
      return headers()
    },
    fetch: createApiFetch({
      browser,
      origins,
      headers,
      ...shared,
      refresh: sharedRefresh,
      check,
      stepUp: createStepUp(emitter, signInPopup, signInPage),
    }),
  }
}
