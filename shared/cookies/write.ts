import type { Clock } from '../clock.ts'
import type { KeySource } from '../crypto/key-ring.ts'
import type { RandomBytes } from '../crypto/random.ts'
import { type Binding, createOpener, createSealer } from '../crypto/seal.ts'
import { TokenHandlerError } from '../errors.ts'
import type { Catalogue, CookieRow, CookieSettings } from './catalogue.ts'
import { namesPresent, splitValue } from './chunks.ts'
import { codecs } from './contents.ts'
import type { RequestCookies } from './header.ts'
import { loginIds, openContent } from './open.ts'
import type { RecordCodec } from './record.ts'
import type { LoginContent, SessionCookies } from './session.ts'
import { clearCookie, maxSetCookieOctets, namesWithin, octetsOf, setCookie } from './set-cookie.ts'

/** Makes Set-Cookie values; each call gives all that one answer needs, no name twice (CK-2). */
export interface CookieWriter {
  /**
   * Replaces whatever session the browser has: also chunks and a refresh cookie that the new one does not have.
   * `unseen` says that the browser kept its session back, as it does when another site sent it here (CK-9).
   *
   * Throws `token_too_large` with the sizes when the cookies together exceed `cookies.max_total_bytes`.
   */
  setSession(cookies: SessionCookies, present: RequestCookies | 'unseen'): string[]
  clearSession(present: RequestCookies): string[]
  /**
   * Adds one attempt and clears what is over: unreadable and expired ones, and the oldest beyond `login.max_attempts`.
   *
   * Throws `return_to_not_allowed`, or `invalid_request` where there is none, for an attempt too large for a cookie.
   */
  setLogin(id: string, content: LoginContent, present: RequestCookies): string[]
  /**
   * The attempts under way for which `change` gives another content, each for the time that it has left, newest first.
   * Those that are over are cleared, and those for which an answer that sets `beside`, too, has no room.
   */
  changeLogins(
    present: RequestCookies,
    change: (content: LoginContent) => LoginContent | undefined,
    beside: readonly string[],
  ): string[]
  clearLogin(id: string): string[]
}

interface WriterParts {
  readonly keys: KeySource
  readonly catalogue: Catalogue
  readonly binding: Binding
  readonly settings: CookieSettings
  readonly clock: Clock
  readonly random: RandomBytes
}

/** Several login cookies travel together with the session, and one header may not exceed what servers take. */
const maxLoginOctets = 1536

/** A writer for one installation; for the agent only. */
export function createCookieWriter({ keys, catalogue, binding, settings, clock, random }: WriterParts): CookieWriter {
  const sealFor = createSealer({ keys, binding, random })
  const openFor = createOpener({ keys, binding })
  const { access, refresh, identity } = catalogue
  const sessionRows = [access, refresh, identity]

  return {
    setSession(cookies, present) {
      const values = [
        seal(access, codecs.access, cookies.access),
        ...(cookies.refresh === undefined ? [] : [seal(refresh, codecs.refresh, cookies.refresh)]),
        seal(identity, codecs.identity, cookies.identity),
      ]
      const chunked = chunk(values)
      const maxAge = cookies.access.absoluteExpiresAt - clock.nowSeconds()
      const kept = new Set(chunked.flatMap(({ chunks }) => chunks.map(({ name }) => name)))
      return [
        ...chunked.flatMap(({ row, chunks }) => chunks.map((each) => setCookie(row, each, maxAge))),
        ...clearAll(present, (name) => !kept.has(name)),
      ]
    },

    clearSession: (present) => clearAll(present, () => true),

    setLogin(id, content, present) {
      const row = catalogue.login(id)
      const { value } = seal(row, codecs.login, content)
      if (row.name.length + value.length > maxLoginOctets) {
        // What makes an attempt this large is nearly always return_to, and only that can the page make shorter.
        const code = content.returnTo === undefined ? 'invalid_request' : 'return_to_not_allowed'
        throw new TokenHandlerError(code, { detail: { check: 'login_cookie_size' } })
      }
      const others = loginIds(catalogue, present).filter((other) => other !== id)
      const stay = others
        .map((other) => ({ other, startedAt: openLogin(other, present)?.startedAt ?? 0 }))
        .filter((attempt) => attempt.startedAt > clock.nowSeconds() - settings.login.attemptSeconds)
        .sort((one, two) => two.startedAt - one.startedAt)
        .slice(0, settings.login.maxAttempts - 1)
        .map(({ other }) => other)
      return [
        setCookie(row, { name: row.name, value }, settings.login.attemptSeconds),
        ...others.filter((other) => !stay.includes(other)).map((other) => clearLoginCookie(other)),
      ]
    },

    changeLogins(present, change, beside) {
      const attempts = loginIds(catalogue, present)
        .flatMap((id) => {
          const content = openLogin(id, present)
          const changed = content && change(content)
          const row = catalogue.login(id)
          return changed === undefined ? [] : [{ row, changed, cleared: clearCookie(row, row.name) }]
        })
        .sort((one, two) => two.changed.startedAt - one.changed.startedAt)
      // Each that does not stay has to be cleared, which takes room as well.
      let room = maxSetCookieOctets - octetsOf([...beside, ...attempts.map(({ cleared }) => cleared)])
      return attempts.map(({ row, changed, cleared }) => {
        const { value } = seal(row, codecs.login, changed)
        const secondsLeft = changed.startedAt + settings.login.attemptSeconds - clock.nowSeconds()
        const line = setCookie(row, { name: row.name, value }, secondsLeft)
        room -= octetsOf([line]) - octetsOf([cleared])
        // An attempt that does not know whose session it replaces has to start again.
        return secondsLeft > 0 && room >= 0 ? line : cleared
      })
    },

    clearLogin: (id) => [clearLoginCookie(id)],
  }

  function seal<T>(row: CookieRow, codec: RecordCodec<T>, content: T): { row: CookieRow; value: string } {
    return { row, value: sealFor(row)(codec.encode(content)) }
  }

  /** Throws `token_too_large` with the sizes when the values do not fit into the budget, or one not into its names. */
  function chunk(values: readonly { row: CookieRow; value: string }[]) {
    const limit = settings.cookies.maxTotalBytes
    const sizes = Object.fromEntries(values.map(({ row, value }) => [row.purpose, row.name.length + value.length]))
    const chunked = values.map(({ row, value }) => ({ row, chunks: splitValue(row, value) ?? [] }))
    const total = chunked
      .flatMap(({ chunks }) => chunks)
      .reduce((sum, { name, value }) => sum + name.length + value.length, 0)
    if (total > limit || chunked.some(({ chunks }) => chunks.length === 0)) {
      const sum = Object.values(sizes).reduce((one, two) => one + two, 0)
      throw new TokenHandlerError('token_too_large', {
        fields: { sizes: { ...sizes, total: Math.max(total, sum), limit } },
      })
    }
    return chunked
  }

  function openLogin(id: string, present: RequestCookies): LoginContent | undefined {
    const row = catalogue.login(id)
    const opened = openContent(openFor(row), codecs.login, present.ours.get(row.name) ?? '')
    return opened.kind === 'opened' ? opened.content : undefined
  }

  /** First chunks always, since a cookie with a path of its own may be there without having been sent. */
  function clearAll(present: RequestCookies | 'unseen', isOver: (name: string) => boolean): string[] {
    return sessionRows.flatMap((row) => {
      const others = present === 'unseen' ? namesWithin(row, settings) : namesPresent(row, present.ours)
      const names = new Set([row.name, ...others])
      return [...names].filter(isOver).map((name) => clearCookie(row, name))
    })
  }

  function clearLoginCookie(id: string): string {
    const row = catalogue.login(id)
    return clearCookie(row, row.name)
  }
}
