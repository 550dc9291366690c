import { X509Certificate } from 'node:crypto'

/** A whole block and its label (RFC 7468 §2); none begins within another. */
const block = /-----BEGIN ([^-]+)-----(?:(?!-----)[^])*-----END \1-----/g

/** True for a PEM text with a block that begins and does not end, as while it is written: who reads it leaves that one out. */
export function isUnfinishedPem(pem: string): boolean {
  return /-----(?:BEGIN|END)\b|-----[A-Z]*$/.test(pem.replace(block, ''))
}

/** The blocks of a PEM text, each with the label that says what it holds. */
export function pemBlocks(pem: string): readonly { readonly label: string; readonly text: string }[] {
  return [...pem.matchAll(block)].map(([text, label = '']) => ({ label, text }))
}

/**
 * When the first of the certificates of a PEM text to expire does so, in seconds since 1970 (RFC 5280 §4.1.2.5): a chain is
 * worth as much as the certificate in it that ends first. Throws Error for a text without any, or with one that cannot be
 * read.
 */
export function certificateExpirySeconds(pem: string): number {
  const certificates = pemBlocks(pem).filter(({ label }) => label.endsWith('CERTIFICATE'))
  if (certificates.length === 0) throw new Error('a PEM text without a certificate')
  const expiries = certificates.map(({ text }) => new X509Certificate(text).validToDate.getTime())
  return Math.floor(Math.min(...expiries) / 1000)
}
