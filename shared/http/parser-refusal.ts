import { TokenHandlerError, type ErrorCode } from '../errors.ts'
import { answerBytes } from './answer-bytes.ts'
import { errorAnswer } from './error-answer.ts'
import { requestIdOf } from './request-id.ts'

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'request_header_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/** The answer to a request that node:http could not parse. */
export interface ParserRefusal {
  readonly requestId: string
  readonly code: ErrorCode
  readonly status: number
  /** The whole answer. */
  readonly bytes: Buffer
}

/**
 * Answers a request that node:http could not parse; its connection is closed then.
 *
 * Closing matters: what follows on a connection whose framing was not understood could be read as another request.
 */
export function parserRefusal(parserCode: string): ParserRefusal {
  const code = codes[parserCode] ?? 'ambiguous_request'
  const requestId = requestIdOf({})
  const answer = errorAnswer(new TokenHandlerError(code), requestId)
  return { requestId, code, status: answer.status, bytes: answerBytes(answer) }
}
