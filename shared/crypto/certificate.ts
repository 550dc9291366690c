import { X509Certificate } from 'node:crypto'

/** A whole block and its label (RFC 7468 §2); none begins within another. */
const block = /-----BEGIN ([^-]+)-----(?:(?!-----)[^])*-----END \1-----/g

/** True for a PEM text with a block that begins and does not end, as while it is written: who reads it leaves that one out. */
export function isUnfinishedPem(pem: string): boolean {
  return pem.replace(block, '').includes('-----')
}

/** The blocks of a PEM text, each with the label that says what it holds. */
export function pemBlocks(pem: string): readonly { readonly label: string; readonly text: string }[] {
  return [...pem.matchAll(block)].map(([text, label = '']) => ({ label, text }))
}

/** When the first certificate of a PEM text expires, in seconds since 1970 (RFC 5280 §4.1.2.5); throws Error for a text that begins with none. */
export function certificateExpirySeconds(pem: string): number {
  return Math.floor(new X509Certificate(pem).validToDate.getTime() / 1000)
}
