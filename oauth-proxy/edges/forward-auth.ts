import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Config } from '../../shared/config/schema.ts'
import { TokenHandlerError } from '../../shared/errors.ts'
import { type AddressMatcher, clientAddress, createAddressMatcher } from '../../shared/http/client-address.ts'
import { endSocket } from '../../shared/http/end-socket.ts'
import { errorAnswer, ownHeaders } from '../../shared/http/error-answer.ts'
import { ServerResponse as DetachedResponse } from '../../shared/http/node-http.ts'
import { isTargetBelow } from '../../shared/http/request-gate.ts'
import { type Decision, type Forward, type Known, type Refused, decide } from '../decide.ts'
import { type Call, type EdgeParts, createEdge } from './edge.ts'
import { identityHeaders } from '../identity-headers.ts'
import { createQuestionReader, type GatewayDialect, gatewayDialects } from './gateway-dialects.ts'
import { allowField } from './refusal.ts'

/** Who asks, from where, and with which proof. */
export type ForwardAuthSettings = Config['proxy']['forwardAuth']

/** The edge that answers instead of forwarding. */
export interface ForwardAuth {
  /** True for a request that is a question of a gateway, by its path alone. */
  asks(request: IncomingMessage): boolean
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** Some gateways leave the browser's Upgrade in their question; it is answered like any other and upgrades nothing. */
  upgrade(request: IncomingMessage, socket: Duplex): Promise<void>
}

/**
 * Answers gateways: may this request pass, and with which headers; undefined when no gateway is configured.
 *
 * It decides as the reverse proxy does, then answers instead of forwarding. It never refreshes, since gateways lose
 * cookies of such answers (J08), and everything but the one decision to forward is a refusal.
 */
export function createForwardAuth(parts: EdgeParts, settings: ForwardAuthSettings): ForwardAuth | undefined {
  if (settings.gateway === 'off') return undefined
  const { path } = settings
  const dialect = gatewayDialects[settings.gateway]
  const readQuestion = createQuestionReader(path, dialect)
  const isPeer = rememberLast(createAddressMatcher(settings.peers))
  const secret = settings.secret === undefined ? undefined : Buffer.from(settings.secret.reveal())
  const { trustedProxies } = parts.decide
  // Whoever is trusted with method, host and path is trusted with the address.
  const decideParts = {
    ...parts.decide,
    trustedProxies: (address: string) => isPeer(address) || trustedProxies(address),
  }

  function decideFor({ request, requestId }: Call<ServerResponse>): Promise<Decision> {
    const peer = request.socket.remoteAddress ?? ''
    if (!isPeer(peer)) return untrusted('address', peer)
    const { method = '', url: target = '', httpVersion, rawHeaders } = request
    const original = readQuestion({ method, target, rawHeaders })
    if (secret !== undefined && !sameBytes(secret, original.secret ?? '')) return untrusted('secret', peer)
    return decide({ ...original, httpVersion, requestId, peer }, decideParts)
  }

  const handle = createEdge<ServerResponse>(
    {
      side: 'forward_auth',
      decide: decideFor,
      carryOut({ output: response, requestId }, decision) {
        // Gateways take any 2xx for a yes, so a preflight cannot be answered here.
        if (decision.kind === 'preflight') {
          throw new TokenHandlerError('method_not_allowed', { detail: { check: 'preflight' } })
        }
        response.writeHead(200, passHeaders(decision, requestId)).end()
        return undefined
      },
      answerError: (call, error, known) => refuse(call, error, known, dialect),
      method: (_, { head }) => head?.method,
      status: ({ output: response }) => response.statusCode,
    },
    parts,
  )

  return {
    asks: ({ url = '' }) => isTargetBelow(url, path),
    handle,
    upgrade(request, socket) {
      if (!(socket instanceof Socket)) throw new TypeError('an upgrade comes with a network socket')
      const response = new DetachedResponse(request)
      response.assignSocket(socket)
      response.shouldKeepAlive = false
      // Nobody else watches this socket any more; whoever never closes its side would keep it for ever.
      response.once('finish', () => endSocket(socket, '', parts.clock))
      return handle(request, response)
    },
  }
}

/** Gateways keep their connections, so the last address is nearly always the next one. */
function rememberLast(matches: AddressMatcher): AddressMatcher {
  let last: string | undefined
  let answer = false
  return (address) => {
    if (address !== last) answer = matches(address)
    last = address
    return answer
  }
}

/** Compares in constant time; the length of the secret is no secret. */
function sameBytes(expected: Buffer, shown: string): boolean {
  const bytes = Buffer.from(shown)
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}

/** Everything the gateway has to set on the request before it passes it on, and nothing that browsers may see. */
function passHeaders(decision: Forward, requestId: string): Record<string, string> {
  const { credential, session, route, cookies } = decision
  return {
    ...identityHeaders(session),
    authorization: '',
    cookie: route.visibleCookies(cookies.others),
    ...(route.credentialHeader === undefined ? undefined : { [route.credentialHeader]: '' }),
    ...(credential === undefined ? undefined : { [credential.header]: credential.value }),
    'x-request-id': requestId,
    'cache-control': 'no-store',
    'content-length': '0',
  }
}

/** Bodies stay below this, whatever a policy names, because gateways read them into memory (J09). */
const maxBodyBytes = 1023

function refuse(
  { output: response, requestId }: Call<ServerResponse>,
  error: TokenHandlerError,
  known: Known,
  { passesEveryStatus }: GatewayDialect,
): void {
  const full = errorAnswer(error, requestId)
  const { status, headers, body } =
    Buffer.byteLength(full.body) <= maxBodyBytes ? full : errorAnswer(new TokenHandlerError(error.code), requestId)
  const shownStatus = passesEveryStatus || status === 401 ? status : 403
  response.writeHead(shownStatus, {
    ...ownHeaders,
    ...headers,
    ...allowField(error, known),
    ...(passesEveryStatus ? undefined : { 'token-handler-status': String(status), 'token-handler-body': ascii(body) }),
    'content-length': String(Buffer.byteLength(body)),
  })
  response.end(body)
}

/** The same JSON in characters that a header can hold. */
function ascii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Tells of whoever asked: nothing is known of the request that the question is about. */
function untrusted(check: string, peer: string): Promise<Refused> {
  const error = new TokenHandlerError('untrusted_peer', { detail: { check } })
  return Promise.resolve({ kind: 'refused', error, clientAddress: () => clientAddress(peer, undefined, () => false) })
}
