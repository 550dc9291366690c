import { TokenHandlerError, type ErrorCode } from '../errors.ts'
import { answerText } from './answer-text.ts'
import { errorAnswer } from './error-answer.ts'
import { requestIdOf } from './request-id.ts'

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'request_header_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * The whole answer to a request that node:http could not parse, as bytes for the socket, after which it is closed.
 *
 * Closing matters: what follows on a connection whose framing was not understood could be read as another request.
 */
export function parserRefusal(parserCode: string): string {
  const error = new TokenHandlerError(codes[parserCode] ?? 'ambiguous_request')
  return answerText(errorAnswer(error, requestIdOf({})))
}
