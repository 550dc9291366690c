import type { Cancel, Clock } from '../shared/clock.ts'
import type { AccessContent } from '../shared/cookies/session.ts'
import type { Store } from '../shared/store/store.ts'
import { sessionEnd } from './session.ts'

/** Why we end a stream that would have gone on. */
export type StreamEnd = 'token_expired' | 'session_over' | 'stopping' | 'idle'

/** Answers without an end: event streams and WebSockets. */
export interface Streams {
  /**
   * Keeps an eye on a stream until the answered function is called: `end` is called once when its access token expires,
   * its session ends, or the process stops.
   *
   * A stream outlives the one check that every other request gets, so it gets one every few seconds (K06, HX-18).
   */
  watch(session: AccessContent | undefined, end: (cause: StreamEnd) => void): () => void
  /** Ends every stream, and each that is watched from now on. */
  stop(): void
}

const checkEveryMs = 5000

/** Creates the watch over the streams of one proxy. */
export function createStreams(parts: {
  store: Pick<Store, 'hasEnded'>
  clock: Pick<Clock, 'nowSeconds' | 'after'>
}): Streams {
  const { clock } = parts
  const open = new Set<{ session: AccessContent | undefined; end: (cause: StreamEnd) => void }>()
  let cancel: Cancel | undefined
  let stopped = false

  function check(): void {
    cancel = undefined
    for (const stream of open) {
      const cause = reasonToEnd(stream.session)
      if (cause === undefined) continue
      open.delete(stream)
      stream.end(cause)
    }
    schedule()
  }

  function schedule(): void {
    if (open.size > 0) cancel ??= clock.after(checkEveryMs, check)
  }

  return {
    watch(session, end) {
      const stream = { session, end }
      if (stopped) end('stopping')
      else open.add(stream)
      schedule()
      return () => {
        open.delete(stream)
        if (open.size > 0) return
        cancel?.()
        cancel = undefined
      }
    },
    stop() {
      stopped = true
      for (const stream of open) stream.end('stopping')
      open.clear()
      cancel?.()
    },
  }

  function reasonToEnd(session: AccessContent | undefined): StreamEnd | undefined {
    if (session === undefined) return undefined
    if (clock.nowSeconds() >= session.accessTokenExpiresAt) return 'token_expired'
    return sessionEnd(session, parts) === undefined ? undefined : 'session_over'
  }
}
