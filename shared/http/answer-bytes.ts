import { STATUS_CODES } from './node-http.ts'

/** An answer of ours or of an API, ready to be written whole. */
export interface WholeAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: string | Buffer
}

/** An answer as bytes for a socket that no HTTP server watches any more; the connection ends with it. */
export function answerBytes({ status, headers, body }: WholeAnswer): Buffer {
  const bytes = Buffer.from(body)
  // No length where there is no body by definition (RFC 9110 §8.6).
  const length = status === 204 || status === 304 ? undefined : { 'content-length': String(bytes.length) }
  const { 'content-length': _, ...others } = headers
  const lines = Object.entries({ ...others, ...length, connection: 'close' }).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((line) => `${name}: ${line}`),
  )
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', ''].join('\r\n')
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes])
}
