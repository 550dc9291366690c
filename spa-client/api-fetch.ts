import { AgentError, codeHeader, readError, userReplaced } from './agent.ts'
import { listen } from './listen.ts'
import type { Browser } from './browser.ts'
import type { Session } from './session.ts'
import type { SharedSession } from './shared-session.ts'

interface Parts extends Pick<SharedSession, 'present' | 'user' | 'isReplaced'> {
  readonly browser: Browser
  /** Origins whose calls get our header; others are left alone. */
  readonly origins: readonly string[]
  readonly headers: () => Record<string, string>
  readonly refresh: (seen: Session) => Promise<Session>
  readonly check: () => Promise<Session>
  /** Asks for a stronger or fresh sign-in; true if the call may be repeated. */
  readonly stepUp: (error: AgentError, alone: boolean, signal: AbortSignal | null | undefined) => Promise<boolean>
}

/** A call with an access token that expires within so many milliseconds is likely to arrive too late. */
const almostExpired = 2000
const needRefresh = ['access_token_expired', 'upstream_unauthorized']
const needStepUp = ['insufficient_user_authentication', 'insufficient_scope']
/** The session goes on, but without the user it gets no more tokens. */
const needUser = ['interaction_required', 'consent_required', 'login_required']
const sessionOver = ['session_missing', 'session_expired', 'session_invalid']

/** True if the access token can be refreshed, and better is before a call; false for one whose end nobody knows. */
export const isEnding = ({ refreshAt, accessTokenExpiresAt }: Session, browser: Browser): boolean =>
  refreshAt !== undefined && accessTokenExpiresAt! - browser.now() < almostExpired

/** Rejects as soon as the caller aborts; the work itself goes on for the other calls that wait for it. */
function abortable<T>(work: () => Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    // Nobody waits for what would be done for a call that is given up already.
    signal?.throwIfAborted()
    const stop = listen(signal, 'abort', () => reject(signal?.reason))
    work().then(resolve, reject).finally(stop)
  })
}

/**
 * A drop-in for `fetch`: adds our header to calls of the app's own APIs, refreshes at most once, steps up at most once.
 * A call that had to wait is sent for the user who began it, or not at all.
 *
 * Answers are those of the last try; when a refresh was needed and refused, it is the answer to the refresh. A body that
 * is a stream can be sent once only, so such a call is not repeated.
 */
export function createApiFetch(parts: Parts) {
  const { browser, present } = parts

  return async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    // A Request made in a frame is none of this page's class.
    let request = (input as Partial<Request>).url === undefined ? undefined : (input as Request)
    const url = new URL(request?.url ?? (input as string | URL), browser.base())
    if (!parts.origins.includes(url.origin)) return browser.fetch(input, init)
    // Options may be a Request, too: a copy of one has none of its members.
    if ((init as Partial<Request>).url !== undefined) {
      request = new Request(request ?? url, init)
      init = {}
    }
    const signal = init.signal ?? request?.signal
    // Known by what it can do: a stream made in a frame is none of this page's class, and jsdom has no such class.
    const repeatable = (init.body as Partial<ReadableStream> | null | undefined)?.getReader === undefined

    const attempt = (): Promise<Response> => {
      const headers = new Headers(init.headers ?? request?.headers)
      for (const [name, value] of Object.entries(parts.headers())) headers.set(name, value)
      // A clone keeps the body of a Request for another try.
      return browser.fetch(request?.clone() ?? input, { ...init, headers, credentials: 'include' })
    }
    const refusalOf = (error: unknown): Response => {
      if (error instanceof AgentError) return error.response.clone()
      throw error
    }
    const refreshed = (seen: Session): Promise<Response | undefined> =>
      abortable(() => parts.refresh(seen), signal).then(() => undefined, refusalOf)

    const seen = present()
    const user = parts.user()
    // Somebody else at the keyboard must not send what the first user wrote.
    const isReplaced = () => parts.isReplaced(user)
    let refusal: Response | undefined
    const early = isEnding(seen, browser)
    if (early) {
      refusal = await refreshed(seen)
      if (isReplaced()) return userReplaced().response
    }

    let response = await attempt()
    const says = (codes: readonly string[]) => codes.includes(response.headers.get(codeHeader) ?? '')
    if (response.status === 401 && says(needRefresh) && repeatable && (refusal || !early)) {
      // What has just been refused is not asked for again: some servers lock out who does.
      refusal ??= await refreshed(seen)
      if (refusal && refusal.status !== 401) return refusal
      if (isReplaced()) return response
      // Its connection may have broken meanwhile.
      response.body?.cancel().catch(() => undefined)
      response = refusal ?? (await attempt())
    }

    const over = user !== undefined && response.status === 401 && says(sessionOver)
    if (over) await abortable(() => parts.check().catch(() => undefined), signal)
    const stepUp = says(needStepUp)
    if (!repeatable || !(over || stepUp || says(needUser))) return response
    // Signed in again meanwhile, in another tab: the call needs nothing but its new cookies.
    const alive = over && present().isLoggedIn
    const error = await readError(response)
    // Without a scope to ask for, another sign-in would end the same way; the answer to HEAD does not even say what to ask.
    const needed = error.fields[error.code === 'insufficient_scope' ? 'scope' : 'error_code']
    if (!over && needed === undefined) return response
    const again = alive || (await abortable(() => parts.stepUp(error, stepUp, signal), signal))
    return again && !isReplaced() ? attempt() : response
  }
}
