import type { Config } from '../../shared/config/schema.ts'
import type { Exchange } from './page.ts'
import type { TappedSecret } from './tap.ts'
import type { ToldEvent } from './world.ts'

/**
 * What must hold whatever a test did: no secret in any answer, URL or event, no answer that a cache may keep, and no session
 * that ends because something was away, busy or late (D01, D10).
 *
 * The value of a sealed cookie is looked at as well: it must not hold a token in the clear or merely encoded.
 */
export function checkInvariants(
  exchanges: readonly Exchange[],
  events: readonly ToldEvent[],
  known: readonly TappedSecret[],
  config: Config,
): void {
  const secrets = known.filter(({ kind }) => kind !== 'id_token' || !config.cookies.idTokenHint)
  const find = createSecretFinder(secrets)
  const inEvents = createSecretFinder([...secrets, ...browserSecrets(exchanges)])(JSON.stringify(events))
  if (inEvents !== undefined) throw new Error(`an event holds a ${inEvents}`)
  for (const { method, url, answer } of exchanges) {
    const found = find(answer.text) ?? find(JSON.stringify(answer.headers))
    if (found !== undefined) throw new Error(`the answer to ${method} ${new URL(url).pathname} holds a ${found}`)
  }
  for (const { method, url, answer } of exchanges) {
    const where = `${method} ${new URL(url).pathname}: ${answer.status}`
    if (!new URL(url).pathname.startsWith(`${config.agent.path}/`)) continue
    if (answer.headers['cache-control'] !== 'no-store') throw new Error(`${where} may be cached`)
    const names = answer.setCookies.map((line) => line.slice(0, line.indexOf('=')))
    if (new Set(names).size !== names.length) throw new Error(`${where} sets a cookie twice`)
    const mayComeAgain = answer.status >= 500 || answer.status === 429 || answer.status === 408
    for (const line of answer.setCookies) {
      if (mayComeAgain && line.includes('; Max-Age=0') && !line.includes('-login-')) {
        throw new Error(`${where} takes a cookie of the session away`)
      }
      const sameSite = line.includes('-login-') ? 'Lax|None' : 'Strict'
      if (!new RegExp(`; Secure; HttpOnly; SameSite=(?:${sameSite})$`).test(line) || /domain=/i.test(line)) {
        throw new Error(`${where} sets a cookie without its attributes`)
      }
    }
  }
}

/** What the browser alone may know: the values of its cookies, and what ties its sign-ins to it. */
function browserSecrets(exchanges: readonly Exchange[]): TappedSecret[] {
  const found: TappedSecret[] = []
  for (const { answer } of exchanges) {
    for (const line of answer.setCookies) {
      const value = line.slice(line.indexOf('=') + 1, line.indexOf(';'))
      if (value.length > 24) found.push({ kind: 'cookie', forms: [value.slice(0, 24)] })
    }
    const state = /[?&]state=([\w-]{16,})/.exec(answer.text + (answer.headers.location ?? ''))?.[1]
    if (state !== undefined) found.push({ kind: 'state', forms: [state] })
  }
  return found
}

const windowLength = 8

/** Finds the kind of the first secret in a text, in one pass however many secrets there are. */
function createSecretFinder(secrets: readonly TappedSecret[]): (text: string) => string | undefined {
  const byStart = new Map<string, { kind: string; form: string }[]>()
  // Nearly every place of a text is dismissed by its mark, without a piece cut out of it.
  const marked = new Uint8Array(2 ** 16)
  for (const { kind, forms } of secrets) {
    for (const form of forms) {
      const start = form.slice(0, windowLength)
      byStart.set(start, [...(byStart.get(start) ?? []), { kind, form }])
      marked[markOf(form, 0)] = 1
    }
  }
  return (text) => {
    for (let at = 0; at + windowLength <= text.length; at++) {
      if (marked[markOf(text, at)] === 0) continue
      const candidates = byStart.get(text.slice(at, at + windowLength))
      const found = candidates?.find(({ form }) => text.startsWith(form, at))
      if (found !== undefined) return found.kind
    }
    return undefined
  }
}

/** A number below 2^16 for the four characters from `at`. */
function markOf(text: string, at: number): number {
  const pair = (from: number) => text.charCodeAt(from) * 31 + text.charCodeAt(from + 1)
  return (pair(at) * 961 + pair(at + 2)) & 0xffff
}
