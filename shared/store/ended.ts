import { hash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { EndedEntry, SessionKey } from './store.ts'

/** The sessions that were ended before their time, in local memory; `hasEnded` of every store reads it. */
export interface EndedList {
  /** Takes one entry in; an entry that ends more, or later, replaces the one that is there. */
  add(entry: EndedEntry): void
  has(session: SessionKey): boolean
  readonly size: number
}

interface Ended {
  readonly until: number
  readonly notBefore: number
}

/**
 * Creates the list; beyond `maxEntries` the entry that was added first is dropped, so that a flood of logouts cannot
 * exhaust the memory.
 *
 * Names given by the authorization server are kept as hashes: a heap dump or a copy of the store tells nobody's name.
 */
export function createEndedList(parts: { clock: Clock; maxEntries: number }): EndedList {
  const { clock, maxEntries } = parts
  const ended = new Map<string, Ended>()
  let namedByProvider = 0

  function remove(name: string): void {
    if (ended.delete(name) && !isSession(name)) namedByProvider -= 1
  }

  function isListed(name: string, createdAt: number): boolean {
    const found = ended.get(name)
    if (found === undefined) return false
    if (found.until > clock.nowSeconds()) return createdAt <= found.notBefore
    remove(name)
    return false
  }

  /** Lifetimes hardly differ, so what expires first stands first. */
  function dropOldest(): void {
    for (const [name, { until }] of ended) {
      if (ended.size <= maxEntries && until > clock.nowSeconds()) return
      remove(name)
    }
  }

  return {
    add(entry) {
      const name = endedName(entry)
      const earlier = ended.get(name)
      const until = Math.max(clock.nowSeconds() + entry.ttlSeconds, earlier?.until ?? 0)
      const notBefore = Math.max(notBeforeOf(entry), earlier?.notBefore ?? 0)
      remove(name)
      ended.set(name, { until, notBefore })
      if (!isSession(name)) namedByProvider += 1
      dropOldest()
    },
    has(session) {
      if (ended.size === 0) return false
      if (isListed(`s.${session.sessionId}`, session.createdAt)) return true
      if (namedByProvider === 0) return false
      const { providerSessionId, subject } = session
      return (
        (providerSessionId !== undefined && isListed(hashedName('p', providerSessionId), session.createdAt)) ||
        (subject !== undefined && isListed(hashedName('u', subject), session.createdAt))
      )
    },
    get size() {
      return ended.size
    },
  }
}

/** The name under which an entry is kept here and in the shared store: `s.`, `p.` or `u.` and 22 or 43 characters. */
export function endedName(entry: EndedEntry): string {
  if (entry.kind === 'session') return `s.${entry.sessionId}`
  if (entry.kind === 'provider-session') return hashedName('p', entry.providerSessionId)
  return hashedName('u', entry.subject)
}

/**
 * Sessions that began then or earlier are ended: all of that name, unless a subject may have signed in again since.
 *
 * Times are whole seconds, so a sign-in of the same second cannot be told from one before; it ends too.
 */
export function notBeforeOf(entry: EndedEntry): number {
  return entry.kind === 'subject' ? entry.notBefore : Number.MAX_SAFE_INTEGER
}

function isSession(name: string): boolean {
  return name.startsWith('s.')
}

function hashedName(kind: 'p' | 'u', name: string): string {
  return `${kind}.${hash('sha256', name, 'base64url')}`
}
