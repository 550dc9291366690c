import type { Answer } from './error-answer.ts'
import { STATUS_CODES } from './node-http.ts'

/** An answer as text for a socket that no HTTP server watches any more; the connection ends with it. */
export function answerText({ status, headers, body }: Answer): string {
  const fields = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' }
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    '',
    body,
  ].join('\r\n')
}
