import { type ErrorCode, TokenHandlerError } from '../../shared/errors.ts'
import { failureCode } from '../../shared/failure-code.ts'

/** Codes of a connection that was never made. */
const unreachable: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
])
/** Codes of a connection that broke. */
const broken: ReadonlySet<string> = new Set(['ECONNABORTED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

const codes: Readonly<Record<string, ErrorCode>> = {
  UND_ERR_CONNECT_TIMEOUT: 'upstream_connect_timeout',
  ETIMEDOUT: 'upstream_connect_timeout',
  UND_ERR_HEADERS_TIMEOUT: 'upstream_response_timeout',
  UND_ERR_BODY_TIMEOUT: 'upstream_response_timeout',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'invalid_request',
  // What we asked of the library was wrong, not what the API did.
  UND_ERR_INVALID_ARG: 'server_error',
  // Nobody closes these connections but a stop, or a reload under whose former routes a call came to be sent too late.
  UND_ERR_CLOSED: 'server_stopping',
  UND_ERR_DESTROYED: 'server_stopping',
  // It is this process that has run out of descriptors, not the API that is away.
  EMFILE: 'overloaded',
  ENFILE: 'overloaded',
}

/**
 * What went wrong on the way to the API, as a code of ours; by class and code of the error, never by its text.
 *
 * Its detail is the code itself: a name that is not found, a port where nobody listens and a certificate that has expired
 * are one to the page, and three to whoever has to mend it.
 */
export function upstreamFailure(error: unknown): TokenHandlerError {
  if (error instanceof TokenHandlerError) return error
  const check = failureCode(error)
  const detail = check === undefined ? {} : { check }
  return new TokenHandlerError(meaningOf(errorCode(error)), { detail, cause: error })
}

function meaningOf(code: string): ErrorCode {
  const known = codes[code]
  if (known !== undefined) return known
  if (unreachable.has(code) || isTlsFailure(code)) return 'upstream_unreachable'
  return broken.has(code) ? 'upstream_reset' : 'upstream_invalid_response'
}

/** The failure of a call whose browser went before it was answered, or before its body was whole. */
export function browserGone(): TokenHandlerError {
  return new TokenHandlerError('invalid_request', { detail: { check: 'aborted' } })
}

/** True for a connection that broke, as a kept-alive one does when the API closes it at the same moment (K01). */
export function isBrokenConnection(error: unknown): boolean {
  return broken.has(errorCode(error))
}

/** True for a write to a connection that the other side has closed; what it said before may still be unread. */
export function isHungUp(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ECONNRESET' || code === 'EPIPE'
}

/** True for a write to a connection that was reset; one that ended in good order before refuses it with EPIPE. */
export function isReset(error: unknown): error is Error {
  return errorCode(error) === 'ECONNRESET'
}

/**
 * True when the upstream could not even be connected to; the next one may be better.
 *
 * A connection that broke before anything was asked of it had not come about, and TLS 1.3 can refuse our certificate after
 * we have asked.
 */
export function isConnectFailure(error: unknown, wasAsked: boolean): boolean {
  const code = errorCode(error)
  if (!wasAsked && broken.has(code)) return true
  return unreachable.has(code) || (codes[code] ?? code) === 'upstream_connect_timeout' || isTlsFailure(code)
}

/** Node's codes for a certificate that does not convince or a handshake that fails. */
function isTlsFailure(code: string): boolean {
  return /^(?:CERT_|CRL_|ERR_TLS_|ERR_SSL_|ERROR_IN_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|EPROTO)/.test(
    code,
  )
}

/** The code of an error; of several attempts at once (happy eyeballs) that of the first. */
function errorCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0])
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
