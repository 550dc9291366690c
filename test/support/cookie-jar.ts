import type { Clock } from '../../shared/clock.ts'

interface Kept {
  readonly name: string
  readonly value: string
  readonly host: string
  readonly path: string
  readonly sameSite: string
  readonly expiresMs: number
}

/** How a request came about, as far as SameSite looks at it (RFC 6265bis §5.8.3). */
export type Journey = 'same-site' | 'cross-site navigation' | 'cross-site post'

/** A browser's cookies: the rules of RFC 6265bis that matter here, prefixes and sizes included. */
export interface CookieJar {
  /** Takes one Set-Cookie line; what a browser would drop is dropped, and told by `false`. */
  take(host: string, line: string): boolean
  header(host: string, path: string, journey: Journey): string | undefined
  names(host: string): readonly string[]
  /** Replaces the value of a cookie, as somebody with the disk in hand could. */
  tamper(host: string, name: string, value: string): void
  copy(): CookieJar
}

/** Creates a jar, empty or with these cookies; `clock` decides what has expired. */
export function createCookieJar(clock: Clock, kept: readonly Kept[] = []): CookieJar {
  const cookies = new Map(kept.map((cookie) => [keyOf(cookie), cookie]))
  const alive = (host: string) => [...cookies.values()].filter((c) => c.host === host && c.expiresMs > clock.nowMs())
  return {
    take(host, line) {
      const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
      const name = pair.slice(0, pair.indexOf('='))
      const value = pair.slice(pair.indexOf('=') + 1)
      const attribute = (wanted: string): string | undefined => {
        const found = attributes.find((item) => item.toLowerCase().split('=', 1)[0] === wanted)
        return found?.slice(found.indexOf('=') + 1)
      }
      const has = (wanted: string) => attribute(wanted) !== undefined
      const path = attribute('path') ?? '/'
      if (name.length + value.length > 4096 || !fitsPrefix(name, has, path)) return false
      const maxAge = Number(attribute('max-age') ?? 3600)
      const sameSite = (attribute('samesite') ?? 'lax').toLowerCase()
      const cookie = { name, value, host, path, sameSite, expiresMs: clock.nowMs() + maxAge * 1000 }
      cookies.set(keyOf(cookie), cookie)
      if (maxAge <= 0) cookies.delete(keyOf(cookie))
      return true
    },
    header(host, path, journey) {
      const sent = alive(host)
        .filter((c) => c.path === '/' || path === c.path || path.startsWith(c.path.replace(/\/?$/, '/')))
        .filter(({ sameSite }) => travels(sameSite, journey))
      return sent.length === 0 ? undefined : sent.map((c) => `${c.name}=${c.value}`).join('; ')
    },
    names: (host) => alive(host).map(({ name }) => name),
    tamper(host, name, value) {
      for (const [key, cookie] of cookies)
        if (cookie.host === host && cookie.name === name) cookies.set(key, { ...cookie, value })
    },
    copy: () => createCookieJar(clock, [...cookies.values()]),
  }
}

function travels(sameSite: string, journey: Journey): boolean {
  if (journey === 'same-site' || sameSite === 'none') return true
  return journey === 'cross-site navigation' && sameSite === 'lax'
}

const keyOf = ({ name, host, path }: Pick<Kept, 'name' | 'host' | 'path'>) => JSON.stringify([name, host, path])

/** RFC 6265bis §4.1.3: a name may promise how it was set. */
function fitsPrefix(name: string, has: (attribute: string) => boolean, path: string): boolean {
  const lower = name.toLowerCase()
  const isHost = lower.startsWith('__host-')
  const isHttp = lower.startsWith('__http-') || lower.startsWith('__host-http-')
  if ((isHost || isHttp || lower.startsWith('__secure-')) && !has('secure')) return false
  if (isHost && (has('domain') || path !== '/')) return false
  return !isHttp || has('httponly')
}
