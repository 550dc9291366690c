import type { Browser, Channel, Popup } from '../../spa-client/browser.ts'
import { createTokenHandler, type TokenHandler, type TokenHandlerOptions } from '../../spa-client/token-handler.ts'
import { resolvable } from '../support/resolvable.ts'

/** One request as the network of the profile saw it. */
export interface Seen {
  readonly path: string
  readonly method: string
  readonly headers: Headers
  readonly body: string
  readonly credentials: RequestCredentials
  readonly redirect: RequestRedirect
  readonly cache: RequestCache
  /** What the caller can end the call with, if anything. */
  readonly signal: AbortSignal | null | undefined
  readonly url: string
}

type Server = (request: Seen) => Response | Promise<Response>

/** An answer of agent or proxy. */
export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })
}

/** An error of agent or proxy, marked as theirs. */
export function failure(status: number, code: string, fields: object = {}): Response {
  return json({ error_code: code, detailed_error: 'x', ...fields }, status, { 'token-handler-error': code })
}

/** An answer whose connection breaks before its body has come. */
export function broken(status: number, headers: Readonly<Record<string, string>> = {}): Response {
  const body = new ReadableStream({ pull: (controller) => controller.error(new TypeError('network error')) })
  return new Response(body, { status, headers })
}

/** One tab: the client in a browser whose events the test causes. */
export interface Tab {
  readonly tokenHandler: TokenHandler
  /** Makes another client in the same page, as a second copy of the package does. */
  openClient(): TokenHandler
  visible: boolean
  focused: boolean
  readonly concealed: boolean
  readonly reloads: number
  readonly navigations: readonly string[]
  readonly address: string
  readonly popups: readonly FakePopup[]
  readonly windowClosed: boolean
  touch(): void
  show(): void
  goOnline(): void
  enterCache(): void
  leaveCache(): void
}

export interface FakePopup extends Popup {
  closed: boolean
  readonly name: string
  readonly url: string
}

interface TabOptions extends TokenHandlerOptions {
  readonly href?: string
  readonly base?: string
  readonly windowName?: string
  readonly popupsBlocked?: boolean
  /** `stuck`: another tab holds the lock and never gives it back. */
  readonly locks?: boolean | 'stuck'
  readonly channel?: boolean
}

/**
 * A browser profile for tests: tabs that share cookies (a made-up agent), Web Locks, a channel and a clock that only
 * the test moves.
 */
export function createProfile() {
  let now = 1_800_000_000_000
  let random = 0
  let timers: { at: number; run: () => void }[] = []
  const queues = new Map<string, Promise<unknown>>()
  const channels = new Map<string, Set<Channel>>()
  const seen: Seen[] = []
  let offline = false

  const session = { isLoggedIn: true, generation: 1, sub: 'u1', createdAt: 100, acr: 'pwd', accessEndsAt: now + 60_000 }
  const limits = {
    endsAt: now + 8 * 3_600_000,
    idleEndsAt: now + 900_000,
    idle: 900_000,
    accessSeconds: 60,
    aheadSeconds: 20,
  }
  const inSeconds = (time: number) => Math.max(0, Math.round((time - now) / 1000))
  const view = () => ({
    access_token_expires_in: inSeconds(session.accessEndsAt),
    session: {
      generation: session.generation,
      created_at: session.createdAt,
      acr: session.acr,
      expires_in: inSeconds(limits.endsAt),
      idle_expires_in: inSeconds(limits.idleEndsAt),
      refresh_in: Math.max(0, inSeconds(session.accessEndsAt) - limits.aheadSeconds),
    },
  })
  const signedIn = () => ({ is_logged_in: true, id_token_claims: { sub: session.sub }, ...view() })
  const answers: Record<string, Server> = {
    'GET /oauth-agent/session': () => json(session.isLoggedIn ? signedIn() : { is_logged_in: false }),
    'POST /oauth-agent/refresh': ({ body }) => {
      if (!session.isLoggedIn) return failure(401, 'session_missing')
      session.generation += 1
      session.accessEndsAt = now + limits.accessSeconds * 1000
      if (!body.includes('background')) limits.idleEndsAt = now + limits.idle
      return json(view())
    },
    'POST /oauth-agent/login/start': () => json({ authorization_url: 'https://op.example/authorize?x=1' }),
    'POST /oauth-agent/login/end': () => {
      Object.assign(session, { isLoggedIn: true, createdAt: session.createdAt + 1, generation: 1 })
      session.accessEndsAt = now + limits.accessSeconds * 1000
      return json({ ...signedIn(), return_to: '/after' })
    },
    'POST /oauth-agent/logout': () => {
      session.isLoggedIn = false
      return json({ logout_url: 'https://op.example/end' })
    },
    'GET /api/orders': () => {
      if (!session.isLoggedIn) return failure(401, 'session_missing')
      if (session.accessEndsAt <= now) return failure(401, 'access_token_expired')
      return json({ orders: [] })
    },
  }

  const fetchFrom = async (
    input: RequestInfo | URL,
    init: RequestInit | undefined,
    base: string,
  ): Promise<Response> => {
    if (offline) throw new TypeError('Failed to fetch')
    const request = new Request(input instanceof Request ? input : new URL(String(input), base), init)
    const { pathname } = new URL(request.url)
    const { method, headers, credentials, redirect, cache, url } = request
    const body = await request.text()
    const entry: Seen = {
      path: pathname,
      method,
      headers,
      credentials,
      redirect,
      cache,
      signal: init?.signal,
      url,
      body,
    }
    request.signal.throwIfAborted()
    seen.push(entry)
    return (await answers[`${method} ${pathname}`]?.(entry)) ?? json({ echo: entry.body }, 404)
  }

  const openTab = (options: TabOptions = {}): Tab => {
    const target = new EventTarget()
    const call = (type: string, members: object = {}) => target.dispatchEvent(Object.assign(new Event(type), members))
    const state = {
      visible: true,
      focused: true,
      concealed: false,
      reloads: 0,
      navigations: [] as string[],
      popups: [] as FakePopup[],
      address: options.href ?? 'https://app.example/orders?page=2',
      windowClosed: false,
    }
    const browser: Browser = {
      fetch: (input, init) => fetchFrom(input, init, options.base ?? state.address),
      now: () => now,
      random: () => random,
      after(milliseconds, run) {
        const timer = { at: now + Math.max(0, milliseconds), run }
        timers.push(timer)
        return () => {
          timers = timers.filter((other) => other !== timer)
        }
      },
      inTurn(name, _patience, work) {
        if (options.locks === false) return work()
        if (options.locks === 'stuck') return Promise.reject(new DOMException('too long', 'TimeoutError'))
        const turn = (queues.get(name) ?? Promise.resolve()).then(work)
        queues.set(
          name,
          turn.then(
            () => undefined,
            () => undefined,
          ),
        )
        return turn
      },
      channel(name) {
        if (options.channel === false) return undefined
        const others = channels.get(name) ?? new Set()
        channels.set(name, others)
        const me: Channel = {
          onmessage: null,
          postMessage(message) {
            const event = new MessageEvent<unknown>('message', { data: structuredClone(message) })
            if (!others.has(me)) throw new DOMException('Channel is closed', 'InvalidStateError')
            for (const other of others) if (other !== me) queueMicrotask(() => other.onmessage?.(event))
          },
          close: () => void others.delete(me),
        }
        others.add(me)
        return me
      },
      window: {
        name: options.windowName ?? '',
        close: () => (state.windowClosed = true),
        location: {
          get href() {
            return state.address
          },
          assign: (url) => state.navigations.push(String(url)),
          reload: () => (state.reloads += 1),
        },
        history: {
          state: null,
          replaceState(_state, _unused, url) {
            state.address = new URL(url ?? '', state.address).href
          },
        },
      },
      base: () => options.base ?? state.address,
      popup(name) {
        if (options.popupsBlocked) return null
        const popup = {
          name,
          closed: false,
          url: 'about:blank',
          location: {
            replace(url: string) {
              popup.url = url
            },
          },
          close() {
            popup.closed = true
          },
        }
        state.popups.push(popup)
        return popup
      },
      isVisible: () => state.visible,
      hasFocus: () => state.focused,
      conceal: (hidden) => (state.concealed = hidden),
      on: (type, run) => target.addEventListener(type, run),
    }
    const tokenHandler = createTokenHandler(options, browser)
    return Object.assign(state, {
      tokenHandler,
      openClient: () => createTokenHandler(options, browser),
      touch: () => call('pointerdown'),
      show() {
        state.visible = true
        call('visibilitychange')
      },
      goOnline() {
        offline = false
        call('online')
      },
      enterCache: () => call('pagehide', { persisted: true }),
      leaveCache: () => call('pageshow', { persisted: true }),
    })
  }

  /** Lets everything that waits for nothing but promises happen. */
  const settle = async () => {
    for (let turn = 0; turn < 60; turn += 1) await Promise.resolve()
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** The next request of this kind is answered at once, but the answer arrives when the function is called. */
  const holdNextAnswer = (path: string): (() => void) => {
    const answer = answers[path]!
    const held = resolvable()
    answers[path] = async (request) => {
      answers[path] = answer
      const early = await answer(request)
      await held.promise
      return early
    }
    return held.resolve
  }

  return {
    seen,
    session,
    limits,
    answers,
    holdNextAnswer,
    openTab,
    settle,
    calls: (path: string) => seen.filter((entry) => entry.path === path),
    now: () => now,
    setRandom: (value: number) => (random = value),
    goOffline: () => (offline = true),
    /** Moves the clock and runs what falls due, in order. */
    async pass(milliseconds: number) {
      const end = now + milliseconds
      for (;;) {
        await settle()
        const next = timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0]
        if (next === undefined) break
        timers = timers.filter((timer) => timer !== next)
        now = Math.max(now, next.at)
        next.run()
      }
      now = end
      await settle()
    },
    /** Moves the clock as sleep does: nothing runs meanwhile. */
    sleep(milliseconds: number) {
      now += milliseconds
    },
  }
}

export type Profile = ReturnType<typeof createProfile>

/** A profile with one tab that is signed in. */
export async function openSignedIn(options: Parameters<Profile['openTab']>[0] = {}) {
  const profile = createProfile()
  const tab = profile.openTab(options)
  await tab.tokenHandler.onPageLoad()
  return { profile, tab, tokenHandler: tab.tokenHandler }
}
