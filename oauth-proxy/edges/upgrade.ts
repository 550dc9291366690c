import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TokenHandlerError } from '../../shared/errors.ts'
import { answerBytes } from '../../shared/http/answer-bytes.ts'
import { endSocket } from '../../shared/http/end-socket.ts'
import { asTokenHandlerError } from '../../shared/http/error-answer.ts'
import type { HeaderFields } from '../../shared/http/request-gate.ts'
import { type Forward, type Known, type Preflight, decide } from '../decide.ts'
import { upstreamRequestHeaders } from '../forward/request-headers.ts'
import type { DeclinedWebSocket, OpenWebSocket, WebSocketCall } from '../forward/websocket.ts'
import { forwardPath } from '../routes/forward-path.ts'
import type { StreamEnd } from '../streams.ts'
import { browserHead } from './browser-head.ts'
import { type Call, type EdgeParts, createEdge, ownQuestion, ownRequestFields, proving } from './edge.ts'
import { refusalAnswer } from './refusal.ts'
import { reportCall, reportFailedCall, reportUnreachable } from './report-call.ts'

/** Close codes of RFC 6455 §7.4.2 (private use) and §7.4.1; the client starts anew after signing in or refreshing. */
const closeCodes: Readonly<Record<StreamEnd, number>> = {
  token_expired: 4401,
  session_over: 4401,
  stopping: 1001,
  idle: 1001,
}

/** The connection of a browser that asks for another protocol. */
interface Connection {
  readonly socket: Duplex
  /** Bytes that came behind the handshake. */
  readonly head: Buffer
  /** Status of the API's answer. */
  statusCode: number
}

/** What this edge needs besides. */
export interface UpgradeParts extends EdgeParts {
  /** Absent where no route allows WebSockets. */
  readonly openWebSocket: ((call: WebSocketCall) => Promise<OpenWebSocket | DeclinedWebSocket>) | undefined
}

/** Takes over the socket of a protocol upgrade; only WebSocket, and only where a route says so (HX-18). */
export function createUpgrade(
  parts: UpgradeParts,
): (request: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void> {
  const settle = createEdge<Connection>(
    {
      side: 'proxy',
      decide: (call) => decide(ownQuestion(call, 'upgrade'), parts.decide),
      carryOut: (call, decision) => carryOut(call, decision, parts),
      answerError: (call, error, known) => answerError(call, error, known, parts),
      method: ({ request }) => request.method,
      status: ({ output }, error) => error?.row.status ?? output.statusCode,
    },
    parts,
  )
  return (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    return settle(request, { socket, head, statusCode: 101 })
  }
}

async function carryOut(
  { request, output, requestId }: Call<Connection>,
  decision: Preflight | Forward,
  parts: UpgradeParts,
): Promise<TokenHandlerError | undefined> {
  if (decision.kind === 'preflight') throw new TokenHandlerError('upgrade_not_allowed')
  const { socket, head } = output
  checkHandshake(decision, head)
  if (!(socket instanceof Socket)) throw new TokenHandlerError('upgrade_not_allowed')
  const { route, session } = decision
  route.slots.take(session?.sessionId)
  try {
    const webSocket = await shakeHands({ request, socket }, requestId, decision, parts)
    if (webSocket.kind === 'declined') {
      output.statusCode = webSocket.status
      endSocket(socket, answerBytes(webSocket), parts.clock)
      return undefined
    }
    const end = (cause: StreamEnd) => {
      const isFirst = webSocket.close(closeCodes[cause], cause)
      if (isFirst) parts.observe.emit('stream.closed', { request_id: requestId, route: route.path, cause })
    }
    webSocket.onIdle(() => end('idle'))
    const forget = parts.streams.watch(session, end)
    await webSocket.closed
    forget()
    return undefined
  } catch (thrown) {
    return asTokenHandlerError(thrown)
  } finally {
    route.slots.release(session?.sessionId)
  }
}

async function shakeHands(
  browser: Pick<WebSocketCall, 'request' | 'socket'>,
  requestId: string,
  decision: Forward,
  parts: UpgradeParts,
): Promise<OpenWebSocket | DeclinedWebSocket> {
  const { route } = decision
  const { setting } = route
  if (parts.openWebSocket === undefined) throw new TokenHandlerError('upgrade_not_allowed')
  const startedMs = parts.clock.nowMs()
  const path = forwardPath(decision.target, setting)
  const proved = proving(decision, parts.proofs)
  try {
    const webSocket = await parts.openWebSocket({
      ...browser,
      upstreams: route.upstreams,
      path,
      headers: handshakeHeaders(decision, requestId),
      proof: proved?.prove,
      onOpen: proved?.check,
      onHead: browserHead(decision, path, proved, requestId, parts),
      connectTimeoutMs: setting.connectTimeoutMs,
      responseTimeoutMs: setting.responseTimeoutMs,
      idleTimeoutMs: setting.streamIdleTimeoutMs,
      requestId,
      clock: parts.clock,
      onUnreachable: (upstream, failure) => reportUnreachable(failure, upstream, requestId, route, parts),
    })
    const status = webSocket.kind === 'open' ? 101 : webSocket.status
    reportCall({ status, outcome: 'complete', retried: webSocket.retried }, requestId, route, startedMs, parts)
    return webSocket
  } catch (thrown) {
    const error = parts.isCutting() ? new TokenHandlerError('server_stopping') : asTokenHandlerError(thrown)
    reportFailedCall(error, requestId, route, startedMs, parts)
    throw error
  }
}

/** RFC 6455 §4.2.1; `h2c` and whatever else could be upgraded to is refused, since we could not read on behind it. */
function checkHandshake({ head }: Forward, behind: Buffer): void {
  const { fields } = head
  const plain = head.method === 'GET' && !head.hasBody && !head.expectsContinue && head.contentLength === undefined
  const asked =
    fields.upgrade?.toLowerCase() === 'websocket' &&
    fields.connection?.split(',').some((option) => option.trim().toLowerCase() === 'upgrade') === true
  const key = /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(fields['sec-websocket-key'] ?? '')
  if (!plain || !asked || !key || fields['sec-websocket-version'] !== '13') {
    throw new TokenHandlerError('upgrade_not_allowed', { detail: { check: 'handshake' } })
  }
  // A client has to wait for the answer (RFC 6455 §4.1).
  if (behind.length > 0) throw new TokenHandlerError('upgrade_not_allowed', { detail: { check: 'early_bytes' } })
}

/** Our usual header, and the handshake of the browser put on top of it. */
function handshakeHeaders(decision: Forward, requestId: string): Record<string, string> {
  const { fields } = decision.head
  return {
    ...upstreamRequestHeaders(decision.head, ownRequestFields(decision, requestId)),
    connection: 'Upgrade',
    upgrade: 'websocket',
    ...pick(fields, [
      'sec-websocket-key',
      'sec-websocket-version',
      'sec-websocket-protocol',
      'sec-websocket-extensions',
    ]),
  }
}

function pick(fields: HeaderFields, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = fields[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

function answerError(
  { output: { socket }, requestId }: Call<Connection>,
  error: TokenHandlerError,
  known: Known,
  { config, clock }: Pick<EdgeParts, 'config' | 'clock'>,
): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  endSocket(socket, answerBytes(refusalAnswer(error, requestId, known, config)), clock)
}
