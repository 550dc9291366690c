import type { Cancel, Clock } from '../shared/clock.ts'
import type { Route } from '../shared/config/schema.ts'
import type { AccessContent } from '../shared/cookies/session.ts'
import type { Store } from '../shared/store/store.ts'
import { type Renewal, type Renewals, createRenewals } from './renewals.ts'
import { sessionEnd } from './session.ts'

/** Why we end what would have gone on. */
export type StreamEnd = 'token_expired' | 'session_over' | 'stopping' | 'idle'

/** Answers without an end in sight: event streams, WebSockets, and whatever else comes without a length. */
export interface Streams {
  /**
   * Keeps an eye on a stream until the answered function is called: `end` is called once when its access token expires,
   * its session ends, or the process stops.
   *
   * A stream outlives the one check that every other request gets, so it gets one every few seconds (K06, HX-18).
   */
  watch(session: AccessContent | undefined, end: (cause: StreamEnd) => void): () => void
  /**
   * Keeps an eye on an answer that is no stream but has no length: `end` is called once when its session ends, or when its
   * route is no longer in force.
   *
   * It may be a log that never ends, or an export of hours, which nobody can go on with: so neither the end of the token
   * nor the begin of a stop ends it.
   */
  watchAnswer(session: AccessContent | undefined, route: Route, end: (cause: StreamEnd) => void): () => void
  /** Moves the idle limit of running answers to that of this newer cookie. */
  renew(session: AccessContent): void
  /** Ends every stream, and each that is watched from now on. */
  stop(): void
  /** Ends every answer, now and from now on, whose route is not in force. */
  giveWay(isInForce: (route: Route) => boolean): void
}

interface Open {
  readonly session: AccessContent | undefined
  readonly end: (cause: StreamEnd) => void
  /** Absent for a stream. */
  readonly answer?: { readonly route: Route; readonly renewal: Renewal | undefined }
}

const checkEveryMs = 5000

/** Creates the watch over the streams of one proxy. */
export function createStreams(parts: {
  store: Pick<Store, 'hasEnded'>
  clock: Pick<Clock, 'nowSeconds' | 'after'>
  /** Those of the proxies that come before and after; its own if absent. */
  renewals?: Renewals | undefined
}): Streams {
  const { clock, renewals = createRenewals() } = parts
  const open = new Set<Open>()
  let cancel: Cancel | undefined
  let stopped = false
  let isInForce: (route: Route) => boolean = () => true

  function check(): void {
    cancel = undefined
    endThose(reasonToEnd)
    schedule()
  }

  function endThose(reason: (each: Open) => StreamEnd | undefined): void {
    for (const each of open) {
      const cause = reason(each)
      if (cause === undefined) continue
      open.delete(each)
      each.end(cause)
    }
  }

  function schedule(): void {
    if (open.size > 0) cancel ??= clock.after(checkEveryMs, check)
  }

  function add(each: Open): () => void {
    open.add(each)
    schedule()
    return () => {
      open.delete(each)
      rest()
    }
  }

  function rest(): void {
    if (open.size > 0) return
    cancel?.()
    cancel = undefined
  }

  return {
    watch(session, end) {
      if (!stopped) return add({ session, end })
      end('stopping')
      return () => {}
    },
    watchAnswer(session, route, end) {
      if (!isInForce(route)) {
        end('stopping')
        return () => {}
      }
      const renewal = session === undefined ? undefined : renewals.take(session)
      const forget = add({ session, end, answer: { route, renewal } })
      return () => {
        forget()
        renewal?.release()
      }
    },
    renew: (session) => renewals.renew(session),
    stop() {
      stopped = true
      endThose(({ answer }) => (answer === undefined ? 'stopping' : undefined))
      rest()
    },
    giveWay(next) {
      isInForce = next
      endThose(({ answer }) => (answer === undefined || next(answer.route) ? undefined : 'stopping'))
      rest()
    },
  }

  function reasonToEnd({ session, answer }: Open): StreamEnd | undefined {
    if (session === undefined) return undefined
    if (answer === undefined && clock.nowSeconds() >= session.accessTokenExpiresAt) return 'token_expired'
    return sessionEnd(answer?.renewal?.newest() ?? session, parts) === undefined ? undefined : 'session_over'
  }
}
