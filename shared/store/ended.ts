import { hash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { EndedEntry, SessionKey } from './store.ts'
import { createTrim } from './trim.ts'

/** The sessions that were ended before their time, in local memory; `hasEnded` of every store reads it. */
export interface EndedList {
  /** Takes one entry in; what it adds to the entry of the same name is kept, nothing is shortened. */
  add(entry: EndedEntry | EndedName): void
  has(session: SessionKey): boolean
  /** What has not expired; what is added meanwhile comes as well. */
  entries(): Iterable<EndedName>
  readonly size: number
}

/** An entry as it may be stored and sent: without the names that the authorization server gave. */
export interface EndedName {
  readonly kind: 'named'
  /** `s.` and our session id; `p.` for a `sid`, `u.` for a user, `n.` for those of a user without `sid`, and the SHA-256 of the name. */
  readonly name: string
  /** Sessions that were created in this second since 1970 or before it are ended. */
  readonly createdUntil: number
  readonly ttlSeconds: number
}

interface Ended {
  readonly untilMs: number
  readonly createdUntil: number
}

/**
 * Creates the list; beyond `maxEntries` the entry that was added first is dropped, so that a flood of logouts cannot
 * exhaust the memory.
 *
 * Names given by the authorization server are kept as hashes: a heap dump or a copy of the store reveals nobody's name.
 * How long an entry lives is counted by the steady clock: one that jumped forward and back would have it forgotten, and a
 * session that has ended would be good again.
 */
export function createEndedList(parts: { clock: Pick<Clock, 'steadyMs'>; maxEntries: number }): EndedList {
  const { clock, maxEntries } = parts
  const ended = new Map<string, Ended>()
  let namedByProvider = 0

  function remove(name: string): void {
    if (ended.delete(name) && !isSession(name)) namedByProvider -= 1
  }

  function isListed(name: string, createdAt: number): boolean {
    const found = ended.get(name)
    if (found === undefined) return false
    if (found.untilMs > clock.steadyMs()) return createdAt <= found.createdUntil
    remove(name)
    return false
  }

  const hasExpired = ({ untilMs }: Ended) => untilMs <= clock.steadyMs()
  const trim = createTrim({ map: ended, maxEntries, hasExpired, remove })

  return {
    add(entry) {
      const { name, ...added } = endedName(entry)
      const earlier = ended.get(name)
      const untilMs = Math.max(clock.steadyMs() + added.ttlSeconds * 1000, earlier?.untilMs ?? 0)
      const createdUntil = Math.max(added.createdUntil, earlier?.createdUntil ?? 0)
      remove(name)
      ended.set(name, { untilMs, createdUntil })
      if (!isSession(name)) namedByProvider += 1
      trim()
    },
    has(session) {
      if (ended.size === 0) return false
      if (isListed(`s.${session.sessionId}`, session.createdAt)) return true
      if (namedByProvider === 0) return false
      const { providerSessionId, subject } = session
      if (providerSessionId !== undefined && isListed(`p.${hashOf(providerSessionId)}`, session.createdAt)) return true
      const user = hashOf(subject)
      return (
        isListed(`u.${user}`, session.createdAt) ||
        (providerSessionId === undefined && isListed(`n.${user}`, session.createdAt))
      )
    },
    *entries() {
      for (const [name, { untilMs, createdUntil }] of ended) {
        const ttlSeconds = Math.ceil((untilMs - clock.steadyMs()) / 1000)
        if (ttlSeconds > 0) yield { kind: 'named', name, createdUntil, ttlSeconds }
      }
    },
    get size() {
      return ended.size
    },
  }
}

/**
 * The entry under the name that is kept here and in the shared store.
 *
 * Times are whole seconds, so a sign-in in the second of `createdUntil` cannot be told from one before; it ends too.
 */
export function endedName(entry: EndedEntry | EndedName): EndedName {
  const { kind, ttlSeconds } = entry
  if (kind === 'named') return entry
  if (kind === 'session') return { kind: 'named', name: `s.${entry.sessionId}`, createdUntil: always, ttlSeconds }
  if (kind === 'provider-session') {
    return { kind: 'named', name: `p.${hashOf(entry.providerSessionId)}`, createdUntil: always, ttlSeconds }
  }
  const name = `${kind === 'subject' ? 'u' : 'n'}.${hashOf(entry.subject)}`
  return { kind: 'named', name, createdUntil: entry.createdUntil, ttlSeconds }
}

const always = Number.MAX_SAFE_INTEGER

function isSession(name: string): boolean {
  return name.startsWith('s.')
}

function hashOf(name: string): string {
  return hash('sha256', name, 'base64url')
}
