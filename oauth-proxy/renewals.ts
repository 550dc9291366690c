import type { AccessContent } from '../shared/cookies/session.ts'

/** What is known of a session while some of its answers go on. */
export interface Renewal {
  /** The cookie of this session with the latest idle limit that came meanwhile. */
  newest(): AccessContent
  /** The answer is over; to be called once. */
  release(): void
}

/** Which cookies came while answers went on that began with an older one. */
export interface Renewals {
  /** An answer of this session begins. */
  take(session: AccessContent): Renewal
  /** Takes note of a cookie, if an answer of its session goes on. */
  renew(session: AccessContent): void
}

/** Creates renewals; proxies that replace each other share them, for an answer outlives the proxy that takes its calls. */
export function createRenewals(): Renewals {
  const sessions = new Map<string, { newest: AccessContent; answers: number }>()
  return {
    take(session) {
      const { sessionId } = session
      const known = sessions.get(sessionId) ?? { newest: session, answers: 0 }
      sessions.set(sessionId, known)
      known.answers += 1
      return {
        newest: () => known.newest,
        release() {
          known.answers -= 1
          if (known.answers === 0) sessions.delete(sessionId)
        },
      }
    },
    renew(session) {
      const known = sessions.get(session.sessionId)
      if (known !== undefined && session.idleExpiresAt > known.newest.idleExpiresAt) known.newest = session
    },
  }
}
