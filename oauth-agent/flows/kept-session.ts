import type { SessionCookies } from '../../shared/cookies/session.ts'
import type { SuccessorBox } from '../../shared/cookies/successor.ts'
import { ignoreUnavailable, type Store } from '../../shared/store/store.ts'

/** Sessions in a store, each under the ticket of the request that got it, for requests that bring the same. */
export interface KeptSessions {
  /** Undefined also while the store is away. */
  find(ticket: string): Promise<SessionCookies | undefined>
  /** Throws what the store throws. */
  keep(ticket: string, cookies: SessionCookies, ttlSeconds: number): Promise<void>
}

/** Keeps sessions sealed, under names that begin with `kind`. */
export function createKeptSessions(
  store: Pick<Store, 'get' | 'put'>,
  box: SuccessorBox,
  kind: 'successor' | 'signed-in',
): KeptSessions {
  return {
    async find(ticket) {
      const value = await store.get(`${kind}:${ticket}`).catch(ignoreUnavailable)
      return value === undefined ? undefined : box.open(ticket, value)
    },
    keep: (ticket, cookies, ttlSeconds) => store.put(`${kind}:${ticket}`, box.seal(ticket, cookies), ttlSeconds),
  }
}
