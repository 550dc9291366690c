/**
 * The code of the system call, the TLS connection or the library that failed behind an error, such as `ECONNREFUSED` or
 * `CERT_HAS_EXPIRED`; never a text, which may quote anything.
 */
export function failureCode(failure: unknown): string | undefined {
  if (!(failure instanceof Error)) return undefined
  if (failure.name === 'TimeoutError') return 'timeout'
  if ('code' in failure && typeof failure.code === 'string' && isCode(failure.code)) {
    // What OpenSSL reports has long names, and every one of them begins so.
    return failure.code.replace(/^ERR_SSL_/, '')
  }
  return failureCode(failure.cause)
}

/** True for a code in capitals, as systems and TLS write them; false for the name of a class. */
function isCode(text: string): boolean {
  return /^[A-Z][A-Z0-9_]+$/.test(text)
}
