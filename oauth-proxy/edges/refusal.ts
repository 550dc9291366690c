import type { Config } from '../../shared/config/schema.ts'
import { pseudonym } from '../../shared/crypto/pseudonym.ts'
import type { KeySource } from '../../shared/crypto/key-ring.ts'
import { errorName, type TokenHandlerError } from '../../shared/errors.ts'
import { type Answer, errorAnswer } from '../../shared/http/error-answer.ts'
import { reportableAddress } from '../../shared/http/client-address.ts'
import { type CorsSettings, corsHeaders } from '../../shared/http/cors.ts'
import type { Observe } from '../../shared/observe/events.ts'
import type { Known } from '../decide.ts'

/** The answer for a request that is not carried out, readable for a listed origin. */
export function refusalAnswer(error: TokenHandlerError, requestId: string, known: Known, config: CorsSettings): Answer {
  const { status, headers, body } = errorAnswer(error, requestId)
  return {
    status,
    headers: { ...headers, ...allowField(error, known), ...corsHeaders(known.head?.fields.origin, config) },
    body,
  }
}

/** The field without which a 405 is not complete (RFC 9110 §15.5.6). */
export function allowField(
  { code }: TokenHandlerError,
  { methods = [] }: Known,
): Readonly<Record<string, string>> | undefined {
  return code === 'method_not_allowed' ? { allow: methods.join(', ') } : undefined
}

/** How events name the edges: those that forward, and the one that answers a gateway. */
export type ProxySide = 'proxy' | 'forward_auth'

/** Reports a request that is not carried out, with what was known of it by then. */
export function reportRefusal(
  error: TokenHandlerError,
  requestId: string,
  { route, session, clientAddress }: Known,
  side: ProxySide,
  { config, keys, observe }: { config: Pick<Config, 'observability'>; keys: KeySource; observe: Observe },
): void {
  if (error.code === 'server_error') {
    observe.emit('internal.failed', { request_id: requestId, where: 'proxy', error_name: errorName(error.cause) })
  }
  observe.emit('request.refused', {
    request_id: requestId,
    client_address: config.observability.clientAddresses ? reportableAddress(clientAddress?.()) : undefined,
    subject: session === undefined ? undefined : pseudonym(keys.current(), 'subject', session.subject),
    session: session === undefined ? undefined : pseudonym(keys.current(), 'session', session.sessionId),
    side,
    route: route?.path,
    error_code: error.code,
    ...error.detail,
  })
}
