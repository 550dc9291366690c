import { X509Certificate } from 'node:crypto'

/** When the first certificate of a PEM text expires, in seconds since 1970 (RFC 5280 §4.1.2.5); throws Error for a text that begins with none. */
export function certificateExpirySeconds(pem: string): number {
  return Math.floor(new X509Certificate(pem).validToDate.getTime() / 1000)
}
