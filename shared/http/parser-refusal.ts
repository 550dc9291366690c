import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import { TokenHandlerError, type ErrorCode } from '../errors.ts'
import type { Observe } from '../observe/events.ts'
import { answerBytes } from './answer-bytes.ts'
import { endSocket } from './end-socket.ts'
import { errorAnswer } from './error-answer.ts'
import { requestIdOf } from './request-id.ts'

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'request_header_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * Answers a request that node:http could not parse, in our own words, and closes its connection.
 *
 * Closing matters: what follows on a connection whose framing was not understood could be read as another request.
 */
export function refuseUnparsed(
  parserCode: string,
  socket: Duplex,
  { clock, observe }: { readonly clock: Pick<Clock, 'after'>; readonly observe: Observe },
): void {
  const code = codes[parserCode] ?? 'ambiguous_request'
  const requestId = requestIdOf({})
  const answer = errorAnswer(new TokenHandlerError(code), requestId)
  endSocket(socket, answerBytes(answer), clock)
  // Whose request it was nobody knows; anybody can cause this, so no event at a level that is always logged tells of it.
  observe.emit('request.answered', {
    request_id: requestId,
    side: 'none',
    route: 'none',
    status: answer.status,
    error_code: code,
  })
}
