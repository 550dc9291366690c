import { TokenHandlerError } from '../errors.ts'

/** An answer of our own, ready for any HTTP edge to write. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Empty for answers without content; an edge leaves it out for HEAD. */
  readonly body: string
}

/** Headers of every JSON answer of agent and proxy; the content type is exactly this, as clients compare it whole. */
export const ownHeaders: Readonly<Record<string, string>> = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
}

/** Any thrown value as a row of the error table; what is not ours becomes `server_error` and stays reachable as cause. */
export function asTokenHandlerError(error: unknown): TokenHandlerError {
  return error instanceof TokenHandlerError ? error : new TokenHandlerError('server_error', { cause: error })
}

/**
 * The answer for a failure: the row of its code and documented fields, nothing else.
 *
 * `token-handler-error` marks it as ours, so that a client can tell our 401 from one of the API.
 */
export function errorAnswer(error: TokenHandlerError, requestId: string, fields = error.fields): Answer {
  const { code, row } = error
  const retryAfter = fields.retry_after
  return {
    status: row.status,
    headers: {
      ...ownHeaders,
      'token-handler-error': code,
      'x-request-id': requestId,
      ...(retryAfter === undefined ? undefined : { 'retry-after': String(retryAfter) }),
    },
    body: JSON.stringify({ error_code: code, detailed_error: row.message, ...fields }),
  }
}
