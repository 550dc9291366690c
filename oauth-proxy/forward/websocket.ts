import type { Socket } from 'node:net'
import { TokenHandlerError } from '../../shared/errors.ts'
import { browserGone, isConnectFailure, upstreamFailure } from './failure.ts'
import { type DeclinedHandshake, type Handshake, type HandshakeCall, shakeHands } from './handshake.ts'
import { joinSockets, type JoinedSockets } from './joined-sockets.ts'
import { type MakeProof, NonceDemand } from './proofs.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/** A WebSocket to be opened, ready to go. */
export interface WebSocketCall extends HandshakeCall {
  readonly upstreams: Pick<Upstreams, 'pick' | 'other'>
  /** The whole header of the API's handshake. */
  readonly headers: Readonly<Record<string, string>>
  /** Undefined for a credential that proves nothing. */
  readonly proof: MakeProof | undefined
  /** Longest silence in both directions. */
  readonly idleTimeoutMs: number
  /** Told of an upstream that could not be connected to while another is tried. */
  readonly onUnreachable: (upstream: Upstream, failure: TokenHandlerError) => void
}

/** A WebSocket between the browser and the API. */
export interface OpenWebSocket extends JoinedSockets {
  readonly kind: 'open'
  /** True when the handshake was tried before, at another upstream or without a nonce. */
  readonly retried: boolean
}

/** The answer of an API that wants no WebSocket. */
export interface DeclinedWebSocket extends DeclinedHandshake {
  readonly kind: 'declined'
  readonly retried: boolean
}

const none: readonly Upstream[] = []

/**
 * Shakes hands with the API and joins the two connections; where one upstream cannot be connected to, another is tried.
 *
 * Rejects with TokenHandlerError as long as the browser has seen nothing; the library's own answers are kept from it.
 */
export function openWebSocket(call: WebSocketCall): Promise<OpenWebSocket | DeclinedWebSocket> {
  const { request, socket, upstreams, headers, path, proof } = call
  // The library copies these two; nothing else of the browser's request may reach the API.
  request.url = path
  return new Promise((resolve, reject) => {
    let handshake: Handshake | undefined
    const fail = (error: unknown) => {
      stopWatching()
      reject(upstreamFailure(error))
    }
    const stopWatching = watchBrowser(socket, (error) => {
      handshake?.abandon()
      fail(error)
    })
    if (socket.destroyed) fail(browserGone())
    else attempt({ upstream: upstreams.pick(), unreachable: none, demand: undefined })

    function attempt({ upstream, unreachable, demand }: Attempt): void {
      request.headers = { ...headers, ...(proof === undefined ? undefined : { dpop: proof(upstream, demand) }) }
      const retried = demand !== undefined || unreachable.length > 0
      handshake = shakeHands(call, upstream, {
        onOpen(upstreamSocket) {
          stopWatching()
          upstream.report(true)
          resolve({ kind: 'open', ...joinSockets(call, upstreamSocket), retried })
        },
        onDeclined(answer) {
          stopWatching()
          upstream.report(true)
          resolve({ kind: 'declined', ...answer, retried })
        },
        onFailure(error, connected) {
          if (error instanceof NonceDemand && demand === undefined) {
            handshake?.forget()
            attempt({ upstream, unreachable, demand: error })
            return
          }
          if (error instanceof NonceDemand) error.release()
          const isAway = isConnectFailure(error, connected)
          if (isAway) upstream.report(false)
          const away = [...unreachable, upstream]
          // Only an upstream that heard nothing may be followed by another.
          const other = isAway && !connected ? upstreams.other(away) : undefined
          if (other === undefined) {
            fail(error)
            return
          }
          call.onUnreachable(upstream, upstreamFailure(error))
          handshake?.forget()
          attempt({ upstream: other, unreachable: away, demand })
        },
      })
    }
  })
}

/**
 * Tells once that the browser has gone or does not wait, unless the answered function was called before.
 *
 * Nobody else reads the socket yet. A client has to wait for the answer (RFC 6455 §4.1), and bytes that nobody takes
 * would hide that it has gone.
 */
function watchBrowser(socket: Socket, onEnd: (error: TokenHandlerError) => void): () => void {
  const onGone = () => onEnd(browserGone())
  const onReadable = () => {
    if (socket.read() !== null)
      onEnd(new TokenHandlerError('upgrade_not_allowed', { detail: { check: 'early_bytes' } }))
  }
  socket.once('close', onGone).once('end', onGone).on('readable', onReadable)
  return () => void socket.off('close', onGone).off('end', onGone).off('readable', onReadable)
}

/** One try of a handshake. */
interface Attempt {
  readonly upstream: Upstream
  /** Those to which no connection could be made before. */
  readonly unreachable: readonly Upstream[]
  /** Why it is sent again with the nonce that the API asked for. */
  readonly demand: NonceDemand | undefined
}
